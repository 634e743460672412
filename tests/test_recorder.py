"""What live sources deliver is kept, and replayed to the same predictions."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_app.build import StreamRoad, find_bundle, open_bundle
from edge_app.clock import MonotonicClock
from edge_app.contracts import Chunk, Prediction, StreamInfo
from edge_app.errors import ConfigError, SourceError, SourceLostError
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.recorder import Recorder, StreamFile
from edge_app.replay import ReplayRequest, replay
from edge_app.sinks.jsonl import to_json
from edge_app.sources.liblsl import LslNetwork
from edge_app.sources.lsl_markers import LslMarkers
from edge_app.sources.protocol import Source
from edge_app.sources.recording.player import RecordingSource
from edge_app.sources.recording.session import SessionRecording, count_openings
from edge_app.sources.recording.session_format import MAGIC
from edge_app.sources.simulated import simulated_eeg, simulated_face, simulated_imu
from edge_app.supervisor import StreamJob, Supervisor
from tests.lsl_outlet import OutletProcess, OutletSpec
from tests.scripted import ScriptedSource, seconds

UNIX_OF_ZERO_S = 1_800_000_000.25
LOST = SourceLostError("gone", source="s", next_step="wait")


class Breaking(ScriptedSource):
    """A simulated sensor that is lost after so many samples, and starts later the next time."""

    def __init__(self, source: Source, n_samples: int, offset_s: float) -> None:
        super().__init__()
        self._source, self._n, self._offset_s = source, n_samples, offset_s

    async def open(self) -> StreamInfo:
        return await self._source.open()

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        n = 0
        async for chunk in self._source:
            n += chunk.times_s.shape[0]
            yield Chunk(chunk.times_s + self._offset_s, chunk.samples)
            if n >= self._n:
                raise LOST


def live(task: str, sources: list[Source], recorder: Recorder, kind: str) -> list[Prediction]:
    """Run sources one after another as the supervisor does, recorded; return what was said."""
    said: list[Prediction] = []
    bundle = open_bundle(find_bundle(task))
    road = StreamRoad(bundle)
    health = StreamHealth("s")
    tap = recorder.tap("s", kind, lambda: UNIX_OF_ZERO_S)  # type: ignore[arg-type]
    assert tap is not None
    left = iter(sources)

    def build() -> Pipeline:
        return Pipeline(tap(next(left)), road.prepare, said.append, health, clock=MonotonicClock())

    supervisor = Supervisor([StreamJob(health, build)], first_backoff_s=0.01)
    supervisor.start()
    supervisor.join(60.0)
    assert health.state == "ended"
    assert health.restarts >= 1
    recorder.close()
    return said


def without_latency(line: str) -> dict[str, object]:
    return json.loads(line) | {"latency_s": None}


SENSORS: dict[str, tuple[str, Callable[..., Source], int, float]] = {
    "sleep": ("eeg", simulated_eeg, 30_000, 300.0),
    "frailty": ("imu", simulated_imu, 9_000, 90.0),
    "emotion": ("video", simulated_face, 30, 2.0),
}


@pytest.mark.parametrize("task", SENSORS)
def test_a_recorded_stream_that_failed_and_came_back_replays_to_the_same_predictions(
    task: str, tmp_path: Path
) -> None:
    kind, sensor, n_samples, duration_s = SENSORS[task]

    def make(seed: int) -> Source:
        return sensor(name="s", seed=seed, paced=False, duration_s=duration_s, chunk_samples=17)

    sources = [
        Breaking(make(1), n_samples // 2, 100.0),
        Breaking(make(2), n_samples // 3, 900.0),
        make(3),
    ]
    recorder = Recorder(tmp_path / "night", video=True)
    said = live(task, sources, recorder, kind)
    stream = tmp_path / "night" / "s.stream"
    assert count_openings(stream) == 3
    done = replay(ReplayRequest(stream, task, find_bundle(task), tmp_path / "out"))
    told = [without_latency(line) for line in done.path.read_text().splitlines()]
    expected = [
        without_latency(to_json(prediction, UNIX_OF_ZERO_S + prediction.time_s))
        for prediction in said
    ]
    assert len(told) > 5
    assert told == expected


def recorded(path: Path, *script: Chunk | Exception) -> Path:
    """Record what a scripted source delivers into ``path``."""
    recorder = Recorder(path)
    tap = recorder.tap("s", "eeg", lambda: UNIX_OF_ZERO_S)
    assert tap is not None
    source = tap(ScriptedSource(*script))

    async def run() -> None:
        await source.open()
        async for _ in source:
            pass
        await source.close()

    with contextlib.suppress(SourceLostError):
        asyncio.run(run())
    recorder.close()
    return path / "s.stream"


def test_samples_come_back_as_they_were_nan_and_gaps_included(tmp_path: Path) -> None:
    spoilt = Chunk(np.array([5.0, 5.1]), np.array([[np.nan], [np.inf]], np.float32))
    given = [seconds(0, 2), spoilt, seconds(9, 10)]
    recording = SessionRecording(recorded(tmp_path, *given, LOST))
    got = list(recording.chunks())
    recording.close()
    for one, other in zip(got, given, strict=True):
        np.testing.assert_array_equal(one.times_s, other.times_s)
        np.testing.assert_array_equal(one.samples, other.samples)
    assert recording.info.start_unix_s == UNIX_OF_ZERO_S
    assert recording.duration_s == pytest.approx(10.0)
    again = SessionRecording(tmp_path / "s.stream")
    cut = list(again.chunks(7))
    again.close()
    np.testing.assert_array_equal(
        np.concatenate([c.times_s for c in cut]), np.concatenate([c.times_s for c in given])
    )
    assert max(len(c.times_s) for c in cut) == 7


def test_a_torn_last_record_is_left_out_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = recorded(tmp_path, seconds(0, 1), seconds(1, 2)).read_bytes()
    last = len(whole) - 4 - 10 * 12 - 9  # count, ten stamps and samples, head
    cut = tmp_path / "cut.stream"
    for n in range(last, len(whole)):
        cut.write_bytes(whole[:n])
        recording = SessionRecording(cut)
        assert sum(c.times_s.size for c in recording.chunks()) == 10
        recording.close()


def test_damage_in_the_middle_is_told_with_its_place(tmp_path: Path) -> None:
    path = recorded(tmp_path, seconds(0, 1), seconds(1, 2))
    whole = bytearray(path.read_bytes())
    whole[-150] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SourceError, match="damaged at byte"):
        SessionRecording(path)


def test_damage_in_a_later_opening_leaves_the_earlier_ones_whole(tmp_path: Path) -> None:
    """Of a night with many openings each reads its own part of the file only."""
    one = recorded(tmp_path, seconds(0, 1), seconds(1, 2)).read_bytes()
    body = one[len(MAGIC) :]
    path = tmp_path / "night.stream"
    path.write_bytes(one + body[:-1] + b"?" + body)
    assert count_openings(path) == 3
    for opening in (0, 2):
        recording = SessionRecording(path, opening=opening)
        assert sum(c.times_s.size for c in recording.chunks()) == 20
        assert recording.duration_s == pytest.approx(2.0)
        recording.close()
    with pytest.raises(SourceError, match="damaged at byte"):
        SessionRecording(path, opening=1)


def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    before = recorded(tmp_path, seconds(0, 1)).read_bytes()
    with pytest.raises(ConfigError, match="not written over"):
        Recorder(tmp_path).tap("s", "eeg", lambda: 0.0)
    assert (tmp_path / "s.stream").read_bytes() == before


def test_a_full_disk_is_told_and_does_not_stop_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StreamFile(tmp_path / "s.stream")
    write = os.write
    left = [3]  # bytes that the disk still takes

    def nearly_full(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n = write(descriptor, bytes(data)[: left[0]])
        left[0] -= n
        return n

    file.append(b"before")
    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
        patched.setattr("os.write", nearly_full)
        file.append(b"lost")
    file.append(b"after")
    loss = file.close()
    assert loss is not None
    assert "1 record could not be written" in str(loss)
    assert file.close() is None
    assert file.lost_records == 1
    assert "No space left" in caplog.text
    assert (tmp_path / "s.stream").read_bytes() == b"BEDSIDE1beforeafter"


def test_pictures_are_kept_only_when_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert Recorder(tmp_path).tap("face", "video", lambda: 0.0) is None
    assert "--video" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_stream_is_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path, seconds(0, 1))
    with pytest.raises(SourceError, match="is eeg, not imu"):
        asyncio.run(RecordingSource(path, kind="imu").open())


@pytest.mark.lsl
def test_markers_are_kept_with_their_time(tmp_path: Path) -> None:
    network = LslNetwork(f"bedside-{os.getpid()}", resolve_scope="machine")
    recorder = Recorder(tmp_path, markers=LslMarkers(network))
    spec = OutletSpec("buttons", name="buttons", stream_type="Markers", format="string", rate_hz=0)
    outlet = OutletProcess(spec, network)
    kept = tmp_path / "markers.jsonl"
    try:
        outlet.wait_until_up()
        deadline_s = time.monotonic() + 20.0
        while not kept.read_text() and time.monotonic() < deadline_s:
            outlet.tell(push="lights out")
            time.sleep(0.2)
            recorder.write_markers()
    finally:
        outlet.kill()
        assert recorder.close() is None
    first = json.loads(kept.read_text().splitlines()[0])
    assert (first["stream"], first["text"]) == ("buttons", "lights out")
    assert abs(time.monotonic() - first["time_s"]) < 30.0


def test_an_opening_that_did_not_fit_is_passed_over_as_it_was_live(tmp_path: Path) -> None:
    class Slow(ScriptedSource):
        async def open(self) -> StreamInfo:
            return StreamInfo("s", "eeg", 10.0, ("c",), ("uV",), "test", True)

    def sleeper(seed: int) -> Source:
        return simulated_eeg(name="s", seed=seed, paced=False, duration_s=120.0)

    sources = [Breaking(sleeper(1), 6000, 100.0), Slow(seconds(0, 9), LOST), sleeper(2)]
    said = live("sleep", sources, Recorder(tmp_path), "eeg")
    done = replay(
        ReplayRequest(tmp_path / "s.stream", "sleep", find_bundle("sleep"), tmp_path / "out")
    )
    assert len(said) >= 6
    assert len(done.path.read_text().splitlines()) == len(said)
