"""Nordic Thingy:52, raw motion.

Source: Nordic Thingy:52 firmware documentation, motion service. 18 bytes of int16: acc Q6.10 g,
gyro Q11.5 deg/s, magnetometer Q12.4 uT (not read); the axes are already rotated to the case. No
time and no counter.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import IMU_CHANNELS, Float32Array
from edge_app.errors import SourceError
from edge_app.sources.imu_protocols.packets import (
    BATTERY_LEVEL_UUID,
    MPS2_PER_G,
    RADPS_PER_DPS,
    bad_packet,
    choose,
    differs,
    no_ranges,
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

_BASE_TAIL = "-9b35-4933-9b10-52ffa9740042"
SERVICE_UUID = "ef680400" + _BASE_TAIL
CONFIG_UUID = "ef680401" + _BASE_TAIL
RAW_UUID = "ef680406" + _BASE_TAIL
CONFIG_BYTES = 9
_RATE_OFFSET = 6
_RAW_BYTES = 18
_SCALE = scale_row(MPS2_PER_G / 1024, RADPS_PER_DPS / 32)
_TITLE = "Nordic Thingy:52"


class Thingy52Decoder:
    """Decodes raw packets; several in one notification are taken apart.

    A packet has no header and fits the smallest MTU, so a short one is cut off: it is refused and
    never joined to the next.
    """

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: wrong length.
        """
        if uuid != RAW_UUID:
            return []
        if not data or len(data) % _RAW_BYTES:
            raise bad_packet(
                _TITLE, "wrong length", expected=f"{_RAW_BYTES} bytes", got=f"{len(data)} bytes"
            )
        samples: Float32Array = np.frombuffer(data, "<i2").reshape(-1, 9)[:, :6] * _SCALE
        return [ImuBlock(IMU_CHANNELS, samples)]


class Thingy52(ImuProtocol):
    """Nordic Thingy:52: 5 to 200 Hz, no time and no counter; ranges fixed by the firmware."""

    name = "thingy52"
    title = _TITLE
    rates_hz = tuple(float(rate) for rate in range(5, 201))
    default_rate_hz = 100.0
    notify_uuids = (RAW_UUID,)

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the vendor's base UUID or name.

        Args:
            advertised: what it says of itself.
        """
        by_service = any(
            u.startswith("ef68") and u.endswith(_BASE_TAIL) for u in advertised.service_uuids
        )
        return by_service or advertised.name.lower().startswith("thingy")

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Set the motion rate, leave the other settings as they are, read back, subscribe.

        Args:
            link: the connected sensor.
            settings: what is asked for.

        Raises:
            SourceError: a rate that is not offered or reads back otherwise, a range (none can be
                set), or a configuration of unknown form.
        """
        rate_hz = choose(
            self.title, "rate", "Hz", settings.rate_hz, self.rates_hz, self.default_rate_hz
        )
        no_ranges(self.title, settings, "the sensor's ranges cannot be set")
        config = bytearray(await link.read(CONFIG_UUID))
        if len(config) != CONFIG_BYTES:
            raise SourceError(
                "the motion configuration has another form",
                source=self.title,
                expected=f"{CONFIG_BYTES} bytes",
                got=f"{len(config)} bytes",
                next_step="Update the sensor's firmware with the vendor's app",
            )
        config[_RATE_OFFSET : _RATE_OFFSET + 2] = int(rate_hz).to_bytes(2, "little")
        await link.write(CONFIG_UUID, bytes(config), response=True)
        read = await link.read(CONFIG_UUID)
        got_hz = int.from_bytes(read[_RATE_OFFSET : _RATE_OFFSET + 2], "little")
        if got_hz != rate_hz:
            raise differs(self.title, "rate", f"{rate_hz:g} Hz", f"{got_hz} Hz")
        await link.subscribe(RAW_UUID)
        return ImuSetup(
            rate_hz, IMU_CHANNELS, assumptions=("the ranges are fixed by the sensor's firmware",)
        )

    async def stop(self, link: GattLink) -> None:
        """Do nothing: the sensor sends for as long as somebody has subscribed.

        Args:
            link: the connected sensor.
        """

    def decoder(self, setup: ImuSetup) -> Decoder:  # noqa: ARG002 - the scales are fixed
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        return Thingy52Decoder()

    async def battery_percent(self, link: GattLink) -> float | None:
        """Return the battery's charge.

        Args:
            link: the connected sensor.
        """
        data = await link.read(BATTERY_LEVEL_UUID)
        return float(data[0]) if data else None
