"""Pace of a replay; the rules that it shares with all sources are in the conformance suite."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_app.contracts import Overflow
from edge_app.errors import ConfigError, SourceError
from edge_app.sources.recording.player import RecordingSource
from tests.recording_files import EdfSpec, edf_bytes


class ManualClock:
    """A clock that runs only while somebody sleeps on it."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now_s(self) -> float:
        return self.time_s

    async def sleep_until_s(self, time_s: float) -> None:
        self.time_s = max(self.time_s, time_s)
        await asyncio.sleep(0)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    path = tmp_path / "night.edf"
    path.write_bytes(edf_bytes(EdfSpec()))
    return path


@pytest.mark.parametrize("speed", [1.0, 20.0])
async def test_each_chunk_comes_when_a_live_sensor_would_have_it(night: Path, speed: float) -> None:
    clock = ManualClock()
    source = RecordingSource(night, kind="eeg", speed=speed, chunk_samples=250, clock=clock)
    came_s = []
    async with source:
        async for _ in source:
            came_s.append(clock.now_s() - 1000)
    assert came_s == pytest.approx([2.5 / speed, 5 / speed, 7.5 / speed, 10 / speed])


async def test_a_slow_reader_loses_nothing(night: Path) -> None:
    clock = ManualClock()
    source = RecordingSource(night, kind="eeg", speed=1.0, chunk_samples=100, clock=clock)
    stamps_s = []
    async with source:
        async for chunk in source:
            stamps_s += chunk.times_s.tolist()
            clock.time_s += 30
    assert stamps_s == [k / 100 for k in range(1000)]
    assert source.dropped == 0
    assert source.overflow is Overflow.BLOCK


async def test_close_ends_a_wait_for_a_sample_that_is_far_off(night: Path) -> None:
    source = RecordingSource(night, kind="eeg", speed=0.001)  # the first chunk is due in 1000 s
    await source.open()

    async def iterate() -> int:
        return len([chunk async for chunk in source])

    task = asyncio.create_task(iterate())
    await asyncio.sleep(0.01)
    await source.close()
    assert await asyncio.wait_for(task, 1) == 0


async def test_at_full_speed_other_tasks_get_their_turn(tmp_path: Path) -> None:
    path = tmp_path / "long.edf"
    path.write_bytes(edf_bytes(EdfSpec(n_records=600)))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with RecordingSource(path, kind="eeg", chunk_samples=1) as source:
        turns = 0
        n = 0
        async for _ in source:
            n += 1
    task.cancel()
    assert n == 60_000
    assert 1 < turns < n / 10


async def test_what_is_known_only_after_opening(night: Path) -> None:
    source = RecordingSource(night, kind="eeg")
    assert source.duration_s is None
    async with source:
        assert source.duration_s == 10
        assert any("taken as UTC" in sentence for sentence in source.assumptions)


async def test_a_cancelled_open_lets_go_of_the_file(night: Path) -> None:
    source = RecordingSource(night, kind="eeg")
    opening = asyncio.create_task(source.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert [chunk async for chunk in source] == []
    await source.open()
    await source.close()


def test_senseless_settings_are_refused_at_once(night: Path) -> None:
    for speed in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError):
            RecordingSource(night, kind="eeg", speed=speed)
    with pytest.raises(SourceError):
        RecordingSource(night, kind="eeg", chunk_samples=0)
