"""EEG over real LSL: outlets in other processes on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_app.clock import MonotonicClock
from edge_app.contracts import Chunk
from edge_app.errors import SourceError, SourceLostError, SourceNotFoundError
from edge_app.loopback import LslLoopbackSource
from edge_app.sources.lsl_eeg import LslEegSource, configure_liblsl
from edge_app.sources.simulated import simulated_eeg

pytestmark = pytest.mark.lsl
SESSION = f"bedside-{os.getpid()}"
Outlet = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def outlet() -> Iterator[Outlet]:
    configure_liblsl(SESSION)
    started: list[subprocess.Popen[bytes]] = []

    def start(source_id: str, **change: object) -> subprocess.Popen[bytes]:
        given = {
            "name": "band",
            "source_id": source_id,
            "labels": ["Fpz-Cz"],
            "units": ["microvolts"],
            "rate_hz": 100,
            "sends": True,
        } | change
        command = [sys.executable, "-m", "tests.lsl_outlet", SESSION, json.dumps(given)]
        root = Path(__file__).resolve().parents[1]
        started.append(subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def source(source_id: str, **change: object) -> LslEegSource:
    return LslEegSource(
        name="eeg", source_id=source_id, resolve_timeout_s=10.0, session=SESSION, **change
    )  # type: ignore[arg-type]


async def take(stream: LslEegSource | LslLoopbackSource, n: int) -> Chunk:
    """Collect n samples."""
    times_s, samples = np.empty(0), np.empty((0, 1), np.float32)
    async for chunk in stream:
        times_s = np.concatenate([times_s, chunk.times_s])
        samples = np.concatenate([samples, chunk.samples])
        if len(times_s) >= n:
            break
    return Chunk(times_s, samples)


async def test_samples_arrive_whole_in_microvolts_on_the_local_clock(outlet: Outlet) -> None:
    outlet("whole", labels=["Fpz-Cz", "Pz-Oz"], units=["mV", "mV"])
    async with source("whole", channel="pz-oz") as stream:
        assert isinstance(stream, LslEegSource)
        got = await take(stream, 150)
    info_s = np.diff(got.times_s)
    np.testing.assert_allclose(info_s, 0.01, atol=1e-6)
    values = got.samples[:, 0] / 1000.0  # mV became uV
    np.testing.assert_allclose(np.diff(values), 1.0, atol=1e-3)
    assert values[0] >= 1000  # the second channel
    assert abs(time.monotonic() - got.times_s[-1]) < 1.0


async def test_the_stream_is_described(outlet: Outlet) -> None:
    outlet("described", rate_hz=250)
    stream = source("described")
    info = await stream.open()
    await stream.close()
    await stream.close()
    assert (info.kind, info.rate_hz, info.channels, info.units) == (
        "eeg",
        250.0,
        ("Fpz-Cz",),
        ("uV",),
    )
    assert not info.simulated
    assert "band" in info.device


async def test_an_outlet_that_dies_is_lost_not_silently_recovered(outlet: Outlet) -> None:
    process = outlet("dies")
    async with source("dies") as stream:
        assert isinstance(stream, LslEegSource)
        await take(stream, 20)
        process.kill()
        with pytest.raises(SourceLostError):
            await take(stream, 10_000)


async def test_an_outlet_that_sends_nothing_is_lost_too(outlet: Outlet) -> None:
    outlet("mute", sends=False)
    async with source("mute", stale_after_s=0.5) as stream:
        assert isinstance(stream, LslEegSource)
        with pytest.raises(SourceLostError, match=r"no data for 0\.5 s"):
            await take(stream, 1)


async def test_a_stream_that_is_not_there_is_reported_with_those_that_are(outlet: Outlet) -> None:
    outlet("present", name="other band")
    missing = LslEegSource(name="eeg", source_id="absent", resolve_timeout_s=2.0, session=SESSION)
    with pytest.raises(SourceNotFoundError) as caught:
        await missing.open()
    assert "other band (present)" in str(caught.value)


@pytest.mark.parametrize(
    ("outlet_given", "source_given", "says"),
    [
        ({"labels": ["A", "B"], "units": ["uV", "uV"]}, {}, "several channels"),
        ({"labels": ["A", "B"], "units": ["uV", "uV"]}, {"channel": "C"}, r"\['A', 'B'\], got C"),
        ({"units": None}, {}, "does not say in which unit"),
        ({"units": ["furlong"]}, {}, "furlong"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    outlet: Outlet, outlet_given: dict[str, object], source_given: dict[str, object], says: str
) -> None:
    outlet("odd", **outlet_given)
    with pytest.raises(SourceError, match=says):
        await source("odd", **source_given).open()


async def test_a_stop_while_searching_is_obeyed_within_a_second() -> None:
    configure_liblsl(SESSION)
    searching = asyncio.create_task(source("never").open())
    await asyncio.sleep(0.3)
    searching.cancel()
    begun_s = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await searching
    await asyncio.get_running_loop().shutdown_default_executor()  # waits for the thread
    assert time.monotonic() - begun_s < 1.0


async def test_the_simulated_sleeper_comes_back_through_lsl_with_its_truth() -> None:
    clock = MonotonicClock(speed=20.0)
    sensor = simulated_eeg(name="eeg", seed=3, clock=clock, paced=True)
    direct = simulated_eeg(name="eeg", seed=3, paced=False, duration_s=60.0)
    loopback = LslLoopbackSource(name="eeg", sensor=sensor, clock=clock)
    async with direct, loopback:
        expected = np.concatenate([chunk.samples async for chunk in direct])
        got = await take(loopback, 2000)
        assert loopback.truth_at(float(got.times_s[0])) == "W"
    # what came is a stretch of the simulated night, sample for sample
    starts = [i for i in range(3000) if expected[i, 0] == got.samples[0, 0]]
    assert any(np.array_equal(expected[i : i + 2000], got.samples[:2000]) for i in starts)
