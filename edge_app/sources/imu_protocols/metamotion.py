"""MbientLab MetaMotion (R, RL, C: BMI160; S: BMI270).

Source: the vendor's published test vectors and register lists. What it sends is decoded in
``metamotion_packets``. The configuration bytes of the BMI270 and the battery's register are
second-hand (unverified on a sensor).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import SourceError
from edge_app.sources.imu_protocols.metamotion_packets import (
    ACC,
    BASE_UUID,
    GYR,
    GYR_LSB_PER_DPS,
    NOTIFY_UUID,
    READ,
    SETTINGS,
    TITLE,
    MetaMotionDecoder,
    PacketSamples,
)
from edge_app.sources.imu_protocols.packets import choose, differs
from edge_app.sources.imu_protocols.protocol import (
    Advertised,
    Decoder,
    GattLink,
    ImuProtocol,
    ImuSettings,
    ImuSetup,
)

__all__ = [
    "ACC",
    "BMI160",
    "BMI270",
    "CHIPS",
    "COMMAND_UUID",
    "GYR",
    "GYR_LSB_PER_DPS",
    "GYR_RANGES_DPS",
    "NOTIFY_UUID",
    "RATE_NIBBLES",
    "SERVICE_UUID",
    "SETTINGS",
    "Chip",
    "MetaMotion",
    "MetaMotionDecoder",
]
SERVICE_UUID = BASE_UUID.format("9000")
COMMAND_UUID = BASE_UUID.format("9001")
RATE_NIBBLES = {50.0: 0x07, 100.0: 0x08, 200.0: 0x09}
GYR_RANGES_DPS = {125.0: 4, 250.0: 3, 500.0: 2, 1000.0: 1, 2000.0: 0}


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


class MetaMotion(ImuProtocol):
    """MbientLab MetaMotion: accelerometer and gyroscope at one rate, no time and no counter.

    Args:
        packed: ask for three samples a packet, which the radio bears better.
    """

    name = "metamotion"
    title = TITLE
    rates_hz = tuple(RATE_NIBBLES)
    default_rate_hz = 100.0
    notify_uuids = (NOTIFY_UUID,)

    def __init__(self, *, packed: bool = True) -> None:
        self._packed = packed
        self._data: PacketSamples | None = None  # the packets that were asked for

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
