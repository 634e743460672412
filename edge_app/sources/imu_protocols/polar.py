"""Polar H10 (accelerometer only) and Polar Verity Sense (accelerometer and gyroscope).

Source: "Polar Measurement Data Specification for 3rd Party" (control point, error codes, settings,
frames). Time is uint64 nanoseconds since 2000 of a frame's last sample. Frames are compressed or
not as the sensor likes.
"""

from __future__ import annotations

import struct

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import SourceError
from edge_app.sources.imu_protocols.packets import ACC_CHANNELS, BATTERY_LEVEL_UUID, choose
from edge_app.sources.imu_protocols.pmd_control import (
    ALREADY_STREAMING,
    ASK_SETTINGS,
    CHANNELS,
    ERRORS,
    FACTOR,
    RANGE,
    RATE,
    REPLY,
    RESOLUTION,
    START,
    STOP,
    parse_settings,
)
from edge_app.sources.imu_protocols.pmd_decoder import DATA_UUID, Factors, PolarDecoder
from edge_app.sources.imu_protocols.pmd_frame import ACC_TYPE, GYR_TYPE
from edge_app.sources.imu_protocols.protocol import (
    Advertised,
    Decoder,
    GattLink,
    ImuProtocol,
    ImuSettings,
    ImuSetup,
)

_BASE = "fb005c{}-02e7-f387-1cad-8acd2d8df0c8"
SERVICE_UUID = _BASE.format("80")
CONTROL_UUID = _BASE.format("81")
_NOT_OFFERED = (2, 3)
_TITLE = "Polar H10 / Verity Sense"


class Polar(ImuProtocol):
    """Polar H10 and Verity Sense. The object keeps the factors of the sensor it has started."""

    name = "polar"
    title = _TITLE
    rates_hz = (25.0, 50.0, 52.0, 100.0, 200.0)
    default_rate_hz = 100.0
    notify_uuids = (DATA_UUID,)

    def __init__(self) -> None:
        self._factors: Factors | None = None
        self._started: tuple[int, ...] = ()

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the measurement service, or the name of a model that has an accelerometer.

        Args:
            advertised: what it says of itself.
        """
        named = advertised.name.lower().startswith(("polar h10", "polar sense", "polar verity"))
        return SERVICE_UUID in advertised.service_uuids or named

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Ask what the sensor offers, choose, start acceleration and, where there is one, rotation.

        Without a wish the highest rate up to 100 Hz and the widest range are taken.

        Args:
            link: the connected sensor.
            settings: what is asked for.

        Raises:
            SourceError: something not offered, or an error from the sensor.
        """
        await link.subscribe(CONTROL_UUID)
        await link.subscribe(DATA_UUID)
        acc = await self._offered(link, ACC_TYPE)
        if acc is None:
            raise SourceError(
                "the sensor offers no acceleration",
                source=self.title,
                next_step="Use a Polar H10 or Verity Sense; wake it by wearing it",
            )
        gyr = await self._offered(link, GYR_TYPE)
        if gyr is None and settings.gyr_range_dps is not None:
            raise SourceError(
                "the sensor has no gyroscope",
                source=self.title,
                expected="no range of a gyroscope",
                got=f"{settings.gyr_range_dps:g} deg/s",
                next_step="Leave gyr_range_dps out of the device configuration",
            )
        rates = sorted(set(acc[RATE]) & set(gyr[RATE] if gyr else acc[RATE]))
        usual = max([r for r in rates if r <= self.default_rate_hz] or rates[:1] or [0.0])
        rate_hz = choose(self.title, "rate", "Hz", settings.rate_hz, rates, usual)
        acc_g = choose(self.title, "range", "g", settings.acc_range_g, acc[RANGE], max(acc[RANGE]))
        assumptions: list[str] = []
        acc_factor = await self._begin(link, ACC_TYPE, rate_hz, acc, acc_g, assumptions)
        if gyr is None:
            self._factors = _factors(acc_factor, acc_g)
            self._started = (ACC_TYPE,)
            assumptions.append("no gyroscope: acceleration only")
            gyr_dps = None
        else:
            gyr_dps = choose(
                self.title, "range", "deg/s", settings.gyr_range_dps, gyr[RANGE], max(gyr[RANGE])
            )
            gyr_factor = await self._begin(link, GYR_TYPE, rate_hz, gyr, gyr_dps, assumptions)
            self._factors = _factors(acc_factor, acc_g, gyr_factor or gyr_dps / 32768)
            self._started = (ACC_TYPE, GYR_TYPE)
        return ImuSetup(
            rate_hz,
            IMU_CHANNELS if gyr else ACC_CHANNELS,
            acc_range_g=acc_g,
            gyr_range_dps=gyr_dps,
            tick_s=1e-9,
            clock_bits=64,
            assumptions=tuple(assumptions),
        )

    async def stop(self, link: GattLink) -> None:
        """Stop what was started: an H10 streams until told to stop, and wears its battery down.

        Args:
            link: the connected sensor.
        """
        for measurement in self._started:
            await link.write(CONTROL_UUID, bytes([STOP, measurement]), response=True)

    def decoder(self, setup: ImuSetup) -> Decoder:
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        acc_g, gyr_dps = setup.acc_range_g or 16.0, setup.gyr_range_dps or 2000.0
        factors = self._factors or _factors(None, acc_g, gyr_dps / 32768)
        return PolarDecoder(setup.rate_hz, factors, acc_g, gyr_dps)

    async def battery_percent(self, link: GattLink) -> float | None:
        """Return the battery's charge.

        Args:
            link: the connected sensor.
        """
        data = await link.read(BATTERY_LEVEL_UUID)
        return float(data[0]) if data else None

    async def _command(self, link: GattLink, command: bytes) -> bytes:
        return await link.request(
            CONTROL_UUID,
            command,
            reply_uuid=CONTROL_UUID,
            reply_starts=bytes([REPLY]) + command[:2],
        )

    async def _offered(self, link: GattLink, measurement: int) -> dict[int, list[float]] | None:
        """Return what a measurement offers, None when the sensor has no such measurement."""
        reply = await self._command(link, bytes([ASK_SETTINGS, measurement]))
        if len(reply) > 3 and reply[3] in _NOT_OFFERED:
            return None
        self._refuse_error(reply, "asking for the settings")
        offered = parse_settings(reply[5:])
        if not (offered.get(RATE) and offered.get(RANGE)):
            raise SourceError(
                "the sensor's answer lists neither rate nor range",
                source=self.title,
                expected="settings",
                got=reply.hex(" "),
                next_step="Update the sensor's firmware with the vendor's app",
            )
        return offered

    async def _begin(
        self,
        link: GattLink,
        measurement: int,
        rate_hz: float,
        offered: dict[int, list[float]],
        full_scale: float,
        assumptions: list[str],
    ) -> float | None:
        """Start one measurement, return the factor of its compressed frames, None: not told."""
        resolution = int(max(offered.get(RESOLUTION) or [16]))
        command = struct.pack(
            "<BBBBHBBHBBH",
            *(START, measurement, RATE, 1, int(rate_hz), RESOLUTION, 1, resolution),
            *(RANGE, 1, int(full_scale)),
        )
        if CHANNELS in offered:
            command += bytes([CHANNELS, 1, 3])
        reply = await self._command(link, command)
        if len(reply) > 3 and reply[3] == ALREADY_STREAMING:  # left on by an earlier link
            await self._command(link, bytes([STOP, measurement]))
            reply = await self._command(link, command)
        self._refuse_error(reply, "starting the stream")
        factor = parse_settings(reply[5:]).get(FACTOR, [0.0])[0]
        if factor > 0:
            return factor
        what = "acceleration" if measurement == ACC_TYPE else "rotation"
        assumptions.append(f"the sensor told no factor for {what}: full scale / 32768 is taken")
        return None

    def _refuse_error(self, reply: bytes, doing: str) -> None:
        code = reply[3] if len(reply) > 3 else 255
        if code:
            meaning = ERRORS[code] if code < len(ERRORS) else "unknown"
            raise SourceError(
                f"the sensor answered {doing} with an error",
                source=self.title,
                expected="success",
                got=f"{code} ({meaning})",
                next_step="Take it off the charger, wear it, close other apps that use it, and "
                "set a rate and range it offers",
            )


def _factors(acc_told: float | None, acc_g: float, gyr_dps: float = 1.0) -> Factors:
    """Return what steps are worth: as told, else full scale / 32768 and whole mg."""
    return Factors(acc_told or acc_g / 32768, gyr_dps, acc_told or 1.0)
