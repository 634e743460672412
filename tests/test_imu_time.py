"""Stamps of simulated IMUs over simulated links: drift, batches, stalls, loss, restarts."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.contracts import Chunk, StreamInfo, Window
from edge_app.sources.imu_assembler import ImuAssembler
from edge_app.sources.imu_protocols.generic import GenericImu
from edge_app.sources.imu_protocols.movella_dot import MEDIUM_PAYLOAD_UUID, MovellaDot
from edge_app.sources.imu_protocols.protocol import ImuSetup
from edge_app.sources.imu_time.clock_fit import ClockFit
from edge_app.windowing import SlidingWindows
from tests.imu_fuzz import started
from tests.imu_sensors import (
    GENERIC_NOTIFY,
    SENSORS,
    Faults,
    GenericSensor,
    Sensor,
    generic_layout,
    make_sensor,
    motion,
)

START_S = 1000.0
WITH_TIME = ["movella_dot", "movesense", "polar_h10", "polar_sense", "generic"]
HOST_ONLY = ["witmotion", "thingy52", "metamotion", "sensortag"]
Delay = Callable[[float, np.random.Generator], float]


def at_once(time_s: float, _draw: np.random.Generator) -> float:
    """Arrives 5 ms after it was sampled."""
    return time_s + 0.005


def batched(interval_s: float) -> Delay:
    """Arrives with the next connection event, all that waits at once."""

    def arrival_s(time_s: float, draw: np.random.Generator) -> float:
        return (int(time_s / interval_s) + 1) * interval_s + draw.uniform(0.0, 0.001)

    return arrival_s


@dataclass
class Run:
    """What came out of a stream.

    Attributes:
        assembler: after the last packet.
        times_s: stamps since the sensor's first sample.
        samples: as delivered.
        told: (when, trouble) at each change, seconds since the first sample.
    """

    assembler: ImuAssembler
    times_s: np.ndarray
    samples: np.ndarray
    told: list[tuple[float, str]]

    @property
    def info(self) -> StreamInfo:
        return self.assembler.info(device="simulated", simulated=True)

    @property
    def steps(self) -> np.ndarray:
        return np.diff(self.times_s) * self.info.rate_hz

    def lateness_s(self) -> np.ndarray:
        """How much later than the motion each stamp is, from the motion alone."""
        width, small = self.samples.shape[1], 1e-4
        truth = np.array([motion(t) for t in self.times_s])[:, :width]
        slope = np.array([motion(t + small) - motion(t - small) for t in self.times_s])
        slope = slope[:, :width] / (2 * small)
        return -((self.samples - truth) * slope).sum(axis=1) / (slope**2).sum(axis=1)

    def windows(self, length_s: float) -> list[Window]:
        n = round(length_s * self.info.rate_hz)
        windows = SlidingWindows(self.info, length_samples=n, hop_samples=n)
        return windows.push(Chunk(self.times_s, self.samples))

    def troubles(self) -> list[str]:
        return [text for _, text in self.told if text]


def run(
    sensor: Sensor,
    seconds: float,
    delay: Delay = at_once,
    lost: Callable[[int], bool] = lambda _k: False,
) -> Run:
    protocol, setup = started(sensor)
    assembler = ImuAssembler(protocol, setup, "foot")
    draw = np.random.default_rng(7)
    times_s, samples, told = [], [], [(0.0, "")]
    newest_s = 0.0
    for k in range(int(seconds * sensor.rate_hz)):
        time_s = START_S + k / sensor.rate_hz
        for uuid, data in sensor.packets(k):
            if lost(k):
                continue
            newest_s = max(newest_s, delay(time_s, draw))
            chunk = assembler.feed(uuid, data, newest_s)
            if chunk is not None:
                times_s.append(chunk.times_s - START_S)
                samples.append(chunk.samples)
        trouble = assembler.trouble(time_s)
        if trouble != told[-1][1]:
            told.append((time_s - START_S, trouble))
    if not samples:  # nothing at all came through
        return Run(assembler, np.empty(0), np.empty((0, len(setup.channels))), told)
    return Run(assembler, np.concatenate(times_s), np.concatenate(samples), told)


# ---------------------------------------------------------------- clean links
@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("delay", [at_once, batched(0.05), batched(0.03)], ids=["0", "50", "30"])
def test_a_clean_link_makes_neither_gaps_nor_losses(name: str, delay: Delay) -> None:
    got = run(make_sensor(name), 12.0, delay)
    assert got.steps.min() > 0.9
    assert got.steps.max() < 1.1  # from the very first sample on
    assert got.troubles() == []
    counters = got.assembler.counters
    assert (counters.lost, counters.lost_estimated, counters.repeated) == (0, 0, 0)
    assert counters.bad_packets == counters.device_restarts == 0
    for window in got.windows(1.0):
        assert window.usable_fraction == 1.0
        assert not window.off_rate


@pytest.mark.parametrize("name", SENSORS)
def test_stamps_are_late_by_no_more_than_the_least_delay_and_a_little(name: str) -> None:
    sensor = make_sensor(name)
    got = run(sensor, 12.0, at_once)
    late_s = got.lateness_s()[int(2 * sensor.rate_hz) :]
    # The packet leaves when its last sample is taken, and takes 5 ms.
    assert np.median(late_s) == pytest.approx(0.005, abs=0.002)


@pytest.mark.parametrize("name", ["witmotion", "movella_dot", "generic", "thingy52"])
def test_stamps_of_batches_do_not_show_the_batches(name: str) -> None:
    got = run(make_sensor(name), 20.0, batched(0.05))
    late_s = got.lateness_s()[500:]
    assert np.ptp(np.percentile(late_s, [1, 99])) < 0.003
    assert 0.0 < np.median(late_s) < 0.012


# ---------------------------------------------------------------- device clocks
@pytest.mark.parametrize("name", WITH_TIME)
def test_a_clock_that_wraps_goes_on(name: str) -> None:
    plain = run(make_sensor(name), 6.0)
    wrapped = run(make_sensor(name, faults=Faults(wrap_soon=True)), 6.0)
    np.testing.assert_allclose(wrapped.times_s, plain.times_s, atol=2e-3)
    assert wrapped.assembler.counters.device_restarts == 0
    assert wrapped.assembler.counters.lost == 0


@pytest.mark.parametrize("ppm", [100.0, -100.0])
def test_drift_over_an_hour_stays_within_ten_milliseconds(ppm: float) -> None:
    protocol, setup = MovellaDot(), ImuSetup(10.0, motion_channels(), tick_s=1e-6, clock_bits=32)
    assembler = ImuAssembler(protocol, setup, "foot")
    draw = np.random.default_rng(3)
    body = struct.pack("<6f", 0, 0, 9.8, 0, 0, 0) + bytes(12)
    connected, newest_s = batched(0.03125), 0.0
    errors_s: list[float] = []
    for k in range(36_000):
        tick = round((4_000 + 0.1 * k * (1 + 1e-6 * ppm)) * 1e6) % 2**32  # wraps on the way
        true_s = START_S + 0.1 * k
        newest_s = max(newest_s, connected(true_s, draw) + draw.exponential(0.002))
        chunk = assembler.feed(MEDIUM_PAYLOAD_UUID, struct.pack("<I", tick) + body, newest_s)
        if chunk is not None and k > 600:
            errors_s.append(float(chunk.times_s[-1]) - true_s)
    assert max(map(abs, errors_s)) < 0.010  # the link's least delay is in it
    assert max(errors_s) - min(errors_s) < 0.003  # an hour of drift is 360 ms
    assert assembler.samples == 36_000
    assert assembler.counters.device_restarts == 0


def motion_channels() -> tuple[str, ...]:
    return ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


def test_the_fit_finds_offset_and_drift_under_one_sided_delays() -> None:
    fit, draw = ClockFit(), np.random.default_rng(0)
    for k in range(6000):
        device_s = 0.02 * k
        fit.observe(device_s, 5.0 + device_s * (1 + 80e-6) + 0.004 + draw.exponential(0.02))
        host_s = fit.to_host(np.array([device_s]))
    assert host_s[0] == pytest.approx(5.004 + 119.98 * (1 + 80e-6), abs=0.003)


@pytest.mark.parametrize("name", WITH_TIME)
def test_a_sensor_that_restarts_its_clock_leaves_a_gap_and_is_told(name: str) -> None:
    sensor = make_sensor(name, faults=Faults(reboot_at=780))
    got = run(sensor, 780 / sensor.rate_hz + 6.0)
    assert got.assembler.counters.device_restarts == 1
    assert got.troubles() == ["the sensor's clock started anew"]
    when_s = next(t for t, text in got.told if text) - 780 / sensor.rate_hz
    assert when_s < 1.0
    gaps = np.flatnonzero(got.steps > 1.5)
    assert len(gaps) == 1
    assert got.steps.min() > 0  # time never runs back
    assert sum(window.missing_fraction > 0 for window in got.windows(1.0)) == 1


@pytest.mark.parametrize("jump_s", [20.0, -20.0, 0.5, -0.5])
def test_a_clock_that_jumps_is_a_restart_and_no_loss(jump_s: float) -> None:
    protocol, setup = MovellaDot(), ImuSetup(60.0, motion_channels(), tick_s=1e-6, clock_bits=32)
    assembler = ImuAssembler(protocol, setup, "foot")
    body = struct.pack("<6f", 0, 0, 9.8, 0, 0, 0) + bytes(12)
    stamps: list[float] = []
    for k in range(1200):
        tick = round(1e6 * (100 + k / 60 + jump_s * (k >= 600)))
        chunk = assembler.feed(
            MEDIUM_PAYLOAD_UUID, struct.pack("<I", tick) + body, START_S + k / 60 + 0.01
        )
        stamps += [] if chunk is None else chunk.times_s.tolist()
    assert assembler.counters.device_restarts == 1
    assert assembler.counters.lost == 0
    assert np.diff(stamps).min() > 0
    assert len(stamps) >= 1190
    assert abs(stamps[-1] - (START_S + 1199 / 60 + 0.01)) < 0.02
    assert (np.diff(stamps) * 60 > 1.6).sum() == 1


@pytest.mark.parametrize("name", WITH_TIME)
def test_a_clock_that_does_not_advance_is_told_and_host_time_taken(name: str) -> None:
    sensor = make_sensor(name, faults=Faults(clock_stuck=True))
    got = run(sensor, 20.0, batched(0.03))
    assert got.troubles()[0] == "device clock does not advance; host time is used"
    assert got.told[-1][1] == ""
    assert any("does not advance" in sentence for sentence in got.assembler.assumptions)
    late = got.steps[-int(10 * sensor.rate_hz) :]
    assert late.min() > 0.9
    assert late.max() < 1.1
    assert got.times_s[-1] > 18.0


def test_a_clock_of_another_unit_than_configured_is_given_up() -> None:
    layout = generic_layout(counter=False)
    protocol = GenericImu(layout)
    setup = ImuSetup(100.0, layout.channels, tick_s=1 / 32768, clock_bits=24)
    assembler = ImuAssembler(protocol, setup, "foot")
    for k in range(1500):
        data = b"\xaa" + struct.pack("<IB6f", (k * 10_000) % 2**24, 0, 0, 0, 1, 0, 0, 0)  # us
        assembler.feed(GENERIC_NOTIFY, data, START_S + k / 100)
    assert assembler.counters.device_restarts >= 3
    assert any("host time" in sentence for sentence in assembler.assumptions)


def test_what_stands_alone_without_a_clock_is_not_all_of_the_samples() -> None:
    """Here nothing counts what came well beside it: the rate says what is lost."""
    got = run(make_sensor("metamotion", faults=Faults(repeat=0.02), seed=3), 30.0, batched(0.4))
    assert not any("half" in text or "100" in text for text in got.troubles())


def test_a_packet_of_the_clock_before_the_restart_does_not_set_the_new_one() -> None:
    """Rotation of before comes after acceleration of now: a hundred seconds into the future."""
    sensor = make_sensor("polar_sense", faults=Faults(reboot_at=216))
    protocol, setup = started(sensor)
    assembler = ImuAssembler(protocol, setup, "arm")
    stamps: list[float] = []
    waiting: list[tuple[str, bytes]] = []
    for k in range(520):
        packets = sensor.packets(k)
        if k == 215:  # the last of the old clock: its rotation is overtaken
            waiting = [packet for packet in packets if packet[1][0] == 5]
            packets = [packet for packet in packets if packet[1][0] == 2]
        elif k == 251:
            acc, gyr = packets
            packets = [acc, *waiting, gyr]
        for uuid, data in packets:
            chunk = assembler.feed(uuid, data, START_S + k / 52)
            stamps += [] if chunk is None else chunk.times_s.tolist()
    assert np.diff(stamps).min() > 0
    assert assembler.counters.device_restarts == 1
    assert stamps[-1] == pytest.approx(START_S + 503 / 52, abs=0.1)


def test_a_clock_that_restarts_in_a_stall_does_not_run_ahead() -> None:
    """All that waited comes at once: its first packet was not sampled when it arrived."""
    sensor = make_sensor("movella_dot", faults=Faults(reboot_at=200))
    protocol, setup = started(sensor)
    assembler = ImuAssembler(protocol, setup, "foot")
    ahead_s = []
    for k in range(600):
        arrival_s = START_S + (5.0 if 180 <= k < 300 else k / 60 + 0.005)
        for uuid, data in sensor.packets(k):
            chunk = assembler.feed(uuid, data, arrival_s)
            if chunk is not None:
                ahead_s.append(chunk.times_s[-1] - arrival_s)
    assert max(ahead_s) < 0.3
    assert abs(ahead_s[-1]) < 0.05


# ---------------------------------------------------------------- loss
@pytest.mark.parametrize("name", ["movella_dot", "movesense", "polar_h10", "generic"])
def test_loss_is_exact_where_the_sensor_sends_time_or_counter(name: str) -> None:
    sensor = make_sensor(name)
    # Whole packets: 36 samples at most.
    lost = {36 * block + i for block in (10, 11, 17) for i in range(36)}
    if name == "movesense":
        lost = {8 * block + i for block in (50, 51, 77) for i in range(8)}
    if name == "movella_dot":
        lost = {300, 301, 400, 500, *range(600, 650)}
    got = run(sensor, 1000 / sensor.rate_hz, batched(0.03), lost.__contains__)
    assert got.assembler.counters.lost == len(lost)
    n = len(got.times_s) + len(lost)
    assert n == 1000 - 1000 % {"movesense": 8, "polar_h10": 36}.get(name, 1)
    missing = round((np.round(got.steps) - 1).sum())
    assert missing == len(lost)  # and the gaps stand in the stamps
    assert any("or more of the samples lost" in text for text in got.troubles())


@pytest.mark.parametrize("name", ["movella_dot", "generic"])
def test_five_percent_loss_is_told_within_two_seconds(name: str) -> None:
    sensor = make_sensor(name)
    begins = 900
    got = run(sensor, 1800 / sensor.rate_hz, batched(0.03), lambda k: k >= begins and k % 20 == 7)
    first_s = next(at_s for at_s, text in got.told if text)
    assert "% or more of the samples lost" in dict(got.told)[first_s]
    assert 0.0 < first_s - begins / sensor.rate_hz <= 2.0  # told times begin at 0


@pytest.mark.parametrize("kinds", [(2,), (5,), (2, 5)], ids=["acc", "gyro", "both"])
def test_a_lost_frame_of_either_half_loses_its_samples_once(kinds: tuple[int, ...]) -> None:
    sensor = make_sensor("polar_sense")
    protocol, setup = started(sensor)
    assembler = ImuAssembler(protocol, setup, "arm")
    stamps: list[float] = []
    for k in range(1080):
        for uuid, data in sensor.packets(k):
            if k // 36 == 12 and data[0] in kinds:
                continue
            chunk = assembler.feed(uuid, data, START_S + k / 52)
            stamps += [] if chunk is None else chunk.times_s.tolist()
    assert len(stamps) == 1080 - assembler.counters.lost
    assert 36 <= assembler.counters.lost <= 37  # between two frames neighbours are missing too
    assert round(np.diff(stamps).max() * 52) == assembler.counters.lost + 1


def test_a_counter_alone_bears_a_stall_of_two_seconds() -> None:
    def stalled(time_s: float, draw: np.random.Generator) -> float:
        arrival_s = batched(0.03)(time_s, draw)
        return max(arrival_s, START_S + 10.0) if time_s > START_S + 8.0 else arrival_s

    got = run(GenericSensor(layout=generic_layout(time=False)), 20.0, stalled)
    assert len(got.times_s) == 2000
    assert got.steps.max() < 1.1
    assert got.assembler.counters.device_restarts == got.assembler.counters.lost == 0


def test_a_generic_sensor_without_time_and_counter_runs_on_host_time() -> None:
    lost = range(1000, 1030)
    sensor = GenericSensor(layout=generic_layout(time=False, counter=False))
    got = run(sensor, 20.0, batched(0.05), lost.__contains__)
    assert np.flatnonzero(got.steps > 1.5).tolist() == [999]
    assert got.assembler.counters.lost_estimated == pytest.approx(30, abs=2)
    assert any("loss is estimated" in sentence for sentence in got.assembler.assumptions)


def test_a_counter_alone_gives_exact_loss_through_its_wraps() -> None:
    sensor = GenericSensor(layout=generic_layout(time=False))
    lost = {300, *range(500, 530), *range(700, 1100)}  # the last longer than the u8 counter
    got = run(sensor, 20.0, batched(0.03), lost.__contains__)
    assert got.assembler.counters.lost == len(lost)
    assert round((np.round(got.steps) - 1).sum()) == len(lost)
    assert got.assembler.counters.device_restarts == 0


@pytest.mark.parametrize("n_lost", [3, 4, 10, 30, 100])
@pytest.mark.parametrize("name", ["witmotion", "thingy52"])
def test_a_burst_of_loss_stands_where_it_was_without_any_clock(name: str, n_lost: int) -> None:
    burst = range(1000, 1000 + n_lost)
    got = run(make_sensor(name), 20.0, batched(0.05), burst.__contains__)
    gaps = np.flatnonzero(got.steps > 1.5)
    assert gaps.tolist() == [999]
    assert got.steps[999] == pytest.approx(n_lost + 1, abs=0.5)
    if n_lost >= 30:
        told_s = next(t for t, text in got.told if text)
        assert told_s - (10.0 + 0.01 * n_lost) <= 2.0
        assert got.assembler.counters.lost_estimated == pytest.approx(n_lost, abs=2)


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_scattered_loss_without_any_clock_marks_the_windows(share: float) -> None:
    sensor = make_sensor("witmotion", faults=Faults(drop=share), seed=5)
    got = run(sensor, 60.0, batched(0.05))
    windows = got.windows(2.0)
    assert len(windows) >= 25
    assert all(window.off_rate or window.missing_fraction > 0 for window in windows)
    true_lost = 6000 - got.assembler.counters.packets
    assert got.assembler.counters.lost_estimated == pytest.approx(true_lost, rel=0.15)
    assert any(text.startswith("about ") and "lost" in text for text in got.troubles())


@pytest.mark.parametrize(
    "name", ["witmotion", "movella_dot", "metamotion", "polar_sense", "generic"]
)
def test_a_stall_of_the_link_is_no_loss_when_all_comes_late(name: str) -> None:
    def stalled(time_s: float, draw: np.random.Generator) -> float:
        arrival_s = batched(0.03)(time_s, draw)
        return max(arrival_s, START_S + 9.0) if time_s > START_S + 8.0 else arrival_s

    got = run(make_sensor(name), 20.0, stalled)
    assert got.steps.max() < 1.1
    assert got.assembler.counters.lost == got.assembler.counters.lost_estimated == 0


# ---------------------------------------------------------------- repeated and out of order
@pytest.mark.parametrize(
    "name", ["movella_dot", "movesense", "polar_h10", "polar_sense", "generic"]
)
def test_repeated_packets_are_dropped(name: str) -> None:
    plain = run(make_sensor(name), 10.0)
    doubled = run(make_sensor(name, faults=Faults(repeat=0.1), seed=2), 10.0)
    np.testing.assert_array_equal(doubled.samples, plain.samples)
    assert doubled.steps.min() > 0.9
    assert doubled.assembler.counters.lost == 0
    if name != "movesense":  # there a doubled part is not even a packet
        assert doubled.assembler.counters.repeated > 0


@pytest.mark.parametrize("name", ["movella_dot", "polar_h10", "generic"])
def test_packets_out_of_order_are_put_right(name: str) -> None:
    plain = run(make_sensor(name), 10.0)
    swapped = run(make_sensor(name, faults=Faults(reorder=0.1), seed=3), 10.0)
    # The very first packet may be the late one, and then there is nothing to put it before.
    first = plain.samples.tolist().index(swapped.samples[0].tolist())
    n = len(swapped.samples)
    assert first in (0, 1, 36)
    assert n >= len(plain.samples) - 2 * 36
    np.testing.assert_array_equal(swapped.samples, plain.samples[first : first + n])
    assert swapped.assembler.counters.reordered > 0
    assert swapped.assembler.counters.lost == 0
    assert swapped.steps.min() > 0.9
    assert swapped.steps.max() < 1.1


def test_a_packet_that_comes_far_too_late_is_lost_and_time_never_runs_back() -> None:
    sensor = make_sensor("movella_dot")
    protocol, setup = started(sensor)
    packets = [sensor.packets(k)[0] for k in range(300)]
    held = packets.pop(100)
    packets.insert(106, held)
    assembler = ImuAssembler(protocol, setup, "foot")
    stamps: list[float] = []
    for k, (uuid, data) in enumerate(packets):
        chunk = assembler.feed(uuid, data, START_S + k / 60)
        stamps += [] if chunk is None else chunk.times_s.tolist()
    assert (assembler.counters.lost, assembler.counters.late) == (1, 1)
    assert assembler.counters.device_restarts == 0
    assert len(stamps) == 299
    assert np.diff(stamps).min() > 0


def test_a_frame_that_was_cut_short_is_dropped_and_not_shifted_in_time() -> None:
    sensor = make_sensor("polar_h10")
    protocol, setup = started(sensor)
    frames = [packet for k in range(1080) for packet in sensor.packets(k)]
    uuid, data = frames[20]
    frames[20] = (uuid, data[: 10 + 6 * 30])  # 30 of 36 samples
    assembler = ImuAssembler(protocol, setup, "chest")
    times, samples = [], []
    for k, (uuid, data) in enumerate(frames):
        chunk = assembler.feed(uuid, data, START_S + 0.36 * (k + 1) - 0.01)
        if chunk is not None:
            times += (chunk.times_s - START_S).tolist()
            samples += chunk.samples.tolist()
    truth = np.array([motion(t) for t in times])[:, :3]
    assert len(times) == 1080 - 36
    assert assembler.counters.lost == 36
    np.testing.assert_allclose(samples, truth, atol=0.1)


# ---------------------------------------------------------------- anything
WITHOUT_TIME = (
    *("witmotion", "thingy52", "sensortag", "generic", "metamotion", "metamotion_bmi270"),
    "movesense",
)
"""Notifications with neither checksum nor time; of Movesense's two parts the second. The others fit
the smallest notification, so that no radio takes them to pieces."""
fractions = st.sampled_from([0.0, 0.02, 0.2])
fault_sets = st.builds(
    Faults,
    drop=fractions,
    truncate=fractions,
    merge=fractions,
    split=fractions,
    repeat=fractions,
    reorder=fractions,
    reboot_at=st.sampled_from([None, 200]),
    wrap_soon=st.booleans(),
).filter(lambda faults: not (faults.split and faults.reorder))  # nothing tells swapped pieces


def pieces_prove_themselves(name: str, faults: Faults) -> bool:
    """Tell whether bytes that belong together can be known from those that do not.

    No sensor sends a checksum. A notification that is only cut, or only joined to another, is known
    by its length and header. Where it may be both, the rest of one packet can be as long as what
    another lacks; a header, even with a time in it, then stands before bytes that are not its own,
    and nothing in them says so. Without a time, one that is lost or changes places beside a cut one
    does the same.
    """
    cuts = sum(fault > 0 for fault in (faults.split, faults.truncate, faults.merge))
    moved = (faults.drop > 0) + (faults.reorder > 0) if name in WITHOUT_TIME else 0
    return cuts == 0 or cuts + moved <= 1


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(SENSORS),
    faults=fault_sets,
    seed=st.integers(0, 100),
    interval_ms=st.sampled_from([8, 50, 400]),
)
def test_whatever_happens_time_rises_and_samples_are_true(
    name: str, faults: Faults, seed: int, interval_ms: int
) -> None:
    sensor = make_sensor(name, faults=faults, seed=seed)
    got = run(sensor, 6.0, batched(interval_ms / 1000))
    assert got.steps.size == 0 or got.steps.min() > 0
    assert np.isfinite(got.samples).all()
    if pieces_prove_themselves(name, faults):
        assert abs(got.samples[:, 0]).max(initial=0) < 3.2  # no sample but those of the motion
        assert abs(got.samples[:, 1]).max(initial=0) < 2.2
