"""Recognising, starting and stopping sensors, against simulated ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import ConfigError, SourceError
from edge_app.sources.imu_protocols import movella_dot, polar, thingy52, witmotion
from edge_app.sources.imu_protocols.generic import (
    StructCounter,
    StructField,
    StructLayout,
    StructTime,
    StructWrite,
)
from edge_app.sources.imu_protocols.metamotion import COMMAND_UUID, MetaMotion
from edge_app.sources.imu_protocols.movella_dot import MovellaDot
from edge_app.sources.imu_protocols.pmd_frame import ACC_TYPE
from edge_app.sources.imu_protocols.protocol import Advertised, ImuSettings, ImuSetup
from edge_app.sources.imu_protocols.registry import PROTOCOL_NAMES, make_protocol, recognise
from tests.imu_sensors import (
    BATTERY_UUID,
    GENERIC_COMMAND,
    GENERIC_NOTIFY,
    SENSORS,
    MetaMotionSensor,
    MovellaDotSensor,
    MovesenseSensor,
    PolarH10Sensor,
    PolarSenseSensor,
    ScriptedLink,
    Sensor,
    Thingy52Sensor,
    WitMotionSensor,
    generic_layout,
    make_sensor,
)


def start(sensor: Sensor, settings: ImuSettings | None = None, **link: object) -> ImuSetup:
    return asyncio.run(
        sensor.protocol().start(ScriptedLink(sensor, **link), settings or ImuSettings())
    )


# ---------------------------------------------------------------- recognising
@pytest.mark.parametrize("name", [name for name in SENSORS if name != "generic"])
def test_only_its_own_protocol_claims_a_sensor(name: str) -> None:
    sensor = make_sensor(name)
    full = sensor.advertised()
    by_name = replace(full, service_uuids=(), manufacturer_ids=())
    by_service = replace(full, name="", manufacturer_ids=())
    for advertised in (full, by_name, by_service):
        claimed = [n for n in PROTOCOL_NAMES if make_protocol(n).recognises(advertised)]
        assert claimed == [sensor.protocol_name], advertised


def test_strangers_are_nobodys() -> None:
    for advertised in (
        Advertised("AA", ""),
        Advertised("AA", "Heart Rate", ("0000180d-0000-1000-8000-00805f9b34fb",), (0x006B,)),
        Advertised("AA", "lamp", ("0000ffe5-0000-1000-8000-00805f9b34fb",)),  # the SIG's base
        Advertised("AA", "Polar Vantage V"),
    ):
        assert recognise(advertised) is None


def test_generic_is_recognised_by_the_service_of_its_layout() -> None:
    sensor = make_sensor("generic")
    assert sensor.protocol().recognises(sensor.advertised())
    assert recognise(sensor.advertised()) is None
    nameless = replace(generic_layout(), service_uuid="")
    assert not type(sensor.protocol())(nameless).recognises(sensor.advertised())


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="witmotion"):
        make_protocol("witmotoin")


# ---------------------------------------------------------------- starting
@pytest.mark.parametrize("name", SENSORS)
def test_starting_makes_it_stream_and_stopping_ends_it(name: str) -> None:
    sensor = make_sensor(name)
    protocol = sensor.protocol()
    link = ScriptedLink(sensor)
    setup = asyncio.run(protocol.start(link, ImuSettings()))
    assert sensor.streaming
    assert setup.rate_hz == sensor.rate_hz
    assert setup.channels in (IMU_CHANNELS, IMU_CHANNELS[:3])
    assert set(protocol.notify_uuids) <= set(link.subscriptions)
    asyncio.run(protocol.stop(link))
    if name not in ("witmotion", "thingy52"):  # these send to whoever has subscribed
        assert not sensor.streaming


@pytest.mark.parametrize(
    ("name", "rate_hz"),
    [
        ("witmotion", 200.0),
        ("movella_dot", 30.0),
        ("movesense", 52.0),
        ("polar_h10", 200.0),
        ("metamotion", 50.0),
        ("metamotion_bmi270", 200.0),
        ("thingy52", 137.0),
    ],
)
def test_the_rate_asked_for_arrives_at_the_sensor(name: str, rate_hz: float) -> None:
    sensor = make_sensor(name)
    assert start(sensor, ImuSettings(rate_hz=rate_hz)).rate_hz == rate_hz
    assert sensor.rate_hz == rate_hz


@pytest.mark.parametrize(
    ("name", "rate_hz", "offered"),
    [
        ("witmotion", 104.0, "1, 5, 10, 50, 100, 200 Hz"),
        ("movella_dot", 120.0, "1, 4, 10, 12, 15, 20, 30, 60 Hz"),
        ("movesense", 100.0, "13, 26, 52, 104, 208 Hz"),
        ("polar_h10", 52.0, "25, 50, 100, 200 Hz"),
        ("polar_sense", 100.0, "52 Hz"),
        ("metamotion", 25.0, "50, 100, 200 Hz"),
        ("thingy52", 250.0, "5 to 200 Hz"),
        ("sensortag", 50.0, "10 Hz"),
        ("generic", 50.0, "100 Hz"),
    ],
)
def test_a_rate_not_offered_lists_those_that_are(name: str, rate_hz: float, offered: str) -> None:
    with pytest.raises(SourceError) as raised:
        start(make_sensor(name), ImuSettings(rate_hz=rate_hz))
    assert str(raised.value.expected).startswith(offered)
    assert raised.value.got == f"{rate_hz:g} Hz"


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("asked", [ImuSettings(acc_range_g=7.0), ImuSettings(gyr_range_dps=77.0)])
def test_a_range_not_offered_is_refused(name: str, asked: ImuSettings) -> None:
    with pytest.raises(SourceError) as raised:
        start(make_sensor(name), asked)
    assert raised.value.next_step


def test_movella_writes_the_documented_bytes() -> None:
    sensor = MovellaDotSensor()
    link = ScriptedLink(sensor)
    asyncio.run(MovellaDot(26).start(link, ImuSettings(rate_hz=60)))
    control = bytes([0x10, *bytes(23), 60, 0, *bytes(6)])
    assert link.calls == [
        ("write", movella_dot.DEVICE_CONTROL_UUID, control),
        ("read", movella_dot.DEVICE_CONTROL_UUID, b""),
        ("subscribe", movella_dot.LONG_PAYLOAD_UUID, b""),
        ("write", movella_dot.MEASUREMENT_CONTROL_UUID, bytes([1, 1, 26])),
    ]
    assert len(sensor.packets(0)[0][1]) == 63


def test_metamotion_asks_for_the_chip_first_and_packs() -> None:
    sensor = MetaMotionSensor()
    link = ScriptedLink(sensor)
    asyncio.run(MetaMotion().start(link, ImuSettings(rate_hz=100, acc_range_g=2)))
    sent = [data.hex() for _, uuid, data in link.calls if uuid == COMMAND_UUID]
    assert sent == [
        *("0380", "1380", "03032803", "0383", "13032800", "1383"),
        *("031c01", "130701", "03020100", "13020100", "030101", "130101"),
    ]
    assert {len(data) for _, data in sensor.packets(2)} == {20}


def test_metamotion_single_packets_and_the_other_chip() -> None:
    sensor = make_sensor("metamotion_bmi270")
    link = ScriptedLink(sensor)
    setup = asyncio.run(MetaMotion(packed=False).start(link, ImuSettings(acc_range_g=8)))
    sent = [data.hex() for _, uuid, data in link.calls if uuid == COMMAND_UUID]
    assert sent[2] == "0303a802"
    assert "030401" in sent
    assert "130401" in sent
    assert "inertial chip BMI270" in setup.assumptions
    assert {len(data) for _, data in sensor.packets(0)} == {8}


def test_metamotion_with_another_chip_is_refused() -> None:
    sensor = MetaMotionSensor()
    reply = MetaMotion.notify_uuids[0]
    sensor.on_write = lambda _uuid, data: [(reply, data + b"\x03\x01")]  # type: ignore[method-assign]
    link = ScriptedLink(sensor)
    with pytest.raises(SourceError, match="not supported"):
        asyncio.run(MetaMotion().start(link, ImuSettings()))


def test_polar_h10_has_no_gyroscope_and_says_so() -> None:
    sensor = PolarH10Sensor()
    setup = start(sensor)
    assert setup.channels == IMU_CHANNELS[:3]
    assert setup.acc_range_g == 8.0
    assert "no gyroscope: acceleration only" in setup.assumptions
    with pytest.raises(SourceError, match="no gyroscope"):
        start(PolarH10Sensor(), ImuSettings(gyr_range_dps=2000))


def test_polar_takes_the_factor_of_the_sensors_answer() -> None:
    sensor = PolarSenseSensor()
    sensor.factor = lambda kind: 0.001 if kind == ACC_TYPE else 0.5  # type: ignore[method-assign]
    protocol = sensor.protocol()
    setup = asyncio.run(protocol.start(ScriptedLink(sensor), ImuSettings()))
    frame = bytes([2]) + (10**9).to_bytes(8, "little") + b"\x80" + (1000).to_bytes(2, "little") * 3
    (block,) = protocol.decoder(setup).feed(polar.DATA_UUID, frame)
    assert block.samples[0, 0] == pytest.approx(9.80665)


def test_metamotion_expects_no_packets_but_those_it_asked_for() -> None:
    """A packet of three cut short holds what another chip would send, by chance."""
    sensor = make_sensor("metamotion_bmi270")
    protocol = sensor.protocol()
    setup = asyncio.run(protocol.start(ScriptedLink(sensor), ImuSettings()))
    cut = bytes.fromhex("130551 0454fcecfe 030455fcf3feb203")
    assert protocol.decoder(setup).feed(protocol.notify_uuids[0], cut) == []


@pytest.mark.parametrize(("factor", "mps2"), [(1.0, 9.80665), (0.5, 4.903325)])
def test_polar_factor_counts_for_compressed_millig_too(factor: float, mps2: float) -> None:
    """Compressed frames are numbers times the factor, in mg where the frame type is 1."""
    sensor = PolarSenseSensor()
    sensor.factor = lambda _kind: factor  # type: ignore[method-assign]
    protocol = sensor.protocol()
    setup = asyncio.run(protocol.start(ScriptedLink(sensor), ImuSettings()))
    frame = bytes([2]) + (10**9).to_bytes(8, "little") + b"\x81" + (1000).to_bytes(2, "little") * 3
    (block,) = protocol.decoder(setup).feed(polar.DATA_UUID, frame)
    assert block.samples[0, 0] == pytest.approx(mps2)


def test_polar_left_streaming_by_an_earlier_link_is_stopped_and_started() -> None:
    sensor = PolarH10Sensor()
    start(sensor)
    start(sensor)  # the link was lost without a stop
    assert sensor.streaming
    assert (polar.CONTROL_UUID, bytes([3, 2])) in sensor.writes


def test_an_error_of_the_sensor_is_told_with_its_meaning() -> None:
    sensor = PolarH10Sensor()
    sensor.error = 13
    with pytest.raises(SourceError, match="charger"):
        start(sensor)


def test_movesense_with_another_firmware_says_which_is_missing() -> None:
    sensor = MovesenseSensor()
    sensor.characteristics = {}
    with pytest.raises(SourceError, match="GSP firmware"):
        start(sensor)


def test_movesense_refusing_a_path_is_told() -> None:
    sensor = MovesenseSensor()
    sensor.status = 404
    with pytest.raises(SourceError, match="status 404"):
        start(sensor)


def test_witmotion_that_does_not_answer_is_an_assumption() -> None:
    sensor = WitMotionSensor()
    sensor.answer = lambda _uuid, _data: []  # type: ignore[method-assign]
    setup = start(sensor)
    assert any("could not be read back" in sentence for sentence in setup.assumptions)


def test_settings_that_read_back_otherwise_are_told() -> None:
    deaf = WitMotionSensor(rate_hz=50.0)
    answer = deaf.answer
    deaf.answer = lambda u, d: [] if d[2] == 3 else answer(u, d)  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="did not take the rate"):
        start(deaf)
    for sensor in (MovellaDotSensor(), Thingy52Sensor()):
        sensor.on_write = lambda _uuid, _data: []  # type: ignore[method-assign]
        with pytest.raises(SourceError, match="did not take the rate"):
            start(sensor)


@pytest.mark.parametrize(
    ("name", "percent"),
    [
        ("movella_dot", 87.0),
        ("polar_h10", 64.0),
        ("metamotion", 91.0),
        ("thingy52", 55.0),
        ("witmotion", None),
        ("sensortag", None),
        ("generic", None),
    ],
)
def test_battery(name: str, percent: float | None) -> None:
    sensor = make_sensor(name)
    protocol, link = sensor.protocol(), ScriptedLink(sensor)
    asyncio.run(protocol.start(link, ImuSettings()))
    assert asyncio.run(protocol.battery_percent(link)) == percent
    assert BATTERY_UUID != witmotion.NOTIFY_UUID


def test_thingy_leaves_the_other_settings_alone() -> None:
    sensor = Thingy52Sensor()
    before = sensor.on_read(thingy52.CONFIG_UUID)
    start(sensor, ImuSettings(rate_hz=60))
    after = sensor.on_read(thingy52.CONFIG_UUID)
    assert after[:6] == before[:6]
    assert after[6:8] == (60).to_bytes(2, "little")
    assert after[8:] == before[8:]


def test_sensortag_says_that_it_is_too_slow_for_gait() -> None:
    assert "too slow for gait" in make_protocol("sensortag").title
    assert "10 Hz is too slow for gait" in start(make_sensor("sensortag")).assumptions


def test_generic_waits_for_acknowledgements() -> None:
    with pytest.raises(SourceError, match="no reply"):
        start(make_sensor("generic"), mute=(GENERIC_COMMAND,))


# ---------------------------------------------------------------- generic layouts
ACC = tuple(StructField(c, i, 1.0, "g") for i, c in enumerate(IMU_CHANNELS[:3]))
GOOD = StructLayout(GENERIC_NOTIFY, "<3hIBx", 100.0, ACC, time=StructTime(3, 1e-3, 32))


def test_a_layout_of_one_triad_is_enough() -> None:
    assert GOOD.channels == IMU_CHANNELS[:3]
    assert GOOD.packet_bytes == 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"notify_uuid": "ffe4"}, "not a UUID"),
        ({"notify_uuid": GENERIC_NOTIFY.upper()}, "not a UUID"),
        ({"start_writes": (StructWrite("no", b""),)}, "not a UUID"),
        ({"struct_format": "3hIB"}, "byte order"),
        ({"struct_format": "<3hQQz"}, "does not parse"),
        ({"struct_format": "<3hI4s"}, "more than numbers"),
        ({"samples_per_packet": 0}, "samples per packet"),
        ({"header_bytes": -1}, "header"),
        ({"samples_per_packet": 21}, "does not fit one notification"),
        ({"max_notification_bytes": 4}, "another size"),
        ({"nominal_rate_hz": 0.0}, "rate"),
        ({"nominal_rate_hz": float("nan")}, "rate"),
        ({"fields": ACC[:2]}, "no whole triad"),
        ({"fields": (*ACC, ACC[0])}, "no whole triad"),
        ({"fields": ()}, "no whole triad"),
        ({"fields": (*ACC[:2], replace(ACC[2], unit="deg/s"))}, "wrong unit"),
        ({"fields": (*ACC[:2], replace(ACC[2], unit="mg"))}, "wrong unit"),
        ({"fields": (*ACC[:2], replace(ACC[2], scale=0.0))}, "wrong scale"),
        ({"fields": (*ACC[:2], replace(ACC[2], index=9))}, "outside the struct"),
        ({"fields": (*ACC[:2], replace(ACC[2], index=1))}, "named twice"),
        ({"counter": StructCounter(3, 8)}, "named twice"),
        ({"counter": StructCounter(4, 2)}, "8 to 64 bits"),
        ({"counter": StructCounter(4, 16)}, "wider than its number"),
        ({"struct_format": "<3hf"}, "whole numbers"),
        ({"time": StructTime(3, 0.0, 32)}, "tick"),
        ({"time": StructTime(3, 1e-6, 8)}, "wraps within a second"),
    ],
)
def test_a_layout_that_cannot_work_says_why(change: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        replace(GOOD, **change)
    assert raised.value.expected is not None
    assert raised.value.next_step
