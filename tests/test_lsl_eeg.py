"""EEG over real LSL: outlets in other processes on loopback."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

from edge_app.clock import MonotonicClock
from edge_app.contracts import Chunk, StreamInfo
from edge_app.errors import ConfigError, SourceError, SourceLostError, SourceNotFoundError
from edge_app.health import StreamHealth
from edge_app.loopback import LslLoopbackSource
from edge_app.pipeline import Pipeline
from edge_app.sources import liblsl, lsl_inlet
from edge_app.sources.liblsl import LslNetwork, configure_liblsl
from edge_app.sources.lsl_eeg import LslEegSource
from edge_app.sources.protocol import Source
from edge_app.sources.rate_check import RateCheck
from edge_app.sources.simulated import simulated_eeg
from edge_app.supervisor import StreamJob, Supervisor
from tests.lsl_outlet import OutletProcess, OutletSpec

pytestmark = pytest.mark.lsl
NETWORK = LslNetwork(f"bedside-{os.getpid()}", resolve_scope="machine")  # as the loopback's
Outlet = Callable[..., OutletProcess]


@pytest.fixture
def outlet() -> Iterator[Outlet]:
    configure_liblsl(NETWORK)
    started: list[OutletProcess] = []

    def start(source_id: str, **change: Any) -> OutletProcess:
        started.append(OutletProcess(OutletSpec(source_id, **change), NETWORK))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def source(source_id: str | None, **change: Any) -> LslEegSource:
    given = {"resolve_timeout_s": 10.0, "network": NETWORK} | change
    return LslEegSource(name="eeg", source_id=source_id, **given)


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
    outlet("mute", how_sends_hz=0)
    async with source("mute", stale_after_s=0.5) as stream:
        assert isinstance(stream, LslEegSource)
        with pytest.raises(SourceLostError, match=r"no data for 0\.5 s"):
            await take(stream, 1)


async def test_a_stream_that_is_not_there_is_reported_with_those_that_are(outlet: Outlet) -> None:
    outlet("present", name="other band")
    missing = source("absent", resolve_timeout_s=2.0)
    with pytest.raises(SourceNotFoundError) as caught:
        await missing.open()
    assert "other band (present) on " in str(caught.value)
    assert f"this device hears session '{NETWORK.session}' only" in caught.value.next_step
    assert "`edge-app devices --config YOUR.yaml`" in caught.value.next_step


def test_what_came_before_an_outlet_went_is_not_thrown_away() -> None:
    """liblsl says that it is lost at the second of the two calls of a pull."""

    class LostError(Exception):
        pass

    class Half:
        def pull_sample(self, timeout: float) -> tuple[list[float], float]:  # noqa: ARG002
            return [7.0], 3.0

        def pull_chunk(self, **_: object) -> None:
            raise LostError

    inlet = object.__new__(lsl_inlet.LslInlet)
    inlet.index, inlet.unstamped, inlet.offset_s, inlet.shift_s = 0, 0, 0.0, 0.0
    inlet._name, inlet._gone, inlet._inlet = "eeg", False, Half()
    inlet._rows = np.empty((4, 1))
    inlet._pylsl = SimpleNamespace(util=SimpleNamespace(LostError=LostError))
    pulled = inlet.pull()
    assert pulled is not None
    assert (pulled.values.tolist(), pulled.times_s.tolist()) == ([7.0], [3.0])
    with pytest.raises(SourceLostError, match="the LSL outlet has gone"):
        inlet.pull()


@pytest.mark.parametrize("clock_s", [1.7e9, 20.0, -20.0])
async def test_stamps_of_another_clock_are_moved_to_their_arrival(
    outlet: Outlet, clock_s: float
) -> None:
    outlet("foreign", how_clock_s=clock_s)
    async with source("foreign") as stream:
        assert isinstance(stream, LslEegSource)
        (assumption,) = stream.assumptions
        got = await take(stream, 100)
    assert "the sender's stamps are not on LSL's clock: shifted by " in assumption
    shift_s = float(assumption.split("shifted by ")[1].split(" s")[0])
    assert shift_s == pytest.approx(-clock_s, rel=1e-3, abs=1.0)
    assert abs(time.monotonic() - got.times_s[-1]) < 1.0
    np.testing.assert_allclose(np.diff(got.times_s), 0.01, atol=1e-4)
    assert stream.trouble == ""


@pytest.mark.parametrize("rate_hz", [100.0, 250.0])
async def test_unstamped_bursts_lose_nothing(outlet: Outlet, rate_hz: float) -> None:
    """Stamped by LSL at the push, five at a time, each up to 30 ms late."""
    outlet("bursts", rate_hz=rate_hz, how_unstamped_burst=5, how_late_s=0.03)
    told: list[str] = []
    async with source("bursts") as stream:
        assert isinstance(stream, LslEegSource)
        stream.on_trouble = told.append
        got = await take(stream, int(10 * rate_hz))
        figures = dict(stream.figures)
    assert stream.assumptions == ()
    np.testing.assert_array_equal(np.diff(got.samples[:, 0]), 1.0)  # all there, none twice
    assert (figures["gaps"], figures["lost_samples"], told) == (0, 0, [])
    assert (np.diff(got.times_s) * rate_hz < 1.5).all()


@pytest.mark.parametrize(
    ("outlet_given", "source_given", "says"),
    [
        ({"labels": ["A", "B"], "units": ["uV", "uV"]}, {}, "several channels"),
        ({"labels": ["A", "B"], "units": ["uV", "uV"]}, {"channel": "C"}, r"\['A', 'B'\], got C"),
        ({"units": None}, {}, "does not say in which unit"),
        ({"units": ["furlong"]}, {}, "unit that is not known, .* got furlong"),
        ({"format": "string", "how_sends_hz": 0}, {}, "sends text, not numbers"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    outlet: Outlet, outlet_given: dict[str, object], source_given: dict[str, object], says: str
) -> None:
    outlet("odd", **outlet_given)
    with pytest.raises(SourceError, match=says):
        await source("odd", **source_given).open()


async def test_a_stop_while_searching_is_obeyed_within_a_second() -> None:
    configure_liblsl(NETWORK)
    searching = asyncio.create_task(source("never").open())
    await asyncio.sleep(0.3)
    searching.cancel()
    begun_s = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await searching
    await asyncio.get_running_loop().shutdown_default_executor()  # waits for the thread
    assert time.monotonic() - begun_s < 1.0


def test_an_outlet_that_freezes_once_found_does_not_hold_up_a_stop(outlet: Outlet) -> None:
    """Frozen, it accepts a connection and never answers: every call into liblsl blocks."""
    process = outlet("freezes")
    frozen = threading.Event()

    class Freezing(LslEegSource):
        def _resolve(self, cancelled: threading.Event) -> object:
            found = super()._resolve(cancelled)
            process.freeze()
            frozen.set()
            return found

    def build() -> Pipeline:
        stream = Freezing(name="eeg", source_id="freezes", resolve_timeout_s=20.0, network=NETWORK)
        return Pipeline(stream, never, never, health, clock=None)

    def never(_: object) -> NoReturn:
        raise AssertionError("nothing was opened")

    health = StreamHealth("eeg")
    before = set(threading.enumerate())
    supervisor = Supervisor([StreamJob(health, build)])
    supervisor.start()
    assert frozen.wait(20.0)
    time.sleep(0.3)  # into the blocking call
    assert supervisor.stop() == []  # within STOP_WITHIN_S, and its executor is gone with it
    assert set(threading.enumerate()) <= before
    assert (health.state, health.last_error) == ("ended", "")


async def test_an_outlet_that_freezes_once_found_is_given_up(
    outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = outlet("frozen")
    stream = source("frozen")
    await stream.open()
    await stream.close()
    resolve = LslEegSource._resolve

    def freeze(self: LslEegSource, cancelled: threading.Event) -> object:
        found = resolve(self, cancelled)
        process.freeze()
        return found

    monkeypatch.setattr(LslEegSource, "_resolve", freeze)
    stream = source("frozen", resolve_timeout_s=2.0)
    with pytest.raises(SourceLostError, match="found but does not answer"):
        await stream.open()


@pytest.fixture
def no_tidying() -> Iterator[None]:
    """Objects that refer to each other stay, as they may for hours in a quiet program."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def fail_to_open(stream: LslEegSource, problem: str) -> None:
    """Open as the supervisor does; asyncio.run leaves its errors in a ring with their traceback."""
    with pytest.raises(SourceError, match=problem):
        asyncio.run(stream.open())


@pytest.mark.usefixtures("no_tidying")
def test_searches_in_vain_leave_no_sockets_behind() -> None:
    configure_liblsl(NETWORK)
    stream = source("nobody", resolve_timeout_s=0.2)
    fail_to_open(stream, "no LSL stream with")
    before = descriptors()
    for _ in range(3):
        fail_to_open(stream, "no LSL stream with")
    assert descriptors() <= before + 1


@pytest.mark.usefixtures("no_tidying")
@pytest.mark.parametrize("fault", ["frozen", "dead"])
def test_connections_that_fail_leave_no_sockets_behind(
    outlet: Outlet, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    found: list[object] = []

    def once(_self: LslEegSource, cancelled: threading.Event) -> object:
        if not found:
            found.append(resolve(_self, cancelled))
            process.freeze() if fault == "frozen" else process.kill()
        return found[0]

    process = outlet(fault)
    process.wait_until_up()
    resolve = LslEegSource._resolve
    monkeypatch.setattr(LslEegSource, "_resolve", once)
    stream = source(fault, resolve_timeout_s=1.0)
    fail_to_open(stream, "LSL outlet")
    before = descriptors()
    for _ in range(3):
        fail_to_open(stream, "LSL outlet")
    assert descriptors() <= before + 1


async def test_samples_without_a_time_are_skipped_and_said_once(
    outlet: Outlet, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lsl_inlet, "CORRECT_EVERY_S", 0.0)  # clocks compared at every pull
    outlet("untimed", how_unstamped_every=4)
    with caplog.at_level(logging.WARNING):
        async with source("untimed") as stream:
            assert isinstance(stream, LslEegSource)
            got = await take(stream, 90)
    assert np.isfinite(got.times_s).all()
    assert (got.samples[:, 0] % 4 != 0).all()
    assert caplog.text.count("samples without a time are skipped") == 1
    assert abs(time.monotonic() - got.times_s[-1]) < 1.0


def test_a_process_has_one_lsl_session() -> None:
    configure_liblsl(NETWORK)
    configure_liblsl(NETWORK)
    for other in (LslNetwork("another"), None):
        with pytest.raises(ConfigError, match="one LSL session and network only"):
            configure_liblsl(other)


def test_a_session_and_a_settings_file_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liblsl, "_requested", [])
    monkeypatch.setenv("LSLAPICFG", "ward.cfg")
    with pytest.raises(ConfigError, match=r"ward\.cfg"):
        configure_liblsl(LslNetwork("bed-9"))
    configure_liblsl(None)


def measure(check: RateCheck, times_s: np.ndarray) -> list[float]:
    """Return every wrong rate that the check finds, fed ten samples at a time."""
    found = [check.wrong_rate_hz(times_s[i : i + 10]) for i in range(0, len(times_s), 10)]
    return [rate_hz for rate_hz in found if rate_hz is not None]


@pytest.mark.parametrize("jitter_s", [0.0, 0.02])
def test_the_rate_is_measured_over_stretches_without_a_gap(jitter_s: float) -> None:
    n = np.arange(6000)
    rng = np.random.default_rng(0)
    right_s = n / 100.0 + rng.uniform(-jitter_s, jitter_s, len(n))
    lost = (n // 20) % 10 == 3  # a packet of 20 in 10 is lost: 10 % fewer samples
    assert measure(RateCheck(100.0, jitter_s), right_s) == []
    assert measure(RateCheck(100.0, jitter_s), right_s[~lost]) == []
    assert measure(RateCheck(100.0, jitter_s), np.concatenate([right_s, right_s])) == []
    for sends_hz in (25.0, 94.0, 106.0, 250.0):
        wrong = measure(RateCheck(100.0, jitter_s), n / sends_hz)
        assert len(wrong) > 1
        np.testing.assert_allclose(wrong, sends_hz, rtol=1e-6)
    assert measure(RateCheck(100.0, jitter_s), n / 96.0) == []
    assert measure(RateCheck(100.0, jitter_s), np.zeros(6000)) == [np.inf] * 6


@pytest.mark.parametrize("stretch_s", [None, 1.0])
def test_bursts_without_stamps_of_their_own_are_no_wrong_rate(stretch_s: float | None) -> None:
    n = np.arange(6000)
    times_s = (n // 5 + 1) * 0.02 + 1e-6 * (n % 5)
    assert measure(RateCheck(250.0, 0.02, stretch_s), times_s) == []


class Broken(Source):
    """A sensor that sends one chunk and then fails."""

    def __init__(self) -> None:
        self._sensor = simulated_eeg(name="eeg", seed=1, clock=MonotonicClock(), paced=True)
        self.closed = 0

    async def open(self) -> StreamInfo:
        return await self._sensor.open()

    async def close(self) -> None:
        self.closed += 1
        await self._sensor.close()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        async for chunk in self._sensor:
            yield chunk
            raise SourceError("its battery is empty", source="sensor", next_step="charge it")


async def test_a_sensor_that_fails_behind_the_loopback_is_heard() -> None:
    """Its own error, not a silence noticed seconds later."""
    sensor = Broken()
    loopback = LslLoopbackSource(name="eeg", sensor=sensor)
    with pytest.raises(SourceError, match="battery is empty"):
        async with loopback:
            await take(loopback, 10_000)
    assert sensor.closed >= 1


async def test_the_loopback_closes_the_sensor_though_the_inlet_does_not_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def close_and_fail(inlet: LslEegSource) -> None:
        await close(inlet)
        raise SourceError("the inlet hangs", source="eeg", next_step="wait")

    close = LslEegSource.close
    sensor = simulated_eeg(name="eeg", seed=1, clock=MonotonicClock(), paced=True)
    loopback = LslLoopbackSource(name="eeg", sensor=sensor)
    await loopback.open()
    monkeypatch.setattr(LslEegSource, "close", close_and_fail)
    with pytest.raises(SourceError, match="the inlet hangs"):
        await loopback.close()
    assert [chunk async for chunk in sensor] == []  # a closed source delivers nothing


async def test_the_simulated_sleeper_comes_back_through_lsl_with_its_truth() -> None:
    clock = MonotonicClock(speed=20.0)
    sensor = simulated_eeg(name="eeg", seed=3, clock=clock, paced=True)
    direct = simulated_eeg(name="eeg", seed=3, paced=False, duration_s=60.0)
    loopback = LslLoopbackSource(name="eeg", sensor=sensor)
    async with direct, loopback:
        expected = np.concatenate([chunk.samples async for chunk in direct])
        got = await take(loopback, 2000)
        assert loopback.truth_at(float(got.times_s[0])) == "W"
    # what came is a stretch of the simulated night, sample for sample
    starts = [i for i in range(3000) if expected[i, 0] == got.samples[0, 0]]
    assert any(np.array_equal(expected[i : i + 2000], got.samples[:2000]) for i in starts)
