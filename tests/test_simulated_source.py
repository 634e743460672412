"""Simulated sources: exact stamps, the same samples however they are cut, pacing, truth."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from edge_app.contracts import IMU_CHANNELS, Overflow
from edge_app.errors import ConfigError
from edge_app.simulation.gait_parameters import load_gait_rows
from edge_app.sources.simulated import simulated_eeg, simulated_face, simulated_imu
from edge_app.sources.simulated_source import HISTORY_BLOCKS

MAKERS = {"eeg": simulated_eeg, "imu": simulated_imu, "face": simulated_face}
EACH = pytest.mark.parametrize("sensor", sorted(MAKERS))


class TestClock:
    """Time moves when somebody sleeps on it, or when the test moves it."""

    __test__ = False

    def __init__(self, now_s=1000.0):
        self.time_s = now_s

    def now_s(self):
        return self.time_s

    async def sleep_until_s(self, time_s):
        self.time_s = max(self.time_s, time_s)
        await asyncio.sleep(0)


class StuckClock(TestClock):
    """Time never comes."""

    async def sleep_until_s(self, time_s):  # noqa: ARG002
        await asyncio.Event().wait()


async def collect(source):
    async with source:
        chunks = [chunk async for chunk in source]
    return np.concatenate([c.times_s for c in chunks]), np.concatenate([c.samples for c in chunks])


def unpaced(sensor, **kwargs):
    return MAKERS[sensor](name="s", **{"seed": 5, "paced": False, "duration_s": 8.0, **kwargs})


@EACH
@pytest.mark.parametrize("chunk_samples", [1, 7, 50, 333, None])
async def test_samples_do_not_depend_on_the_chunk(sensor, chunk_samples):
    times_s, samples = await collect(unpaced(sensor, chunk_samples=chunk_samples))
    expected_s, expected = await collect(unpaced(sensor, chunk_samples=10_000))
    np.testing.assert_array_equal(times_s, expected_s)
    np.testing.assert_array_equal(samples, expected)


async def test_cuts_across_blocks_lose_nothing():
    one = unpaced("eeg", duration_s=95.0, chunk_samples=333)
    other = unpaced("eeg", duration_s=95.0, chunk_samples=7000)
    np.testing.assert_array_equal((await collect(one))[1], (await collect(other))[1])


@EACH
async def test_stamps_are_start_plus_index_over_rate(sensor):
    source = unpaced(sensor)
    async with source:
        info = await source.open()
    times_s, samples = await collect(source)
    assert len(samples) == len(times_s) == 8 * info.rate_hz
    np.testing.assert_array_equal(times_s, np.arange(len(times_s)) / info.rate_hz)
    assert source.duration_s == 8.0
    clock = TestClock(1234.5)
    paced_s, paced = await collect(unpaced(sensor, paced=True, clock=clock))
    np.testing.assert_array_equal(paced_s, 1234.5 + np.arange(len(times_s)) / info.rate_hz)
    np.testing.assert_array_equal(paced, samples)


@EACH
async def test_it_is_called_simulated(sensor):
    source = unpaced(sensor)
    info = await source.open()
    await source.close()
    assert info.simulated
    assert "simulated" in info.device
    assert any("simulated" in text for text in source.assumptions)


async def test_units_and_channels():
    infos = {sensor: await unpaced(sensor).open() for sensor in MAKERS}
    assert (infos["eeg"].channels, infos["eeg"].units) == (("Fpz-Cz",), ("uV",))
    assert infos["imu"].channels == IMU_CHANNELS
    assert infos["imu"].units == ("m/s^2",) * 3 + ("rad/s",) * 3
    assert infos["face"].kind == "video"


@EACH
async def test_a_second_open_begins_again(sensor):
    source = unpaced(sensor, duration_s=3.0)
    first, second = await collect(source), await collect(source)
    await source.close()
    np.testing.assert_array_equal(first[1], second[1])
    assert len([chunk async for chunk in source]) == 0  # closed: ends at once


@EACH
async def test_paced_samples_come_when_they_are_due(sensor):
    clock = TestClock()
    source = unpaced(sensor, paced=True, clock=clock)
    async with source:
        async for chunk in source:
            assert chunk.times_s[-1] <= clock.now_s() + 1e-9
            assert chunk.times_s[-1] > clock.now_s() - 0.2


@pytest.mark.parametrize("sensor", ["eeg", "imu"])
async def test_a_late_reader_of_a_signal_gets_everything(sensor):
    clock = TestClock()
    source = unpaced(sensor, paced=True, clock=clock, duration_s=60.0)
    parts = []
    async with source:
        assert source.overflow is Overflow.BLOCK
        async for chunk in source:
            parts.append(chunk)
            if len(parts) in (3, 9):
                clock.time_s += 17.3
    assert source.dropped == 0
    expected_s, expected = await collect(unpaced(sensor, duration_s=60.0))
    np.testing.assert_array_equal(np.concatenate([p.samples for p in parts]), expected)
    np.testing.assert_array_equal(np.concatenate([p.times_s for p in parts]), 1000 + expected_s)


async def test_a_late_reader_of_frames_gets_the_newest_and_the_rest_is_counted():
    clock = TestClock()
    source = unpaced("face", paced=True, clock=clock, duration_s=20.0, rate_hz=10.0)
    every = (await collect(unpaced("face", duration_s=20.0, rate_hz=10.0)))[1]
    indices = []
    async with source:
        assert source.overflow is Overflow.NEWEST
        async for chunk in source:
            assert len(chunk.times_s) == 1
            indices.append(round((chunk.times_s[0] - 1000.0) * 10))
            np.testing.assert_array_equal(chunk.samples[0], every[indices[-1]])
            if len(indices) == 5:
                clock.time_s += 1.25  # frames 5 to 15 are gone, 16 is the newest due
    assert indices == [0, 1, 2, 3, 4, 16, *range(17, 200)]
    assert source.dropped == 11
    await source.open()
    assert source.dropped == 0


async def test_closing_ends_a_pending_iteration():
    source = simulated_eeg(name="s", clock=StuckClock(), chunk_samples=3000)
    await source.open()
    pending = asyncio.ensure_future(anext(source.__aiter__(), None))
    await asyncio.sleep(0.01)
    assert not pending.done()
    await source.close()
    assert await asyncio.wait_for(pending, 1.0) is None


async def test_cancelling_ends_a_pending_iteration():
    source = simulated_imu(name="s", clock=StuckClock())
    await source.open()
    pending = asyncio.ensure_future(anext(source.__aiter__()))
    await asyncio.sleep(0.01)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(pending, 1.0)
    assert len(asyncio.all_tasks()) == 1  # nothing is left behind


async def test_truth_of_the_sleeper_is_the_stage_of_the_epoch():
    from edge_app.simulation.sleep_eeg import simulate_night

    night = simulate_night(rate_hz=20.0, seed=5)
    stages = [next(night).stage for _ in range(100)]
    assert len(set(stages)) > 1
    source = unpaced("eeg", rate_hz=20.0, duration_s=3000.0)
    await collect(source)
    assert [source.truth_at(30.0 * k + 0.01) for k in range(100)] == stages
    assert [source.truth_at(30.0 * k + 29.99) for k in range(100)] == stages
    assert source.truth_at(-1.0) is None
    assert source.truth_at(1e6) is None


async def test_truth_of_the_walker_is_its_class():
    source = unpaced("imu", frailty="frail")
    await collect(source)
    assert source.truth_at(4.0) == "frail"
    by_hand = unpaced("imu", parameters=load_gait_rows()[0])
    await collect(by_hand)
    assert by_hand.truth_at(4.0) == load_gait_rows()[0].frailty == "robust"


async def test_truth_of_the_face_follows_the_clock():
    source = unpaced("face", paced=True, clock=TestClock(500.0), duration_s=1.0)
    await collect(source)
    assert source.truth_at(499.0) is None
    assert source.truth_at(500.0 + 7 * 6 + 6 + 1.0) == "none"
    assert source.truth_at(503.0) in {
        "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral",
    }  # fmt: skip


async def test_memory_does_not_grow_with_time():
    import tracemalloc

    source = unpaced("eeg", rate_hz=20.0, duration_s=None, chunk_samples=600)
    async with source:
        stream = source.__aiter__()
        for _ in range(HISTORY_BLOCKS + 20):
            await anext(stream)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(4 * HISTORY_BLOCKS):
            last = await anext(stream)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert after - before < 200_000  # the 960 epochs passed by are 2.3 MB
        newest_s = float(last.times_s[-1])
        assert source.truth_at(newest_s) is not None
        assert source.truth_at(newest_s - 30.0 * HISTORY_BLOCKS - 60.0) is None
        await stream.aclose()


@pytest.mark.parametrize("wrong", [{"chunk_samples": 0}, {"duration_s": 0.001}])
def test_a_delivery_without_samples_is_refused(wrong):
    with pytest.raises(ConfigError):
        unpaced("eeg", **wrong)


def test_an_unknown_class_of_walkers_is_refused():
    with pytest.raises(ConfigError, match="class of walkers"):
        unpaced("imu", frailty="pre-frail")
