"""Bytes to samples: vendor vectors, round trips, spoilt packets."""

from __future__ import annotations

import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import PacketError
from edge_app.sources.imu_protocols import metamotion, movella_dot, movesense, polar, witmotion
from edge_app.sources.imu_protocols.metamotion import MetaMotionDecoder
from edge_app.sources.imu_protocols.movella_dot import MovellaDotDecoder
from edge_app.sources.imu_protocols.pmd_decoder import Factors, PolarDecoder
from edge_app.sources.imu_protocols.sensortag import DATA_UUID, SensorTagDecoder
from edge_app.sources.imu_protocols.thingy52 import RAW_UUID, Thingy52Decoder
from edge_app.sources.imu_protocols.witmotion import WitMotionDecoder
from tests.imu_fuzz import fuzz, mutate, started, valid_packets
from tests.imu_sensors import (
    GENERIC_NOTIFY,
    SENSORS,
    GenericSensor,
    delta_frame,
    generic_layout,
    make_sensor,
    pack_bits,
)

G = 9.80665
DEG = math.pi / 180.0


def wit(words: list[int]) -> bytes:
    return b"\x55\x61" + struct.pack("<9h", *words)


def polar_decoder(acc_g: float = 8.0, gyr_dps: float = 2000.0, factors: Factors | None = None):
    return PolarDecoder(52.0, factors or Factors(1.0, 1.0), acc_g, gyr_dps)


# ---------------------------------------------------------------- vectors
def test_witmotion_vector_one_g() -> None:
    (block,) = WitMotionDecoder().feed(witmotion.NOTIFY_UUID, wit([0, 0, 2048, 0, 0, 0, 0, 0, 0]))
    assert block.channels == IMU_CHANNELS
    assert block.samples.dtype == np.float32
    assert block.samples.tolist() == [[0, 0, np.float32(G), 0, 0, 0]]
    assert block.ticks is None
    assert block.counters is None


def test_movella_vector() -> None:
    data = struct.pack("<I6f", 7, 1, 2, 3, 4, 5, 6) + bytes(12)
    (block,) = MovellaDotDecoder(21).feed(movella_dot.MEDIUM_PAYLOAD_UUID, data)
    assert block.ticks == (7,)
    np.testing.assert_allclose(block.samples, [[1, 2, 3, 4 * DEG, 5 * DEG, 6 * DEG]], rtol=1e-6)


def test_movella_mode_26_passes_over_the_orientation() -> None:
    data = struct.pack("<I10f", 9, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6) + bytes(19)
    (block,) = MovellaDotDecoder(26).feed(movella_dot.LONG_PAYLOAD_UUID, data)
    assert block.ticks == (9,)
    np.testing.assert_allclose(block.samples, [[1, 2, 3, 4 * DEG, 5 * DEG, 6 * DEG]], rtol=1e-6)


def test_polar_vector_gyro_type_0() -> None:
    data = bytes.fromhex("05FFFFFFFFFFFFFF7F80" + "EAFF08000D000301DF00")
    (block,) = polar_decoder().feed(polar.DATA_UUID, data)
    assert block.channels == IMU_CHANNELS[3:]
    assert block.ticks is not None
    assert block.ticks[-1] == 9223372036854775807
    expected = np.array([[-22, 8, 13], [-23, 11, 16]]) * DEG
    np.testing.assert_allclose(block.samples, expected, rtol=1e-6)


def test_polar_vector_gyro_type_1_is_float_bit_patterns() -> None:
    data = bytes.fromhex("050094357700000000810000803F000020410000A0411C010000A001000008CDCCEC0D")
    (block,) = polar_decoder().feed(polar.DATA_UUID, data)
    patterns = [0x3F800000 + 0x1A00000, 0x41200000 + 0x800000, (0x41A00000 + 0xFDECCCCD) % 2**32]
    second = [struct.unpack("<f", struct.pack("<I", p))[0] for p in patterns]
    expected = np.array([[1.0, 10.0, 20.0], second]) * DEG
    assert block.ticks is not None
    assert block.ticks[-1] == 2_000_000_000
    np.testing.assert_allclose(block.samples, expected, rtol=1e-6)


def test_polar_delta_vector_of_the_specification() -> None:
    # Reference sample of the specification's example: -48, 357, 4068 at 8 g.
    payload = bytes.fromhex("D0FF6501E40F") + bytes([8, 1]) + pack_bits([8, -3, 1], 8)
    frame = bytes([2]) + (10**9).to_bytes(8, "little") + b"\x80" + payload
    (block,) = polar_decoder(factors=Factors(8 / 32768)).feed(polar.DATA_UUID, frame)
    expected = np.array([[-48, 357, 4068], [-40, 354, 4069]]) * (8 / 32768 * G)
    np.testing.assert_allclose(block.samples, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_polar_uncompressed_acceleration_of_every_width(size: int) -> None:
    values = [-100, 27, 101, 0, -1, 127]
    body = b"".join(v.to_bytes(size, "little", signed=True) for v in values)
    frame = bytes([2]) + (10**9).to_bytes(8, "little") + bytes([size - 1]) + body
    (block,) = polar_decoder().feed(polar.DATA_UUID, frame)
    np.testing.assert_allclose(block.samples, np.reshape(values, (2, 3)) / 1000 * G, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("13053E43FF7F0080", np.array([262.409, 499.497, -499.512]) * DEG),
        ("030416C494A22AD0", np.array([-1.872, -2.919, -1.495]) * G),
    ],
)
def test_metamotion_vectors(data: str, expected: np.ndarray) -> None:
    (block,) = MetaMotionDecoder(4.0, 500.0).feed(metamotion.NOTIFY_UUID, bytes.fromhex(data))
    np.testing.assert_allclose(block.samples[0], expected, atol=0.001 * G)


@pytest.mark.parametrize(
    "head", ["031C", "0305", "1307", "1305"], ids=["160 acc", "270 acc", "160 gyr", "270 gyr"]
)
def test_metamotion_packed_packets(head: str) -> None:
    words = [100, -200, 300, 1, 2, 3, -32768, 32767, 0]
    data = bytes.fromhex(head) + struct.pack("<9h", *words)
    (block,) = MetaMotionDecoder(16.0, 2000.0).feed(metamotion.NOTIFY_UUID, data)
    step = G / 2048 if head.startswith("03") else DEG / 16.4
    np.testing.assert_allclose(block.samples, np.reshape(words, (3, 3)) * step, rtol=1e-6)


def test_thingy_fixed_point() -> None:
    data = struct.pack("<9h", 1024, -512, 256, 32, -64, 16, 9, 9, 9)
    (block,) = Thingy52Decoder().feed(RAW_UUID, data)
    expected = [[G, -G / 2, G / 4, DEG, -2 * DEG, DEG / 2]]
    np.testing.assert_allclose(block.samples, expected, rtol=1e-6)


def test_sensortag_sends_the_gyroscope_first() -> None:
    data = struct.pack("<9h", 128, 256, -128, 4096, 0, -2048, 9, 9, 9)
    (block,) = SensorTagDecoder().feed(DATA_UUID, data)
    np.testing.assert_allclose(
        block.samples, [[G, 0, -G / 2, DEG, 2 * DEG, -DEG]], rtol=1e-6, atol=1e-9
    )


def test_full_scale_of_int16_sensors_both_ways() -> None:
    (low,) = WitMotionDecoder().feed(witmotion.NOTIFY_UUID, wit([-32768] * 9))
    (high,) = WitMotionDecoder().feed(witmotion.NOTIFY_UUID, wit([32767] * 9))
    np.testing.assert_allclose(low.samples, [[-16 * G] * 3 + [-2000 * DEG] * 3], rtol=1e-6)
    np.testing.assert_allclose(high.samples, [[16 * G] * 3 + [2000 * DEG] * 3], rtol=4e-5)
    (low,) = Thingy52Decoder().feed(RAW_UUID, struct.pack("<9h", *[-32768] * 9))
    np.testing.assert_allclose(low.samples, [[-32 * G] * 3 + [-1024 * DEG] * 3], rtol=1e-6)


# ---------------------------------------------------------------- round trips
@pytest.mark.parametrize("name", SENSORS)
def test_motion_comes_back(name: str) -> None:
    sensor = make_sensor(name)
    protocol, setup = started(sensor)
    decoder = protocol.decoder(setup)
    halves: dict[str, list[np.ndarray]] = {}
    for k in range(400):
        for uuid, data in sensor.packets(k):
            for block in decoder.feed(uuid, data):
                for column, channel in enumerate(block.channels):
                    halves.setdefault(channel, []).append(block.samples[:, column])
    assert tuple(c for c in IMU_CHANNELS if c in halves) == setup.channels
    acc_step, gyr_step = 16 * G / 32768 * 2, 2000 * DEG / 32768 * 2  # coarsest wire, twice
    for channel, parts in halves.items():
        got = np.concatenate(parts)
        truth = [sensor.truth(k)[IMU_CHANNELS.index(channel)] for k in range(len(got))]
        assert len(got) >= 360
        np.testing.assert_allclose(got, truth, atol=acc_step if "acc" in channel else gyr_step)


# ---------------------------------------------------------------- length and header
@pytest.mark.parametrize("name", SENSORS)
def test_other_characteristics_say_nothing(name: str) -> None:
    protocol, setup = started(make_sensor(name))
    assert protocol.decoder(setup).feed("00002a19-0000-1000-8000-00805f9b34fb", b"\x55") == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("witmotion", b"\x54" + bytes(19)),
        ("movella_dot", bytes(41)),
        ("movella_dot", struct.pack("<I6f", 1, 1e9, 0, 0, 0, 0, 0) + bytes(12)),
        ("movella_dot", struct.pack("<I6f", 1, math.nan, 0, 0, 0, 0, 0) + bytes(12)),
        ("movesense", b"\x07\x63" + bytes(100)),
        ("movesense", b"\x02\x62" + bytes(196)),
        ("movesense", b"\x03\x63" + bytes(48)),
        ("polar_h10", b"\x00" + bytes(30)),
        ("polar_sense", bytes([5, *bytes(8), 0x80, *bytes(6), 40, 2]) + bytes(40)),
        ("metamotion", b"\x04\x04" + bytes(6)),
        ("metamotion", b"\x03\x04" + bytes(40)),
        ("thingy52", bytes(17)),
        ("thingy52", b""),
        ("sensortag", bytes(20)),
        ("generic", bytes(29)),
        ("generic", b"\xaa" + struct.pack("<IB6f", 0, 0, math.inf, 0, 0, 0, 0, 0)),
    ],
)
def test_wrong_packets_are_refused(name: str, data: bytes) -> None:
    protocol, setup = started(make_sensor(name))
    with pytest.raises(PacketError) as raised:
        protocol.decoder(setup).feed(protocol.notify_uuids[0], data)
    assert raised.value.source
    assert raised.value.expected is not None
    assert raised.value.got is not None


# ---------------------------------------------------------------- split and merged
def decoded(name: str, notifications: list[bytes]) -> dict[str, list]:
    protocol, setup = started(make_sensor(name))
    decoder = protocol.decoder(setup)
    out: dict[str, list] = {}
    for data in notifications:
        for block in decoder.feed(protocol.notify_uuids[0], data):
            out.setdefault(block.channels[0], []).extend(block.samples.tolist())
            out.setdefault("ticks", []).extend(block.ticks or ())
    return out


def block_ends(frame: bytes) -> set[int]:
    at = 16
    ends = {at}
    while at < len(frame):
        at += 2 + (3 * frame[at] * frame[at + 1] + 7) // 8
        ends.add(at)
    return ends


FRAMED = ["witmotion", "movella_dot", "movesense", "polar_sense", "metamotion"]


@pytest.mark.parametrize("name", FRAMED)
def test_a_packet_split_anywhere_decodes_the_same(name: str) -> None:
    sensor = make_sensor(name)
    started(sensor)
    packets = [data for _, data in valid_packets(sensor, 150)][:4]
    whole = decoded(name, packets)
    # Behind a delta frame's reference sample or block nothing shows that more follows.
    ends = block_ends(packets[1]) if name == "polar_sense" else set()
    for at in set(range(1, len(packets[1]))) - ends:
        pieces = [packets[0], packets[1][:at], packets[1][at:], *packets[2:]]
        assert decoded(name, pieces) == whole, f"split at byte {at}"


def test_an_uncompressed_polar_frame_split_within_a_sample_decodes_the_same() -> None:
    sensor = make_sensor("polar_h10")
    started(sensor)
    packets = [data for _, data in valid_packets(sensor, 150)]
    whole = decoded("polar_h10", packets)
    for at in range(11, len(packets[1])):
        if (at - 10) % 6:  # at a sample's end nothing shows that more follows
            pieces = [packets[0], packets[1][:at], packets[1][at:], *packets[2:]]
            assert decoded("polar_h10", pieces) == whole, f"split at byte {at}"


@pytest.mark.parametrize("name", ["thingy52", "sensortag", "generic"])
def test_pieces_that_nothing_proves_to_belong_together_are_refused(name: str) -> None:
    sensor = make_sensor(name)
    protocol, setup = started(sensor)
    data = valid_packets(sensor, 3)[1][1]
    decoder = protocol.decoder(setup)
    for at in range(1, len(data)):
        for piece in (data[:at], data[at:]):
            with pytest.raises(PacketError):
                decoder.feed(protocol.notify_uuids[0], piece)


@pytest.mark.parametrize("name", SENSORS)
def test_two_packets_in_one_notification_decode_the_same(name: str) -> None:
    sensor = make_sensor(name)
    started(sensor)
    packets = [data for _, data in valid_packets(sensor, 300)][:6]
    merged = [packets[0], packets[1] + packets[2], packets[3] + packets[4], packets[5]]
    assert decoded(name, merged) == decoded(name, packets)


@pytest.mark.parametrize("name", ["witmotion", "movella_dot", "movesense", "metamotion"])
def test_packets_cut_short_are_never_joined_to_one(name: str) -> None:
    sensor = make_sensor(name)
    started(sensor)
    packets = [data for _, data in valid_packets(sensor, 100)]
    whole = decoded(name, packets)
    for at in range(1, min(map(len, packets))):
        protocol, setup = started(make_sensor(name))
        decoder = protocol.decoder(setup)
        for data in packets:
            try:
                blocks = decoder.feed(protocol.notify_uuids[0], data[:at])
            except PacketError:
                continue
            for block in blocks:  # only what was whole all the same
                for row in block.samples.tolist():
                    assert row in whole[block.channels[0]], f"cut at byte {at}"


def test_witmotion_finds_its_step_again_only_by_two_headers() -> None:
    decoder = WitMotionDecoder()
    false_header = wit([0x6155, 0, 0, 0, 0, 0, 0, 0, 0])  # 55 61 inside the data
    stream = false_header[1:] + wit([1] * 9) + wit([2] * 9) + wit([3] * 9)
    rows = []
    for at in range(0, len(stream), 20):
        try:
            for block in decoder.feed(witmotion.NOTIFY_UUID, stream[at : at + 20]):
                rows += np.round(block.samples[:, 0] / (16 / 32768 * G)).tolist()
        except PacketError:
            pass
    assert set(rows) <= {1.0, 2.0, 3.0}
    assert 2.0 in rows
    assert decoder.resyncs > 0


def test_movesense_answers_and_a_part_that_comes_twice_are_passed_over() -> None:
    sensor = make_sensor("movesense")
    protocol, setup = started(sensor)
    decoder = protocol.decoder(setup)
    first, second = [data for _, data in valid_packets(sensor, 8)]
    assert decoder.feed(movesense.NOTIFY_UUID, b"\x01\x63\xc8\x00") == []
    assert decoder.feed(movesense.NOTIFY_UUID, first) == []
    assert len(decoder.feed(movesense.NOTIFY_UUID, second)) == 1
    assert decoder.feed(movesense.NOTIFY_UUID, second) == []


# ---------------------------------------------------------------- wild input
deltas = st.integers(1, 40).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-60, 60), min_size=3, max_size=3), min_size=n, max_size=n
    )
)


@given(deltas, st.integers(1, 40))
def test_polar_delta_frames_come_back(steps: list[list[int]], per_block: int) -> None:
    reference = np.array([-48, 357, 4068])
    frame = bytes([2]) + (10**12).to_bytes(8, "little") + b"\x80"
    frame += delta_frame(reference, np.array(steps), per_block)
    (block,) = polar_decoder(factors=Factors(1 / 4096)).feed(polar.DATA_UUID, frame)
    expected = np.vstack([reference, reference + np.cumsum(steps, axis=0)]) / 4096 * G
    np.testing.assert_allclose(block.samples, expected, rtol=1e-5, atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 2**24 - 1), st.integers(0, 255)), min_size=3, max_size=3))
def test_generic_packets_of_several_samples_come_back(clocks: list[tuple[int, int]]) -> None:
    layout = generic_layout(samples=3)
    sensor = GenericSensor(layout=layout)
    protocol, setup = started(sensor)
    body = b"\xaa" + b"".join(struct.pack("<IB6f", t, c, 0, 0, 1, 90, 0, 0) for t, c in clocks)
    (block,) = protocol.decoder(setup).feed(GENERIC_NOTIFY, body)
    assert block.ticks == tuple(t for t, _ in clocks)
    assert block.counters == tuple(c for _, c in clocks)
    np.testing.assert_allclose(block.samples, [[0, 0, G, math.pi / 2, 0, 0]] * 3, rtol=1e-6)


@pytest.mark.parametrize("name", SENSORS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_are_samples_or_a_packet_error(name: str, data: st.DataObject) -> None:
    sensor = make_sensor(name)
    protocol, setup = started(sensor)
    decoder = protocol.decoder(setup)
    pool = valid_packets(sensor, 120)
    seed = data.draw(st.integers(0, 2**32))
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    packets = data.draw(st.lists(st.binary(max_size=300), max_size=8))
    for packet in [*packets, *(mutate(draw, pool) for _ in range(20))]:
        try:
            blocks = decoder.feed(protocol.notify_uuids[0], packet)
        except PacketError:
            continue
        for block in blocks:
            n = block.samples.shape[0]
            assert block.samples.shape == (n, len(block.channels))
            assert block.samples.dtype == np.float32
            assert np.isfinite(block.samples).all()
            assert block.ticks is None or len(block.ticks) == n
            assert block.counters is None or len(block.counters) == n


@pytest.mark.parametrize("name", SENSORS)
def test_twenty_thousand_spoilt_packets(name: str) -> None:
    result = fuzz(name, 20_000, seed=1)
    assert result.packets == 20_000
    assert result.samples > 0
    assert result.bad > 0
    assert result.held_bytes <= 1100
