"""What every IMU protocol is: how to recognise, start and stop a sensor, and bytes to samples.

A protocol knows no Bluetooth library: it talks through a ``GattLink``. Decoding is pure: the same
bytes give the same samples, and no clock is read. Accelerations leave it in m/s^2, angular rates
in rad/s; vendor units end here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from edge_app.contracts import Float32Array


@dataclass(frozen=True, slots=True)
class Advertised:
    """What a sensor says of itself before it is connected.

    Args:
        address: Bluetooth address.
        name: local name, empty when it sends none.
        service_uuids: 128-bit service UUIDs, lower case.
        manufacturer_ids: company identifiers of its manufacturer data.
        rssi_dbm: signal strength, None when not known.
    """

    address: str
    name: str
    service_uuids: tuple[str, ...] = ()
    manufacturer_ids: tuple[int, ...] = ()
    rssi_dbm: int | None = None


class GattLink(Protocol):
    """A connected sensor. UUIDs are 128-bit text, lower case."""

    async def subscribe(self, uuid: str) -> None:
        """Enable notifications (or indications); they go to the decoder, and to ``request``.

        Raises:
            SourceError: the sensor has no such characteristic.
        """

    async def write(self, uuid: str, data: bytes, *, response: bool = False) -> None:
        """Write a characteristic.

        Raises:
            SourceError: the sensor has no such characteristic, or refuses.
        """

    async def read(self, uuid: str) -> bytes:
        """Read a characteristic.

        Raises:
            SourceError: the sensor has no such characteristic, or refuses.
        """

    async def request(
        self,
        uuid: str,
        data: bytes,
        *,
        reply_uuid: str,
        reply_starts: bytes,
        timeout_s: float = 2.0,
    ) -> bytes:
        """Write, and return the first notification of ``reply_uuid`` that starts so.

        Raises:
            SourceError: no such reply in time.
        """


@dataclass(frozen=True, slots=True)
class ImuSettings:
    """What is asked of a sensor.

    Args:
        rate_hz: samples a second; None: the protocol's default.
        acc_range_g: full scale of the accelerometer; None: the protocol's default.
        gyr_range_dps: full scale of the gyroscope; None: the protocol's default.
    """

    rate_hz: float | None = None
    acc_range_g: float | None = None
    gyr_range_dps: float | None = None


@dataclass(frozen=True, slots=True)
class ImuSetup:
    """What a started sensor really does, as read back where it can be.

    Args:
        rate_hz: samples a second.
        channels: ``IMU_CHANNELS``, or only its first three for a sensor without gyroscope.
        acc_range_g: full scale, None when not known.
        gyr_range_dps: full scale, None when not known.
        tick_s: length of one tick of the device clock, None: the sensor sends no time.
        clock_bits: width of the device clock, after which it wraps.
        counter_bits: width of its sample (or packet) counter, 0: it sends none.
        assumptions: sentences on what could not be read back.
    """

    rate_hz: float
    channels: tuple[str, ...]
    acc_range_g: float | None = None
    gyr_range_dps: float | None = None
    tick_s: float | None = None
    clock_bits: int = 0
    counter_bits: int = 0
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImuBlock:
    """Samples decoded from one packet.

    Args:
        channels: the columns: all of ``IMU_CHANNELS``, or its acc or its gyr half where a sensor
            sends them apart.
        samples: (n_samples, n_channels) float32, m/s^2 and rad/s.
        ticks: device clock of each sample before unwrapping, None: the sensor sends no time.
        counters: counter of each sample before unwrapping, None: it sends none.
    """

    channels: tuple[str, ...]
    samples: Float32Array
    ticks: tuple[int, ...] | None = None
    counters: tuple[int, ...] | None = None


class Decoder(Protocol):
    """Bytes to samples of one connection; holds what is left of a split packet, nothing else."""

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Raises:
            PacketError: wrong length or header; the decoder goes on with the next notification.
        """


class ImuProtocol(ABC):
    """One sensor family.

    Attributes:
        name: as in a device configuration, such as ``witmotion``.
        title: for people, such as ``WitMotion WT901BLE``.
        rates_hz: rates that can be asked for.
        default_rate_hz: asked for when nothing is.
        notify_uuids: characteristics that carry samples.
    """

    name: str
    title: str
    rates_hz: tuple[float, ...]
    default_rate_hz: float
    notify_uuids: tuple[str, ...]

    @abstractmethod
    def recognises(self, advertised: Advertised) -> bool:
        """Tell whether an advertising sensor speaks this protocol."""

    @abstractmethod
    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Configure, subscribe and start the stream; read back what can be.

        Raises:
            SourceError: the sensor cannot do what is asked, or answers with an error.
        """

    @abstractmethod
    async def stop(self, link: GattLink) -> None:
        """Tell the sensor to stop sending; errors are the caller's to ignore on a dead link."""

    @abstractmethod
    def decoder(self, setup: ImuSetup) -> Decoder:
        """Return a fresh decoder for one connection."""

    async def battery_percent(self, link: GattLink) -> float | None:  # noqa: ARG002 - most have none
        """Return the battery's charge, None when the sensor does not say."""
        return None
