"""MbientLab MetaMotion (R, RL, C: BMI160; S: BMI270).

Source: the vendor's published test vectors and register lists. A packet is ``[module, register,
data]``; accelerometer and gyroscope come apart, as one or three samples of int16. No time and no
counter. The configuration bytes of the BMI270 and the battery's register are second-hand
(unverified on a sensor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import SourceError
from edge_app.sources.imu_protocols.packets import (
    ACC_CHANNELS,
    GYR_CHANNELS,
    MPS2_PER_G,
    RADPS_PER_DPS,
    bad_packet,
    choose,
    differs,
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

_BASE = "326a{}-85cb-9195-d9dd-464cfbbae75a"
SERVICE_UUID = _BASE.format("9000")
COMMAND_UUID = _BASE.format("9001")
NOTIFY_UUID = _BASE.format("9006")
ACC, GYR, SETTINGS = 0x03, 0x13, 0x11
INFO, READ = 0x80, 0x80
RATE_NIBBLES = {50.0: 0x07, 100.0: 0x08, 200.0: 0x09}
GYR_RANGES_DPS = {125.0: 4, 250.0: 3, 500.0: 2, 1000.0: 1, 2000.0: 0}
GYR_LSB_PER_DPS = {125.0: 262.4, 250.0: 131.2, 500.0: 65.6, 1000.0: 32.8, 2000.0: 16.4}
_TITLE = "MbientLab MetaMotion"


@dataclass(frozen=True, slots=True)
class Chip:
    """What differs between the inertial chips.

    Args:
        name: the chip.
        acc_conf: high bits of the accelerometer's rate byte.
        acc_ranges: code of each full scale in g.
        acc_packed: register of packed acceleration.
        gyr_packed: register of packed rotation.
    """

    name: str
    acc_conf: int
    acc_ranges: dict[float, int]
    acc_packed: int
    gyr_packed: int


BMI160 = Chip("BMI160", 0x20, {2.0: 0x03, 4.0: 0x05, 8.0: 0x08, 16.0: 0x0C}, 0x1C, 0x07)
BMI270 = Chip("BMI270", 0xA0, {2.0: 0x00, 4.0: 0x01, 8.0: 0x02, 16.0: 0x03}, 0x05, 0x05)
CHIPS = {(1, 0): BMI160, (4, 1): BMI270}
"""By the implementation numbers of the accelerometer's and the gyroscope's module."""

# (module, register, bytes): samples. Register 0x05 of the gyroscope is one sample on the BMI160
# and three on the BMI270; the length tells them apart.
_DATA = {
    (ACC, 0x04, 8): 1,
    (ACC, 0x1C, 20): 3,
    (ACC, 0x05, 20): 3,
    (GYR, 0x05, 8): 1,
    (GYR, 0x04, 8): 1,
    (GYR, 0x07, 20): 3,
    (GYR, 0x05, 20): 3,
}
_Data = dict[tuple[int, int, int], int]
_OTHER_MODULES = (0x01, SETTINGS, 0xFE)  # button, settings, debug: none of our business


class MetaMotionDecoder:
    """Decodes single and packed packets of both chips.

    A piece is joined to the one before it only when it does not begin like a packet itself.

    Args:
        acc_range_g: full scale of the accelerometer.
        gyr_range_dps: full scale of the gyroscope.
        data: (module, register, bytes) of the packets to expect: samples; None: any.

    Attributes:
        resyncs: pieces given up because the rest never came.
    """

    def __init__(self, acc_range_g: float, gyr_range_dps: float, data: _Data | None = None) -> None:
        self.resyncs = 0
        self._data = data or _DATA
        self._lengths: dict[bytes, tuple[int, ...]] = {}
        for module, register, size in sorted(self._data):
            head = bytes([module, register])
            self._lengths[head] = (*self._lengths.get(head, ()), size)
        self._acc_scale = np.float32(acc_range_g / 32768 * MPS2_PER_G)
        self._gyr_scale = np.float32(RADPS_PER_DPS / GYR_LSB_PER_DPS[gyr_range_dps])
        self._rest = b""

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: unknown header or wrong length.
        """
        if uuid != NOTIFY_UUID:
            return []
        n_bytes = len(data)
        n_samples = self._data.get((data[0], data[1], n_bytes)) if n_bytes > 1 else None
        if n_samples:
            if self._rest:
                self._rest = b""
                self.resyncs += 1
            return [self._decode(data, n_samples)]
        return self._feed_piece(data)

    def _feed_piece(self, data: bytes) -> list[ImuBlock]:
        """Take what is not exactly one data packet: a reply, a piece, several packets, rubbish."""
        head = data[:2]
        if len(head) == 2 and not self._rest:
            answer = head[0] in (ACC, GYR) and head[1] & READ
            if answer or head[0] in _OTHER_MODULES:
                return []
        if head in self._lengths:
            self.resyncs += bool(self._rest)
            self._rest = b""
        stream, self._rest = self._rest + data, b""
        found = []
        while stream:
            lengths = self._lengths.get(stream[:2], ())
            size = next(
                (s for s in lengths if len(stream) == s or stream[s : s + 2] in self._lengths), 0
            )
            if not size:
                break
            found.append(self._decode(stream[:size], self._data[stream[0], stream[1], size]))
            stream = stream[size:]
        if not stream:
            return found
        longest = max(self._lengths.get(stream[:2], (0,)))
        possible = len(stream) == 1 and stream[0] in (ACC, GYR)
        if len(stream) < longest or possible:
            self._rest = stream
            return found
        self.resyncs += bool(found)
        if found:
            return found
        raise bad_packet(
            _TITLE,
            "no data packet",
            expected="03 04, 03 1c, 03 05, 13 04, 13 05 or 13 07 with 6 or 18 bytes",
            got=f"{stream[:4].hex(' ')} ... {len(stream)} bytes",
        )

    def _decode(self, data: bytes, n_samples: int) -> ImuBlock:
        words = np.frombuffer(data, "<i2", 3 * n_samples, 2).reshape(n_samples, 3)
        if data[0] == ACC:
            return ImuBlock(ACC_CHANNELS, words * self._acc_scale)
        return ImuBlock(GYR_CHANNELS, words * self._gyr_scale)


class MetaMotion(ImuProtocol):
    """MbientLab MetaMotion: accelerometer and gyroscope at one rate, no time and no counter.

    Args:
        packed: ask for three samples a packet, which the radio bears better.
    """

    name = "metamotion"
    title = _TITLE
    rates_hz = tuple(RATE_NIBBLES)
    default_rate_hz = 100.0
    notify_uuids = (NOTIFY_UUID,)

    def __init__(self, *, packed: bool = True) -> None:
        self._packed = packed
        self._data: _Data | None = None  # the packets that were asked for

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the vendor's service or name.

        Args:
            advertised: what it says of itself.
        """
        named = advertised.name.lower().startswith(("metawear", "metamotion"))
        return SERVICE_UUID in advertised.service_uuids or named

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Ask which chip it is, configure both sensors, read back, subscribe, start.

        Args:
            link: the connected sensor.
            settings: what is asked for.

        Raises:
            SourceError: an unknown chip, or a rate or range not offered or read back otherwise.
        """
        rate_hz = choose(
            self.title, "rate", "Hz", settings.rate_hz, self.rates_hz, self.default_rate_hz
        )
        gyr_dps = choose(
            self.title, "range", "deg/s", settings.gyr_range_dps, tuple(GYR_RANGES_DPS), 2000.0
        )
        await link.subscribe(NOTIFY_UUID)
        chip = await self._chip(link)
        acc_g = choose(self.title, "range", "g", settings.acc_range_g, tuple(chip.acc_ranges), 16.0)
        nibble = RATE_NIBBLES[rate_hz]
        for module, conf in (
            (ACC, bytes([chip.acc_conf | nibble, chip.acc_ranges[acc_g]])),
            (GYR, bytes([0x20 | nibble, GYR_RANGES_DPS[gyr_dps]])),
        ):
            await link.write(COMMAND_UUID, bytes([module, 0x03]) + conf)
            read = await self._read(link, module, 0x03)
            if read[:2] != conf:
                raise differs(self.title, "rate and range", conf.hex(" "), read[:2].hex(" "))
        acc_register = chip.acc_packed if self._packed else 0x04
        single = 0x05 if chip is BMI160 else 0x04
        gyr_register = chip.gyr_packed if self._packed else single
        n = 3 if self._packed else 1
        self._data = {(ACC, acc_register, 2 + 6 * n): n, (GYR, gyr_register, 2 + 6 * n): n}
        for command in (
            bytes([ACC, acc_register, 1]),
            bytes([GYR, gyr_register, 1]),
            bytes([ACC, 0x02, 1, 0]),
            bytes([GYR, 0x02, 1, 0]),
            bytes([ACC, 0x01, 1]),
            bytes([GYR, 0x01, 1]),
        ):
            await link.write(COMMAND_UUID, command)
        return ImuSetup(
            rate_hz,
            IMU_CHANNELS,
            acc_range_g=acc_g,
            gyr_range_dps=gyr_dps,
            assumptions=(f"inertial chip {chip.name}",),
        )

    async def stop(self, link: GattLink) -> None:
        """Stop both sensors and their interrupts.

        Args:
            link: the connected sensor.
        """
        for module in (ACC, GYR):
            await link.write(COMMAND_UUID, bytes([module, 0x01, 0]))
            await link.write(COMMAND_UUID, bytes([module, 0x02, 0, 1]))

    def decoder(self, setup: ImuSetup) -> Decoder:
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        return MetaMotionDecoder(
            setup.acc_range_g or 16.0, setup.gyr_range_dps or 2000.0, self._data
        )

    async def battery_percent(self, link: GattLink) -> float | None:
        """Return the battery's charge.

        Args:
            link: the connected sensor.
        """
        data = await self._read(link, SETTINGS, 0x0C)
        return float(data[0]) if data else None

    async def _chip(self, link: GattLink) -> Chip:
        acc, gyr = [(await self._read(link, module, 0))[:1] for module in (ACC, GYR)]
        chip = CHIPS.get((acc[0], gyr[0])) if acc and gyr else None
        if chip is None:
            raise SourceError(
                "the sensor has an inertial chip that is not supported",
                source=self.title,
                expected="BMI160 or BMI270 with a gyroscope",
                got=f"accelerometer {acc.hex() or 'none'}, gyroscope {gyr.hex() or 'none'}",
                next_step="Use a MetaMotion R, RL, C or S",
            )
        return chip

    async def _read(self, link: GattLink, module: int, register: int) -> bytes:
        asked = bytes([module, register | READ])
        reply = await link.request(COMMAND_UUID, asked, reply_uuid=NOTIFY_UUID, reply_starts=asked)
        return reply[2:]
