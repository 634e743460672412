"""Movesense with the GSP (GATT sensor data) firmware.

Source: four independent readers of the GSP protocol agree; not read at the vendor (unverified).
Time is uint32 milliseconds of a packet's first sample; there is no counter. That a packet holds a
thirteenth of a second (8 samples at 104 Hz) is known for 104 Hz and taken for the other rates.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.imu_protocols.packets import (
    RADPS_PER_DPS,
    bad_packet,
    choose,
    no_ranges,
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

SERVICE_UUID = "34802252-7185-4d5d-b431-630e7050e8f0"
WRITE_UUID = "34800001-7185-4d5d-b431-630e7050e8f0"
NOTIFY_UUID = "34800002-7185-4d5d-b431-630e7050e8f0"
SUBSCRIBE, UNSUBSCRIBE = 1, 2
RESPONSE, DATA, SECOND_PART = 1, 2, 3
REFERENCE = 99
PACKETS_A_SECOND = 13

_FIRST = bytes([DATA, REFERENCE])
_SECOND = bytes([SECOND_PART, REFERENCE])
_PARTS = (_FIRST, _SECOND)
_HEADER_BYTES = 6
_SAMPLE_BYTES = 24
_LARGEST_MPS2 = 400.0  # the widest full scale of the part is 32 g
_LARGEST_DPS = 4200.0
_TITLE = "Movesense (GSP firmware)"


class MovesenseDecoder:
    """Puts the parts of a packet together and decodes it.

    A whole packet's length is known, so pieces are joined until they have it, and several packets
    in one notification are taken apart. A new first part ends the wait for an older one's rest.

    Args:
        rate_hz: samples a second; says how long a whole packet is.

    Attributes:
        resyncs: packets given up because their second part never came.
    """

    def __init__(self, rate_hz: float) -> None:
        self.resyncs = 0
        self._n_samples = max(1, round(rate_hz / PACKETS_A_SECOND))
        self._size = _HEADER_BYTES + _SAMPLE_BYTES * self._n_samples
        self._rest = b""
        self._seen = b""  # the notification before, to know one that comes twice
        self._offsets_ms = tuple(round(i * 1000.0 / rate_hz) for i in range(self._n_samples))

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: unknown header, wrong length, or values that cannot be measured.
        """
        if uuid != NOTIFY_UUID:
            return []
        if len(data) == self._size and data[:2] == _FIRST and not self._rest:
            self._seen = b""
            return [self._decode(data)]
        if data == self._seen and data[:2] in _PARTS:
            return []  # a part that comes twice; whole packets are known by their time
        self._seen = data
        whole = self._join(data)
        blocks = []
        while len(whole) >= self._size and whole[:2] == _FIRST:
            if len(whole) == self._size + 2:
                whole = self._without_inner_header(whole)
            behind = whole[self._size : self._size + 2]
            if behind and behind not in _PARTS and behind != _FIRST[:1]:
                break
            blocks.append(self._decode(whole[: self._size]))
            whole = whole[self._size :]
        if whole == _FIRST[:1] or (whole[:2] == _FIRST and len(whole) < self._size):
            self._rest = whole
        elif whole and not blocks:
            raise bad_packet(
                _TITLE,
                "no whole packet",
                expected=f"{self._size} bytes from {_FIRST.hex(' ')}",
                got=f"{len(whole)} bytes from {whole[:2].hex(' ')}",
            )
        return blocks

    def _join(self, data: bytes) -> bytes:
        """Return what is left of earlier notifications with this one behind it."""
        rest, self._rest = self._rest, b""
        head = data[:2]
        if head == _FIRST and rest != _FIRST[:1]:
            self.resyncs += bool(rest)
            return data
        if data[:1] == bytes([RESPONSE]) and not rest:
            return b""
        if head != _SECOND or not rest:
            return rest + data
        return rest + data[2:]

    def _without_inner_header(self, whole: bytes) -> bytes:
        """Take out the second part's header where both parts came in one notification."""
        places = [at for at in range(_HEADER_BYTES, self._size) if whole[at : at + 2] == _SECOND]
        if len(places) != 1:
            return whole
        return whole[: places[0]] + whole[places[0] + 2 :]

    def _decode(self, data: bytes) -> ImuBlock:
        values = np.frombuffer(data, "<f4", 6 * self._n_samples, _HEADER_BYTES)
        blocks = values.reshape(2, self._n_samples, 3)  # all acc, then all gyro
        samples = np.empty((self._n_samples, 6), np.float32)
        samples[:, :3] = blocks[0]
        samples[:, 3:] = blocks[1]
        size = np.abs(samples)
        if not (size[:, :3].max() <= _LARGEST_MPS2 and size[:, 3:].max() <= _LARGEST_DPS):
            raise bad_packet(
                _TITLE,
                "values that the sensor cannot measure",
                expected=f"up to {_LARGEST_MPS2:g} m/s^2 and {_LARGEST_DPS:g} deg/s",
                got=samples[0],
            )
        samples[:, 3:] *= RADPS_PER_DPS
        first = int.from_bytes(data[2:_HEADER_BYTES], "little")
        ticks = tuple([(first + offset) & 0xFFFFFFFF for offset in self._offsets_ms])
        return ImuBlock(IMU_CHANNELS, samples, ticks)


class Movesense(ImuProtocol):
    """Movesense with GSP firmware: path /Meas/IMU6, uint32 milliseconds, no counter."""

    name = "movesense"
    title = _TITLE
    rates_hz = (13.0, 26.0, 52.0, 104.0, 208.0)
    default_rate_hz = 104.0
    notify_uuids = (NOTIFY_UUID,)

    def recognises(self, advertised: Advertised) -> bool:
        """Tell by the GSP service or the name.

        Args:
            advertised: what it says of itself.
        """
        named = advertised.name.lower().startswith("movesense")
        return SERVICE_UUID in advertised.service_uuids or named

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Subscribe to the characteristic and to the path of the rate.

        Args:
            link: the connected sensor.
            settings: what is asked for.

        Raises:
            SourceError: another firmware, a rate or range that is not offered, or a refusal.
            SourceLostError: the link went away.
        """
        rate_hz = choose(
            self.title, "rate", "Hz", settings.rate_hz, self.rates_hz, self.default_rate_hz
        )
        no_ranges(self.title, settings, "the sensor's ranges cannot be set over this protocol")
        try:
            await link.subscribe(NOTIFY_UUID)
        except SourceLostError:
            raise
        except SourceError as error:
            raise SourceError(
                "the sensor does not run the GSP firmware",
                source=self.title,
                expected=f"service {SERVICE_UUID}",
                got=error.problem,
                next_step="Install the 'GATT sensor data' firmware with the vendor's app; the "
                "standard firmware speaks another protocol",
            ) from error
        path = f"/Meas/IMU6/{rate_hz:.0f}"
        reply = await link.request(
            WRITE_UUID,
            bytes([SUBSCRIBE, REFERENCE]) + path.encode(),
            reply_uuid=NOTIFY_UUID,
            reply_starts=bytes([RESPONSE, REFERENCE]),
        )
        status = int.from_bytes(reply[2:4], "little")
        if not 200 <= status < 300:
            raise SourceError(
                f"the sensor refused {path}",
                source=self.title,
                expected="status 200",
                got=f"status {status}",
                next_step="Set another rate in the device configuration, or update the firmware",
            )
        return ImuSetup(
            rate_hz,
            IMU_CHANNELS,
            tick_s=1e-3,
            clock_bits=32,
            assumptions=("the sensor's ranges are those of its firmware; they are not told",),
        )

    async def stop(self, link: GattLink) -> None:
        """Unsubscribe from the path.

        Args:
            link: the connected sensor.
        """
        await link.write(WRITE_UUID, bytes([UNSUBSCRIBE, REFERENCE]))

    def decoder(self, setup: ImuSetup) -> Decoder:
        """Return a fresh decoder for one connection.

        Args:
            setup: what ``start`` returned.
        """
        return MovesenseDecoder(setup.rate_hz)
