"""TI SensorTag CC2650, movement service.

Source: readers of the movement service; its user's guide for the scales. The configuration's range
bits and the least period of 100 ms are unverified on a sensor. At 10 Hz it is too slow for gait.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import IMU_CHANNELS, Float32Array
from edge_app.sources.imu_protocols.packets import (
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

_BASE_TAIL = "-0451-4000-b000-000000000000"
SERVICE_UUID = "f000aa80" + _BASE_TAIL
DATA_UUID = "f000aa81" + _BASE_TAIL
CONFIG_UUID = "f000aa82" + _BASE_TAIL
PERIOD_UUID = "f000aa83" + _BASE_TAIL
ADVERTISED_UUID = "0000aa80-0000-1000-8000-00805f9b34fb"
ALL_AXES_8G = (0x027F).to_bytes(2, "little")
PERIOD_100_MS = bytes([10])
ACC_RANGE_G = 8.0
GYR_RANGE_DPS = 250.0
_PACKET_BYTES = 18
_SCALE = scale_row(MPS2_PER_G / 4096, RADPS_PER_DPS / 128)
_ACC_THEN_GYR = [3, 4, 5, 0, 1, 2]  # the sensor sends the gyroscope first
_TITLE = "TI SensorTag CC2650 (10 Hz, too slow for gait)"


class SensorTagDecoder:
    """Decodes movement packets; a short one is refused and never joined to the next."""

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: wrong length.
        """
        if uuid != DATA_UUID:
            return []
        if not data or len(data) % _PACKET_BYTES:
            raise bad_packet(
                _TITLE, "wrong length", expected=f"{_PACKET_BYTES} bytes", got=f"{len(data)} bytes"
            )
        words = np.frombuffer(data, "<i2").reshape(-1, 9)
        samples: Float32Array = words[:, _ACC_THEN_GYR] * _SCALE
        return [ImuBlock(IMU_CHANNELS, samples)]


class SensorTag(ImuProtocol):
    """TI SensorTag CC2650: 10 Hz, no time and no counter."""

    name = "sensortag"
    title = _TITLE
    rates_hz = (10.0,)
    default_rate_hz = 10.0
    notify_uuids = (DATA_UUID,)

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the vendor's base UUID or name.

        Args:
            advertised: what it says of itself.
        """
        by_service = any(
            u == ADVERTISED_UUID or (u.startswith("f000aa") and u.endswith(_BASE_TAIL))
            for u in advertised.service_uuids
        )
        return by_service or "sensortag" in advertised.name.lower()

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Set all axes, 8 g and 100 ms, read them back, subscribe.

        Args:
            link: the connected sensor.
            settings: what is asked for.

        Raises:
            SourceError: a rate or range that is not offered, or that reads back otherwise.
        """
        rate_hz = choose(self.title, "rate", "Hz", settings.rate_hz, self.rates_hz, 10.0)
        choose(self.title, "range", "g", settings.acc_range_g, (ACC_RANGE_G,), ACC_RANGE_G)
        choose(
            self.title, "range", "deg/s", settings.gyr_range_dps, (GYR_RANGE_DPS,), GYR_RANGE_DPS
        )
        for uuid, value, what in (
            (PERIOD_UUID, PERIOD_100_MS, "period"),
            (CONFIG_UUID, ALL_AXES_8G, "range"),
        ):
            await link.write(uuid, value, response=True)
            read = await link.read(uuid)
            if read[: len(value)] != value:
                raise differs(self.title, what, value.hex(" "), read.hex(" "))
        await link.subscribe(DATA_UUID)
        return ImuSetup(
            rate_hz,
            IMU_CHANNELS,
            acc_range_g=ACC_RANGE_G,
            gyr_range_dps=GYR_RANGE_DPS,
            assumptions=(
                "10 Hz is too slow for gait",
                "the sensor's range bits are unverified: 8 g is assumed",
            ),
        )

    async def stop(self, link: GattLink) -> None:
        """Switch the motion sensor off.

        Args:
            link: the connected sensor.
        """
        await link.write(CONFIG_UUID, bytes(2), response=True)

    def decoder(self, setup: ImuSetup) -> Decoder:  # noqa: ARG002 - the scales are fixed
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        return SensorTagDecoder()
