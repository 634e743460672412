"""A sensor described wholly by a ``StructLayout``: Arduino sketches and everything else."""

from __future__ import annotations

import struct
from operator import itemgetter

import numpy as np

from edge_app.contracts import IMU_CHANNELS
from edge_app.sources.imu_protocols.packets import bad_packet, choose, no_ranges
from edge_app.sources.imu_protocols.protocol import (
    Advertised,
    Decoder,
    GattLink,
    ImuBlock,
    ImuProtocol,
    ImuSettings,
    ImuSetup,
)
from edge_app.sources.imu_protocols.struct_layout import (
    TO_SI,
    StructCounter,
    StructField,
    StructLayout,
    StructTime,
    StructWrite,
)

__all__ = [
    "GenericDecoder",
    "GenericImu",
    "StructCounter",
    "StructField",
    "StructLayout",
    "StructTime",
    "StructWrite",
]
_TITLE = "generic IMU"


class GenericDecoder:
    """Decodes packets of a layout; several in one notification are taken apart.

    Nothing in such a packet proves that two pieces belong together, so a short one is refused.

    Args:
        layout: the sensor's.
    """

    def __init__(self, layout: StructLayout) -> None:
        self._uuid = layout.notify_uuid
        self._size = layout.packet_bytes
        self._header_bytes = layout.header_bytes
        one = struct.Struct(layout.struct_format)
        self._sample_bytes = one.size
        self._unpack_from = one.unpack_from
        self._offsets = range(layout.header_bytes, layout.packet_bytes, one.size)
        fields = sorted(layout.fields, key=lambda field: IMU_CHANNELS.index(field.channel))
        self._channels = layout.channels
        self._axes = itemgetter(*[field.index for field in fields])
        self._scale = np.array([f.scale * TO_SI[f.unit][1] for f in fields])
        self._time = layout.time
        self._counter = layout.counter

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: wrong length, or a number that is not finite.
        """
        if uuid != self._uuid:
            return []
        if not data or len(data) % self._size:
            raise bad_packet(
                _TITLE, "wrong length", expected=f"{self._size} bytes", got=f"{len(data)} bytes"
            )
        if len(data) > self._size:
            starts = range(0, len(data), self._size)
            return [self._decode(data[at : at + self._size]) for at in starts]
        return [self._decode(data)]

    def _decode(self, data: bytes) -> ImuBlock:
        rows = [self._unpack_from(data, at) for at in self._offsets]
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.array([self._axes(row) for row in rows], np.float64) * self._scale
            samples = scaled.astype(np.float32)
        if not np.isfinite(samples).all():
            raise bad_packet(_TITLE, "a number is not finite", expected="numbers", got=rows[0])
        ticks = counters = None
        if self._time:
            index, mask = self._time.index, (1 << self._time.bits) - 1
            ticks = tuple([row[index] & mask for row in rows])
        if self._counter:
            index, mask = self._counter.index, (1 << self._counter.bits) - 1
            counters = tuple([row[index] & mask for row in rows])
        return ImuBlock(self._channels, samples, ticks, counters)


class GenericImu(ImuProtocol):
    """A sensor described in the device configuration.

    Args:
        layout: what its packets look like.
    """

    name = "generic"
    title = _TITLE

    def __init__(self, layout: StructLayout) -> None:
        self._layout = layout
        self.rates_hz = (layout.nominal_rate_hz,)
        self.default_rate_hz = layout.nominal_rate_hz
        self.notify_uuids = (layout.notify_uuid,)

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the layout's service.

        Args:
            advertised: what it says of itself.
        """
        service = self._layout.service_uuid
        return bool(service) and service in advertised.service_uuids

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Subscribe, then write what the layout says, waiting for acknowledgements.

        Args:
            link: the connected sensor.
            settings: what is asked for; only the layout's rate can be.

        Raises:
            SourceError: another rate or a range is asked for, or no acknowledgement came.
        """
        layout = self._layout
        choose(self.title, "rate", "Hz", settings.rate_hz, self.rates_hz, layout.nominal_rate_hz)
        no_ranges(
            self.title, settings, "a generic sensor's ranges lie in its scales and start writes"
        )
        await link.subscribe(layout.notify_uuid)
        for reply_uuid in dict.fromkeys(w.reply_uuid for w in layout.start_writes):
            if reply_uuid and reply_uuid != layout.notify_uuid:
                await link.subscribe(reply_uuid)
        await _write(link, layout.start_writes)
        assumptions = ["rate, scales and units are those of the configuration"]
        if not layout.time and not layout.counter:
            assumptions.append("no time and no counter: loss is estimated from the rate")
        return ImuSetup(
            layout.nominal_rate_hz,
            layout.channels,
            tick_s=layout.time.tick_s if layout.time else None,
            clock_bits=layout.time.bits if layout.time else 0,
            counter_bits=layout.counter.bits if layout.counter else 0,
            assumptions=tuple(assumptions),
        )

    async def stop(self, link: GattLink) -> None:
        """Write what the layout says.

        Args:
            link: the connected sensor.
        """
        await _write(link, self._layout.stop_writes)

    def decoder(self, setup: ImuSetup) -> Decoder:  # noqa: ARG002 - the layout says it all
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        return GenericDecoder(self._layout)


async def _write(link: GattLink, writes: tuple[StructWrite, ...]) -> None:
    for write in writes:
        if write.reply_uuid:
            await link.request(
                write.uuid,
                write.data,
                reply_uuid=write.reply_uuid,
                reply_starts=write.reply_starts,
            )
        else:
            await link.write(write.uuid, write.data, response=write.response)
