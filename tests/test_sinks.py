"""What is written is whole, in order, and survives a full disk."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_app.contracts import AbstainReason, Prediction
from edge_app.errors import SinkError
from edge_app.health import StreamHealth
from edge_app.sinks import files
from edge_app.sinks.console import ConsoleSink
from edge_app.sinks.files import LineFile, make_writable_dir, write_whole
from edge_app.sinks.jsonl import JsonlSink, iso_utc, to_json
from edge_app.sinks.protocol import FanOut
from edge_app.sinks.steady_console import SteadyConsole
from edge_app.sinks.wall_time import WallTime
from tests.scripted import INFO, ScriptedSource

SAID = Prediction(
    task="sleep",
    stream="eeg",
    time_s=60.0,
    start_s=30.0,
    end_s=60.0,
    label="N2",
    probabilities=(("W", 0.25), ("N2", 0.75)),
    quality=1.0,
    abstained=None,
    final=False,
    revision=0,
    model="m@0123456789ab",
    simulated=False,
)
UNKNOWN = dataclasses.replace(
    SAID, label=None, probabilities=(), abstained=AbstainReason.GAP, quality=None, latency_s=0.0123
)


def test_a_line_has_every_field_in_its_order() -> None:
    assert list(json.loads(to_json(SAID, 0.0)).items()) == [
        ("task", "sleep"),
        ("time", "1970-01-01T00:00:00.000Z"),
        ("time_s", 60.0),
        ("window", {"start_s": 30.0, "end_s": 60.0}),
        ("label", "N2"),
        ("probabilities", {"W": 0.25, "N2": 0.75}),
        ("confidence", 0.75),
        ("quality", 1.0),
        ("abstained", None),
        ("final", False),
        ("revision", 0),
        ("passing", False),
        ("evidence", {}),
        ("latency_s", None),
        ("model", "m@0123456789ab"),
        ("stream", "eeg"),
        ("simulated", False),
    ]
    unknown = json.loads(to_json(UNKNOWN, 0.0))
    assert unknown["label"] is None
    assert unknown["probabilities"] == {}
    assert unknown["confidence"] is None
    assert unknown["abstained"] == "gap"
    assert unknown["latency_s"] == 0.0123


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (951_782_400.9996, "2000-02-29T00:00:01.000Z"),
        (1_772_323_199.0005, "2026-02-28T23:59:59.000Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
    ],
)
def test_wall_time_is_utc_with_milliseconds(unix_s: float, text: str) -> None:
    assert iso_utc(unix_s) == text


def test_an_existing_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    for _ in range(2):
        sink = JsonlSink(path)
        sink.emit(SAID, 0.0)
        sink.close()
        sink.close()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


@contextmanager
def disk_of(size_bytes: int) -> Iterator[None]:
    """A file size limit stands for the disk: it lets a part of a line through, as a disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_holds_the_lines_and_says_so() -> None:
    sink = JsonlSink(Path("/dev/full"))
    for n in (1, 2):
        with pytest.raises(SinkError, match=rf"No space left on device; {n} line.* held in memory"):
            sink.emit(SAID, 0.0)
    with pytest.raises(
        SinkError, match=r"2 line.* could not be written and will be missing.*Free space"
    ):
        sink.close()
    sink.close()


def test_lines_beyond_what_memory_holds_are_counted_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "MAX_HELD", 2)
    full = LineFile(Path("/dev/full"))
    for _ in range(4):
        with pytest.raises(SinkError) as refused:
            full.append("{}")
    assert "2 lines held in memory, 2 older lines lost" in str(refused.value)
    with pytest.raises(SinkError, match="4 lines could not be written"):
        full.close()


def test_lines_dropped_before_the_disk_came_back_are_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_HELD", 1)
    out = LineFile(tmp_path / "p.jsonl")
    with disk_of(0):
        for n in "12":
            with pytest.raises(SinkError):
                out.append(n)
    out.append("3")
    with pytest.raises(SinkError, match="2 lines could not be written"):
        out.close()
    assert (tmp_path / "p.jsonl").read_text() == "3\n"


def test_a_disk_that_fills_in_the_middle_of_a_line_keeps_whole_lines_and_goes_on(
    tmp_path: Path,
) -> None:
    line = to_json(SAID, 0.0) + "\n"
    path = tmp_path / "p.jsonl"
    sink = JsonlSink(path)
    with disk_of(2 * len(line) + 40):
        sink.emit(SAID, 0.0)
        sink.emit(SAID, 0.0)
        with pytest.raises(SinkError, match="1 line"):
            sink.emit(UNKNOWN, 0.0)
        assert path.read_text() == 2 * line
    sink.emit(SAID, 0.0)  # there is room again: the held line comes first
    sink.close()
    kept = [json.loads(text)["label"] for text in path.read_text().splitlines()]
    assert kept == ["N2", "N2", None, "N2"]


def test_a_line_torn_by_a_power_cut_does_not_spoil_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"task": "sleep"}\n{"task": "sl')
    sink = JsonlSink(path)
    assert "torn" in caplog.text
    sink.emit(SAID, 0.0)
    sink.close()
    rows = path.read_text().splitlines()
    assert rows[:2] == ['{"task": "sleep"}', '{"task": "sl']
    assert [json.loads(row)["label"] for row in rows[2:]] == ["N2"]


def test_results_are_for_their_owner_only(tmp_path: Path) -> None:
    JsonlSink(tmp_path / "p.jsonl").close()
    write_whole(tmp_path / "health.json", "{}")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_whole_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    write_whole(path, "old")
    with disk_of(100), pytest.raises(SinkError, match="cannot be written there"):
        write_whole(path, "x" * 200)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["health.json"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(SinkError, match="directory"):
        write_whole(tmp_path / "folder", "new")


def test_a_full_disk_that_still_takes_an_empty_file_is_refused(tmp_path: Path) -> None:
    with disk_of(0), pytest.raises(SinkError, match="cannot be written there") as refused:
        make_writable_dir(tmp_path)
    assert "--out" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="cannot be written there"):
        make_writable_dir(tmp_path / "out")


def test_a_directory_where_nothing_can_be_made_is_refused() -> None:
    with pytest.raises(SinkError, match="cannot be written there"):
        make_writable_dir(Path("/proc/bedside"))


def test_a_directory_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="Not a directory"):
        make_writable_dir(tmp_path / "file" / "out")
    with pytest.raises(SinkError):
        JsonlSink(tmp_path / "missing" / "p.jsonl")


class ListSink:
    """Keeps what comes, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.got: list[tuple[Prediction, float]] = []
        self.closed = False

    def emit(self, prediction: Prediction, unix_s: float) -> None:
        if self.fails:
            raise SinkError("broken", next_step="mend it")
        self.got.append((prediction, unix_s))

    def close(self) -> None:
        self.closed = True
        if self.fails:
            raise SinkError("broken", next_step="mend it")


def test_a_broken_sink_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = ListSink(fails=True), ListSink()
    fan_out = FanOut([bad, good], strict=False)
    fan_out.set_origin("eeg", lambda: 1000.0)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            fan_out.emit(SAID)
    assert good.got == [(SAID, 1060.0)] * 5
    assert caplog.text.count("broken") == 1  # once a minute, not once a prediction
    with pytest.raises(SinkError):
        fan_out.close()
    assert good.closed
    fan_out.emit(SAID)  # from a thread that was left behind
    assert len(good.got) == 5


def test_every_broken_sink_is_told_whatever_time_the_streams_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fan_out = FanOut([ListSink(fails=True), ListSink(fails=True)], strict=False)
    fan_out.set_origin("new", lambda: 1e9)
    for stream in ("new", "undated"):
        for _ in range(3):
            fan_out.emit(dataclasses.replace(SAID, stream=stream))
    assert caplog.text.count("broken") == 2


def test_a_strict_fan_out_stops_at_the_first_failure() -> None:
    with pytest.raises(SinkError):
        FanOut([ListSink(fails=True)], strict=True).emit(SAID)


class Truthful(ScriptedSource):
    """Knows the truth."""

    def truth_at(self, time_s: float) -> str:
        return "N2" if time_s < 50 else "W"


class HandClock:
    """Stands where it is put."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.at_s = now_s

    def now_s(self) -> float:
        return self.at_s

    async def sleep_until_s(self, time_s: float) -> None:
        raise AssertionError(time_s)


def test_wall_time_follows_a_clock_that_is_set_and_leaves_small_corrections() -> None:
    unix_s, steady_s = [100.0], [50.0]
    wall = WallTime(HandClock(50.0), lambda: unix_s[0], lambda: steady_s[0])
    assert wall.origin_unix_s() == 50.0
    steady_s[0], unix_s[0] = 60.0, 110.9  # 0.9 s of slewing in 10 s
    assert wall.origin_unix_s() == 50.0
    unix_s[0] = 1_000_110.0  # the network's time has come
    assert wall.origin_unix_s() == pytest.approx(1_000_050.0, abs=1.0)
    steady_s[0], unix_s[0] = 70.0, 1_000_120.0
    assert wall.origin_unix_s() == pytest.approx(1_000_050.0, abs=1.0)


def console_of(health: StreamHealth, clock: HandClock) -> tuple[ConsoleSink, io.StringIO]:
    output = io.StringIO()
    return ConsoleSink([health], clock, SteadyConsole(file=output, width=140)), output


def shown(sink: ConsoleSink) -> str:
    output = io.StringIO()
    SteadyConsole(file=output, width=140).print(sink.render())
    return output.getvalue()


def test_the_console_shows_answer_truth_and_that_it_is_simulated() -> None:
    health = StreamHealth("eeg", state="running", last_data_s=99.8)
    health.windowing.gaps = 3
    sink, _ = console_of(health, HandClock(100.0))
    sink.watch(dataclasses.replace(INFO, name="eeg"), Truthful())
    sink.emit(SAID, 0.0)
    for final in (dataclasses.replace(SAID, final=True), dataclasses.replace(UNKNOWN, final=True)):
        sink.emit(final, 0.0)
    sink.emit(dataclasses.replace(SAID, final=True, start_s=60.0, end_s=90.0), 0.0)
    for text in ("SIMULATED", "N2", "agrees 1 of 2", "3 gaps", "0.2 s old", "not a medical device"):
        assert text in shown(sink)
    sink.close()


def test_a_failed_stream_is_shown_with_its_error() -> None:
    health = StreamHealth("foot", state="waiting", restarts=2, last_error="no sensor. Switch it on")
    sink, _ = console_of(health, HandClock())
    assert "2 restarts" in shown(sink)
    assert "Switch it on" in shown(sink)


def test_an_answer_is_not_shown_as_present_when_data_has_ceased() -> None:
    health, clock = StreamHealth("eeg", state="running", last_data_s=100.0), HandClock(100.0)
    sink, output = console_of(health, clock)
    sink.emit(SAID, 0.0)
    clock.at_s = 102.0
    assert "N2" in shown(sink)
    clock.at_s = 104.0
    assert "N2" not in shown(sink)
    assert "no data for 4 s" in shown(sink)
    sink._next_plain_s = 0.0  # instead of waiting
    sink.refresh()
    assert output.getvalue() == "eeg: unknown, no data for 4 s [running]\n"


def test_the_console_tells_what_runs_the_model() -> None:
    health = StreamHealth("eeg", "tensorrt-fp16", state="running", trouble="slow")
    sink, output = console_of(health, HandClock())
    sink._next_plain_s = 0.0  # instead of waiting
    sink.refresh()
    assert output.getvalue().endswith("[running; tensorrt-fp16; slow]\n")
    assert "tensorrt-fp16" in shown(sink)
    assert health.snapshot()["backend"] == "tensorrt-fp16"
    health.started("net@0123")
    assert health.events_after(0)[-1].text == "net@0123 on tensorrt-fp16"


@pytest.mark.parametrize("state", ["waiting", "failed", "ended"])
def test_an_answer_is_not_shown_when_its_stream_is_not_running(state: str) -> None:
    health = StreamHealth("eeg", state="running", last_data_s=100.0)
    sink, _ = console_of(health, HandClock(101.0))
    sink.emit(SAID, 0.0)
    assert "N2" in shown(sink)
    health.state = state
    assert "N2" not in shown(sink)
    assert "no data for 1 s" in shown(sink)


def test_data_without_windows_keeps_no_old_answer_alive() -> None:
    health, clock = StreamHealth("eeg", state="running", last_data_s=100.0), HandClock(100.0)
    sink, _ = console_of(health, clock)
    sink.emit(SAID, 0.0)
    clock.at_s = health.last_data_s = 170.0
    assert "N2" not in shown(sink)
    assert "no answer for 70 s" in shown(sink)


def test_what_was_said_before_a_stream_opened_again_is_gone() -> None:
    health = StreamHealth("eeg", state="running", last_data_s=100.0)
    sink, _ = console_of(health, HandClock(100.0))
    sink.emit(SAID, 0.0)
    sink.watch(dataclasses.replace(INFO, name="eeg"), ScriptedSource())
    assert "N2" not in shown(sink)
    assert "waiting for the first window" in shown(sink)


def test_the_newest_answer_follows_a_jump_back_but_not_a_revision_of_an_older_window() -> None:
    health = StreamHealth("eeg", state="running")
    sink, _ = console_of(health, HandClock())
    late = dataclasses.replace(SAID, start_s=3600.0, end_s=3630.0, time_s=3630.0)
    sink.emit(late, 0.0)
    revised = dataclasses.replace(UNKNOWN, start_s=3540.0, end_s=3570.0, time_s=3630.0)
    sink.emit(revised, 0.0)
    assert sink.seen["eeg"].newest == late
    sink.emit(SAID, 0.0)
    assert sink.seen["eeg"].newest == SAID


def test_emitting_prints_nothing_and_lines_come_when_no_stream_speaks() -> None:
    sink, output = console_of(StreamHealth("eeg"), HandClock())
    sink._next_plain_s = 0.0  # instead of waiting
    sink.emit(SAID, 0.0)
    assert output.getvalue() == ""
    sink.refresh()
    assert "eeg: unknown, no data [starting]" in output.getvalue()
