"""What an assembler tells: the stream, its troubles, its counters; and halves put together."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.sources.imu_assembler import ImuAssembler
from edge_app.sources.imu_protocols.metamotion import NOTIFY_UUID, MetaMotion
from edge_app.sources.imu_protocols.protocol import ImuSetup
from edge_app.sources.imu_time.counters import ImuCounters, LossEstimate, RecentShare
from edge_app.sources.imu_time.halves import HalvesMerger
from tests.imu_fuzz import started
from tests.imu_sensors import SENSORS, Faults, make_sensor

UNITS = ("m/s^2",) * 3 + ("rad/s",) * 3


def assembled(name: str, faults: Faults | None = None) -> tuple[ImuAssembler, object]:
    sensor = make_sensor(name, faults=faults)
    protocol, setup = started(sensor)
    return ImuAssembler(protocol, setup, "left_foot"), sensor


@pytest.mark.parametrize("name", SENSORS)
def test_the_stream_is_described(name: str) -> None:
    assembler, sensor = assembled(name)
    info = assembler.info(device="sensor of a test", simulated=True)
    assert (info.name, info.kind, info.rate_hz) == ("left_foot", "imu", sensor.rate_hz)
    assert info.units == UNITS[: len(info.channels)]
    assert info.simulated
    assert 0 < info.jitter_s <= 0.3 / info.rate_hz  # a gap of two samples shows


@pytest.mark.parametrize("name", SENSORS)
def test_other_characteristics_are_passed_over(name: str) -> None:
    assembler, _ = assembled(name)
    assert assembler.feed("0000ffff-0000-1000-8000-00805f9b34fb", b"\x01\x02", 1.0) is None
    assert assembler.counters == ImuCounters()


@pytest.mark.parametrize("name", SENSORS)
def test_a_bytearray_and_a_clock_that_steps_back_are_taken(name: str) -> None:
    assembler, sensor = assembled(name)
    stamps: list[float] = []
    for k in range(200):
        for uuid, data in sensor.packets(k):
            chunk = assembler.feed(uuid, bytearray(data), 50.0 + k / sensor.rate_hz - (k % 3))
            stamps += [] if chunk is None else chunk.times_s.tolist()
    assert np.diff(stamps).min() > 0


def test_one_bad_packet_is_counted_and_the_stream_goes_on() -> None:
    assembler, sensor = assembled("movella_dot")
    n = 0
    for k in range(600):
        for uuid, data in sensor.packets(k):
            spoilt = data + b"\x00" if k == 300 else data
            chunk = assembler.feed(uuid, spoilt, 10.0 + k / 60)
            n += 0 if chunk is None else len(chunk.times_s)
            assert assembler.trouble(10.0 + k / 60) == ""
    assert n == 599
    assert (assembler.counters.bad_packets, assembler.counters.lost) == (1, 1)


@pytest.mark.parametrize("name", SENSORS)
def test_a_stream_of_only_bad_packets_is_told_within_two_seconds(name: str) -> None:
    assembler, sensor = assembled(name)
    uuid = sensor.protocol().notify_uuids[0]
    now_s, told_s = 100.0, None
    for k in range(200):
        now_s = 100.0 + k / 20
        assert assembler.feed(uuid, b"\x99" * 21, now_s) is None
        if assembler.trouble(now_s) and told_s is None:
            told_s = now_s
    assert told_s is not None
    assert told_s - 100.0 <= 2.0
    assert assembler.trouble(now_s).startswith("packets cannot be decoded: ")
    assert "expected" in assembler.trouble(now_s)


def test_trouble_is_over_when_packets_are_good_again() -> None:
    assembler, sensor = assembled("generic")
    for k in range(1500):
        for uuid, data in sensor.packets(k):
            spoilt = data[:5] if 300 <= k < 500 else data
            assembler.feed(uuid, spoilt, k / 100)
        text = assembler.trouble(k / 100)
        if k < 300 or k > 1150:
            assert text == ""
        if 420 <= k < 500:
            assert text.startswith("packets cannot be decoded: wrong length")
        if 620 <= k < 900:
            assert text.endswith("or more of the samples lost")
    assert assembler.counters.lost == 200


def test_a_gyroscope_that_falls_silent_is_told() -> None:
    assembler, sensor = assembled("metamotion")
    delivered = 0
    for k in range(1200):
        for uuid, data in sensor.packets(k):
            if data[0] == 0x13 and k >= 500:
                continue
            chunk = assembler.feed(uuid, data, 20.0 + k / 100)
            delivered += 0 if chunk is None else len(chunk.times_s)
        if k in (499, 950):
            alone = "acceleration comes without rotation"
            assert assembler.trouble(20.0 + k / 100) == (alone if k > 500 else "")
    assert delivered <= 501


def test_more_samples_than_the_rate_says_are_told() -> None:
    assembler, sensor = assembled("witmotion")
    for k in range(1500):
        for uuid, data in sensor.packets(k):
            assembler.feed(uuid, data, 5.0 + k / 105)
    assert "more samples than the rate says" in assembler.trouble(5.0 + 1500 / 105)


@pytest.mark.parametrize("name", ["movella_dot", "witmotion"])
def test_a_trouble_that_goes_on_is_told_once_and_not_with_every_new_figure(name: str) -> None:
    """Each change of the text is an event, a line in the log and a message."""
    assembler, sensor = assembled(name)
    draw = np.random.default_rng(1)
    told = [""]
    for k in range(int(60 * sensor.rate_hz)):
        for uuid, data in sensor.packets(k):
            if draw.random() > 0.06:
                assembler.feed(uuid, data, 20.0 + k / sensor.rate_hz)
        text = assembler.trouble(20.0 + k / sensor.rate_hz)
        if text != told[-1]:
            told.append(text)
    assert 2 <= len(told) <= 4
    assert told[1].endswith("% or more of the samples lost")


def test_rubbish_that_always_differs_is_one_trouble() -> None:
    assembler, sensor = assembled("movella_dot")
    told = set()
    for k in range(600):
        values = np.full(6, 1e6 + k, "<f4").tobytes()
        data = (k * 16667).to_bytes(4, "little") + values + bytes(12)
        assembler.feed(sensor.protocol().notify_uuids[0], data, 20.0 + k / 60)
        told.add(assembler.trouble(20.0 + k / 60))
    assert len(told) == 2  # nothing, and this
    assert "values that the sensor cannot measure" in max(told)


def test_figures_name_every_counter() -> None:
    counters = ImuCounters(packets=3, lost=2)
    assert dict(counters.figures())["packets"] == 3.0
    assert dict(counters.figures())["lost"] == 2.0
    assert len(counters.figures()) == 9


def test_recent_share_forgets_after_five_seconds() -> None:
    share = RecentShare()
    for k in range(1000):
        share.add(k / 100, 0 if 200 <= k < 230 else 1, 1 if 200 <= k < 230 else 0)
    assert share.share(10.0) == 0.0
    share.add(10.0, 0, 25)
    assert share.share(10.0) == pytest.approx(25 / 525, rel=0.1)


def test_the_estimate_counts_only_what_is_over_two_percent() -> None:
    for every, expected in ((100, 0), (25, 20 + 20)):
        estimate = LossEstimate(100.0)
        counted = sum(estimate.add(k / 100, 1) for k in range(1004) if k % every)
        assert counted == pytest.approx(expected, abs=2)


# ---------------------------------------------------------------- halves
def waves(times_s: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(times_s), np.cos(times_s), times_s], axis=1).astype(np.float32)


@given(
    offset=st.integers(-199, 199).map(lambda tenths_ms: tenths_ms / 10_000),
    cuts=st.lists(st.integers(1, 9), min_size=30, max_size=30),
)
def test_halves_meet_on_the_times_of_the_acceleration(offset: float, cuts: list[int]) -> None:
    merger = HalvesMerger(50.0)
    acc_s = np.arange(100) / 50
    gyr_s = acc_s + offset
    out_s, out = [], []
    at = {True: 0, False: 0}
    for i, cut in enumerate(cuts * 2):
        is_acc = i % 2 == 0
        times_s = acc_s if is_acc else gyr_s
        part = times_s[at[is_acc] : at[is_acc] + cut]
        at[is_acc] += cut
        if not part.size:
            continue
        both = merger.push((part, waves(part)), is_acc=is_acc)
        if both is not None:
            out_s += both[0].tolist()
            out += both[1].tolist()
    n = len(out_s)
    first = 0 if offset <= 1e-12 else math.ceil(offset * 50 - 1e-9)
    assert out_s == acc_s[first : first + n].tolist()
    got = np.array(out).reshape(-1, 6)
    np.testing.assert_allclose(got[:, :3], waves(np.array(out_s)), atol=1e-6)
    np.testing.assert_allclose(got[:, 3:], waves(np.array(out_s)), atol=1e-4)


@pytest.mark.parametrize(("n_lost", "alone"), [(1, 0), (2, 0), (3, 4), (10, 11)])
def test_rotation_is_bridged_over_three_samples_and_no_more(n_lost: int, alone: int) -> None:
    merger = HalvesMerger(100.0)
    acc_s = np.arange(100) / 100 + 0.005
    gyr_s = np.delete(np.arange(102) / 100, range(40, 40 + n_lost))
    merger.push((acc_s, waves(acc_s)), is_acc=True)
    both = merger.push((gyr_s, waves(gyr_s)), is_acc=False)
    assert both is not None
    assert merger.alone == alone
    assert len(both[0]) == 100 - alone


@pytest.mark.parametrize("is_acc", [True, False])
def test_a_half_whose_clock_ran_ahead_and_came_back_is_joined_again(*, is_acc: bool) -> None:
    """A spoilt packet can say any time; the ones after it are right again."""
    merger = HalvesMerger(100.0)
    times_s = np.arange(100) / 100
    first, rest = times_s[:50], times_s[50:]
    ahead_s = times_s[:10] + 1e9
    for both in (True, False):
        merger.push((first, waves(first)), is_acc=both)
    merger.push((ahead_s, waves(ahead_s)), is_acc=is_acc)
    merger.push((rest, waves(rest)), is_acc=is_acc)
    joined = merger.push((rest, waves(rest)), is_acc=not is_acc)
    assert joined is not None
    assert joined[0].tolist() == rest.tolist()
    np.testing.assert_allclose(joined[1][:, 3:], waves(rest), atol=1e-4)


def test_metamotion_single_and_packed_give_the_same_motion() -> None:
    setup = ImuSetup(100.0, ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"), 16.0, 2000.0)
    words = [(100 * k, -k, k) for k in range(300)]
    streams = []
    for n, acc_head, gyr_head in ((1, b"\x03\x04", b"\x13\x05"), (3, b"\x03\x1c", b"\x13\x07")):
        assembler = ImuAssembler(MetaMotion(), setup, "foot")
        samples: list[list[float]] = []
        for k in range(0, 300, n):
            body = struct.pack(f"<{3 * n}h", *sum(words[k : k + n], ()))
            for head in (acc_head, gyr_head):
                chunk = assembler.feed(NOTIFY_UUID, head + body, 7.0 + (k + n - 1) / 100)
                samples += [] if chunk is None else chunk.samples.tolist()
        streams.append(np.array(samples))
    n = min(map(len, streams))
    assert n >= 295
    np.testing.assert_allclose(streams[0][:n], streams[1][:n], rtol=1e-3, atol=1e-3)
