"""What is written is whole, in order, and survives a full disk."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
from pathlib import Path

import pytest
from rich.console import Console

from edge_app.contracts import AbstainReason, Prediction
from edge_app.errors import SinkError
from edge_app.health import StreamHealth
from edge_app.sinks.console import ConsoleSink
from edge_app.sinks.jsonl import JsonlSink, iso_utc, make_writable_dir, to_json
from edge_app.sinks.protocol import FanOut
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


def test_a_full_disk_holds_the_lines_and_says_so() -> None:
    sink = JsonlSink(Path("/dev/full"))
    for n in (1, 2):
        with pytest.raises(SinkError, match=rf"No space left on device; {n} line"):
            sink.emit(SAID, 0.0)
    with pytest.raises(SinkError, match="Free space"):
        sink.close()


def test_a_disk_that_fills_in_the_middle_of_a_line_keeps_whole_lines_and_goes_on(
    tmp_path: Path,
) -> None:
    """A file size limit stands for the disk: it lets a part of a line through, as a disk does."""
    import resource
    import signal

    line = to_json(SAID, 0.0) + "\n"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "p.jsonl"
    sink = JsonlSink(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * len(line) + 40, before[1]))
        sink.emit(SAID, 0.0)
        sink.emit(SAID, 0.0)
        with pytest.raises(SinkError, match="1 line"):
            sink.emit(UNKNOWN, 0.0)
        assert path.read_text() == 2 * line
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    sink.emit(SAID, 0.0)  # there is room again: the held line comes first
    sink.close()
    kept = [json.loads(text)["label"] for text in path.read_text().splitlines()]
    assert kept == ["N2", "N2", None, "N2"]


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
    fan_out.set_origin("eeg", 1000.0)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            fan_out.emit(SAID)
    assert good.got == [(SAID, 1060.0)] * 5
    assert fan_out.failures == 5
    assert caplog.text.count("broken") == 1  # once a minute, not once a prediction
    with pytest.raises(SinkError):
        fan_out.close()
    assert good.closed


def test_a_strict_fan_out_stops_at_the_first_failure() -> None:
    with pytest.raises(SinkError):
        FanOut([ListSink(fails=True)], strict=True).emit(SAID)


class Truthful(ScriptedSource):
    """Knows the truth."""

    def truth_at(self, time_s: float) -> str:
        return "N2" if time_s < 50 else "W"


class StillClock:
    """Stands still."""

    def now_s(self) -> float:
        return 0.0

    async def sleep_until_s(self, time_s: float) -> None:
        raise AssertionError(time_s)


def test_the_console_shows_answer_truth_and_that_it_is_simulated() -> None:
    health = StreamHealth("eeg", state="running", gaps=3, latency_s=0.02)
    output = io.StringIO()
    console = Console(file=output, width=140)
    sink = ConsoleSink([health], StillClock(), console)
    sink.watch(dataclasses.replace(INFO, name="eeg"), Truthful())
    sink.emit(SAID, 0.0)
    for final in (dataclasses.replace(SAID, final=True), dataclasses.replace(UNKNOWN, final=True)):
        sink.emit(final, 0.0)
    sink.emit(dataclasses.replace(SAID, final=True, start_s=60.0, end_s=90.0), 0.0)
    console.print(sink.render())
    shown = output.getvalue()
    for text in ("SIMULATED", "N2", "agrees 1 of 2", "3 gaps", "20 ms", "not a medical device"):
        assert text in shown
    sink.close()


def test_a_failed_stream_is_shown_with_its_error() -> None:
    health = StreamHealth("foot", state="waiting", restarts=2, last_error="no sensor. Switch it on")
    output = io.StringIO()
    console = Console(file=output, width=140)
    console.print(ConsoleSink([health], StillClock(), console).render())
    assert "2 restarts" in output.getvalue()
    assert "Switch it on" in output.getvalue()
