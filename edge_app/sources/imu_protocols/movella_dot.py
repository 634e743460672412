"""Movella (Xsens) DOT, measurement modes 21 (rate quantities) and 26 (custom mode 5).

Source: "Movella DOT BLE Services Specifications", rev. C, sections on the configuration and the
measurement service. Time is uint32 microseconds, so it wraps after 71.6 minutes; there is no
counter. Streaming ends at 60 Hz; 120 Hz is for recording on the sensor only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edge_app.contracts import IMU_CHANNELS
from edge_app.sources.imu_protocols.packets import (
    FULL_SCALE_SLACK,
    MPS2_PER_G,
    RADPS_PER_DPS,
    bad_packet,
    choose,
    differs,
    scale_row,
)
from edge_app.sources.imu_protocols.protocol import (
    Advertised,
    Decoder,
    GattLink,
    ImuBlock,
    ImuProtocol,
    ImuSettings,
    ImuSetup,
)

COMPANY_ID = 0x0886
_BASE = "1517{}-4947-11e9-8646-d663bd873d93"
DEVICE_CONTROL_UUID = _BASE.format("1002")
MEASUREMENT_CONTROL_UUID = _BASE.format("2001")
LONG_PAYLOAD_UUID = _BASE.format("2002")
MEDIUM_PAYLOAD_UUID = _BASE.format("2003")
BATTERY_UUID = _BASE.format("3001")
ACC_RANGE_G = 16.0
GYR_RANGE_DPS = 2000.0

_TITLE = "Movella DOT"
_ZERO_ENDS = 8
_ODD_ENDS = 3
_CONTROL_BYTES = 32
_RATE_BIT = 0x10
_RATE_OFFSET = 24
_SCALE = scale_row(1.0, RADPS_PER_DPS)
_LIMITS = FULL_SCALE_SLACK * scale_row(ACC_RANGE_G * MPS2_PER_G, GYR_RANGE_DPS)
# mode: (characteristic, whole payload, bytes used, offset of acc)
_MODES = {21: (MEDIUM_PAYLOAD_UUID, 40, 28, 4), 26: (LONG_PAYLOAD_UUID, 63, 44, 20)}


class MovellaDotDecoder:
    """Decodes payloads of one measurement mode.

    The payload has no header, but an unused end. Two pieces are joined only when together they are
    exactly one payload whose end is all zeros, so two payloads cut short by a small MTU are never
    taken for one. A whole payload whose end is not zero is refused after some whose end was; that
    it is zero is unverified on a sensor, so three such in a row are taken for its way.

    Args:
        mode: 21 or 26.
    """

    def __init__(self, mode: Literal[21, 26]) -> None:
        self.resyncs = 0
        self._uuid, self._size, self._used, self._offset = _MODES[mode]
        self._rest = b""
        self._unused = bytes(self._size - self._used)
        self._n_zero_ends = self._n_odd_ends = 0

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: wrong length, or values that the sensor cannot measure.
        """
        if uuid != self._uuid:
            return []
        n_bytes = len(data)
        if n_bytes == self._size:
            self._give_up()
            return [self._decode(data)]
        if n_bytes and n_bytes % self._size == 0:
            self._give_up()
            return [self._decode_many(data)]
        joined = self._rest + data
        if len(joined) == self._size and self._rest:
            self._rest = b""
            if any(joined[self._used :]):
                self.resyncs += 1
                raise bad_packet(
                    _TITLE,
                    "two short packets do not make one",
                    expected=f"{self._size - self._used} zero bytes at the end",
                    got=joined[self._used :].hex(" "),
                )
            return [self._decode(joined)]
        if n_bytes < self._size and not self._rest:
            self._rest = data
            return []
        self._give_up()
        self._rest = data if n_bytes < self._size else b""
        raise bad_packet(
            _TITLE, "wrong length", expected=f"{self._size} bytes", got=f"{n_bytes} bytes"
        )

    def _give_up(self) -> None:
        if self._rest:
            self._rest = b""
            self.resyncs += 1

    def _decode(self, data: bytes) -> ImuBlock:
        self._check_end(data)
        values = np.frombuffer(data, "<f4", 6, self._offset)
        if not (np.abs(values) <= _LIMITS).all():  # a NaN fails it too
            raise self._impossible(values)
        tick = int.from_bytes(data[:4], "little")
        return ImuBlock(IMU_CHANNELS, (values * _SCALE).reshape(1, 6), (tick,))

    def _check_end(self, data: bytes) -> None:
        if data[self._used :] == self._unused:
            self._n_zero_ends += 1
            self._n_odd_ends = 0
            return
        self._n_odd_ends += 1
        if self._n_zero_ends >= _ZERO_ENDS and self._n_odd_ends < _ODD_ENDS:
            raise bad_packet(
                _TITLE,
                "pieces of two packets",
                expected=f"{len(self._unused)} zero bytes at the end",
                got=data[self._used :].hex(" "),
            )

    def _decode_many(self, data: bytes) -> ImuBlock:
        parts = [self._decode(data[at : at + self._size]) for at in range(0, len(data), self._size)]
        ticks = tuple(part.ticks[0] for part in parts if part.ticks)
        return ImuBlock(IMU_CHANNELS, np.concatenate([part.samples for part in parts]), ticks)

    def _impossible(self, values: object) -> Exception:
        return bad_packet(
            _TITLE,
            "values that the sensor cannot measure",
            expected=f"up to {ACC_RANGE_G:g} g and {GYR_RANGE_DPS:g} deg/s",
            got=values,
        )


class MovellaDot(ImuProtocol):
    """Movella (Xsens) DOT.

    Args:
        mode: 21 (rate quantities) or 26 (custom mode 5, with the orientation, which is not read).
    """

    name = "movella_dot"
    title = _TITLE
    rates_hz = (1.0, 4.0, 10.0, 12.0, 15.0, 20.0, 30.0, 60.0)
    default_rate_hz = 60.0

    def __init__(self, mode: Literal[21, 26] = 21) -> None:
        self._mode = mode
        self.notify_uuids = (_MODES[mode][0],)

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the vendor's company identifier, service or name.

        Args:
            advertised: what it says of itself.
        """
        tail = _BASE[6:]
        by_service = any(
            u.startswith("1517") and u.endswith(tail[2:]) for u in advertised.service_uuids
        )
        named = advertised.name.lower().startswith(("movella dot", "xsens dot"))
        return COMPANY_ID in advertised.manufacturer_ids or by_service or named

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Set the rate and read it back, subscribe to the mode's payload, start measuring.

        Args:
            link: the connected sensor.
            settings: what is asked for.

        Raises:
            SourceError: a rate or range that is not offered, or a rate that reads back otherwise.
        """
        rate_hz = choose(
            self.title, "rate", "Hz", settings.rate_hz, self.rates_hz, self.default_rate_hz
        )
        choose(self.title, "range", "g", settings.acc_range_g, (ACC_RANGE_G,), ACC_RANGE_G)
        choose(
            self.title, "range", "deg/s", settings.gyr_range_dps, (GYR_RANGE_DPS,), GYR_RANGE_DPS
        )
        control = bytearray(_CONTROL_BYTES)
        control[0] = _RATE_BIT
        control[_RATE_OFFSET : _RATE_OFFSET + 2] = int(rate_hz).to_bytes(2, "little")
        await link.write(DEVICE_CONTROL_UUID, bytes(control), response=True)
        read = await link.read(DEVICE_CONTROL_UUID)
        got_hz = int.from_bytes(read[_RATE_OFFSET : _RATE_OFFSET + 2], "little")
        if got_hz != rate_hz:
            raise differs(self.title, "rate", f"{rate_hz:g} Hz", f"{got_hz} Hz")
        await link.subscribe(self.notify_uuids[0])
        await link.write(MEASUREMENT_CONTROL_UUID, bytes([1, 1, self._mode]), response=True)
        return ImuSetup(
            rate_hz,
            IMU_CHANNELS,
            acc_range_g=ACC_RANGE_G,
            gyr_range_dps=GYR_RANGE_DPS,
            tick_s=1e-6,
            clock_bits=32,
        )

    async def stop(self, link: GattLink) -> None:
        """Stop measuring.

        Args:
            link: the connected sensor.
        """
        await link.write(MEASUREMENT_CONTROL_UUID, bytes([1, 0, self._mode]), response=True)

    def decoder(self, setup: ImuSetup) -> Decoder:  # noqa: ARG002 - values come in units
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        return MovellaDotDecoder(self._mode)

    async def battery_percent(self, link: GattLink) -> float | None:
        """Return the battery's charge.

        Args:
            link: the connected sensor.
        """
        data = await link.read(BATTERY_UUID)
        return float(data[0]) if data else None
