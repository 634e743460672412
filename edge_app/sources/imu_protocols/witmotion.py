"""WitMotion WT901BLE and BWT901CL (Bluetooth LE 5).

Source: vendor SDK and data sheet, "WT901BLE BLE 5.0 protocol". The stream has no time, no counter
and no checksum; frames are 20 bytes, ``55 61`` and nine int16 (acc, gyro, angle).
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import IMU_CHANNELS, Float32Array
from edge_app.errors import SourceError, SourceLostError
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

# The base ends in 9a34fb: it is the vendor's own, not the Bluetooth SIG's.
SERVICE_UUID = "0000ffe5-0000-1000-8000-00805f9a34fb"
NOTIFY_UUID = "0000ffe4-0000-1000-8000-00805f9a34fb"
WRITE_UUID = "0000ffe9-0000-1000-8000-00805f9a34fb"
UNLOCK = bytes.fromhex("FFAA6988B5")  # for ten seconds
RATE_REGISTER = 0x03
RATE_CODES = {1.0: 0x03, 5.0: 0x05, 10.0: 0x06, 50.0: 0x08, 100.0: 0x09, 200.0: 0x0B}
ACC_RANGE_G = 16.0
GYR_RANGE_DPS = 2000.0

_FRAME_BYTES = 20
_DATA = b"\x55\x61"
_REGISTER = b"\x55\x71"
_HEADERS = (_DATA, _REGISTER)
_SCALE = scale_row(ACC_RANGE_G / 32768 * MPS2_PER_G, GYR_RANGE_DPS / 32768 * RADPS_PER_DPS)
_TITLE = "WitMotion WT901BLE"


class WitMotionDecoder:
    """Cuts 20-byte frames out of notifications.

    A notification that begins with a header begins a frame: what is left of an earlier one is
    given up, because this format has nothing else to prove a joined frame by. Out of step, a
    header counts only when another stands 20 bytes later.

    Attributes:
        resyncs: times that bytes had to be given up to find a frame again.
    """

    def __init__(self) -> None:
        self.resyncs = 0
        self._rest = b""
        self._in_step = True

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: nothing in it is a frame.
        """
        if uuid != NOTIFY_UUID:
            return []
        if len(data) == _FRAME_BYTES and data[:2] == _DATA and not self._rest:
            self._in_step = True
            return [ImuBlock(IMU_CHANNELS, _samples(data))]
        fresh = data[:2] in _HEADERS
        given_up = fresh and bool(self._rest)
        stream = data if fresh else self._rest + data
        self._in_step = self._in_step or fresh
        frames, self._rest, skipped = self._cut(stream)
        if given_up or skipped:
            self.resyncs += 1
        if skipped and not frames:
            raise bad_packet(
                _TITLE, "no frame in the bytes", expected="55 61 or 55 71", got=data[:8].hex(" ")
            )
        wanted = b"".join(frame for frame in frames if frame[1] == _DATA[1])
        return [ImuBlock(IMU_CHANNELS, _samples(wanted))] if wanted else []

    def _cut(self, stream: bytes) -> tuple[list[bytes], bytes, bool]:
        """Return whole frames, what may begin another, and whether bytes were lost."""
        frames: list[bytes] = []
        at, skipped = 0, False
        while at < len(stream):
            frame = stream[at : at + _FRAME_BYTES]
            after = stream[at + _FRAME_BYTES : at + _FRAME_BYTES + 2]
            follows = any(header.startswith(after) for header in _HEADERS)
            starts = any(header.startswith(frame[:2]) for header in _HEADERS)
            if starts and len(frame) < _FRAME_BYTES:
                break
            if starts and follows and (self._in_step or len(after) == 2):
                self._in_step = True
                frames.append(frame)
                at += _FRAME_BYTES
                continue
            if starts and follows:
                break  # out of step: wait for the header behind it
            self._in_step = False
            skipped = True
            at += 1
            found = stream.find(_DATA[:1], at)
            at = len(stream) if found < 0 else found
        return frames, stream[at:], skipped


def _samples(frames: bytes) -> Float32Array:
    """Return (n_frames, 6) float32 of whole data frames."""
    words = np.frombuffer(frames, "<i2").reshape(-1, _FRAME_BYTES // 2)
    scaled: Float32Array = words[:, 1:7] * _SCALE
    return scaled


class WitMotion(ImuProtocol):
    """WitMotion WT901BLE, BWT901CL: 16 g and 2000 deg/s, up to 200 Hz, no time and no counter."""

    name = "witmotion"
    title = _TITLE
    rates_hz = tuple(RATE_CODES)
    default_rate_hz = 100.0
    notify_uuids = (NOTIFY_UUID,)

    def recognises(self, advertised: Advertised) -> bool:
        """Tell whether it advertises the vendor's service or one of its names.

        Args:
            advertised: what it says of itself.
        """
        named = advertised.name.upper().startswith(("WT901", "BWT901"))
        return SERVICE_UUID in advertised.service_uuids or named

    async def start(self, link: GattLink, settings: ImuSettings) -> ImuSetup:
        """Subscribe, unlock, set the rate and read it back; nothing is saved in the sensor.

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
        await link.subscribe(NOTIFY_UUID)
        await link.write(WRITE_UUID, UNLOCK)
        code = RATE_CODES[rate_hz]
        await link.write(WRITE_UUID, bytes([0xFF, 0xAA, RATE_REGISTER, code, 0]))
        assumptions = ["the ranges are the vendor's 16 g and 2000 deg/s; they cannot be read back"]
        try:
            reply = await link.request(
                WRITE_UUID,
                bytes([0xFF, 0xAA, 0x27, RATE_REGISTER, 0]),
                reply_uuid=NOTIFY_UUID,
                reply_starts=_REGISTER + bytes([RATE_REGISTER, 0]),
            )
        except SourceLostError:
            raise
        except SourceError:
            assumptions.append(f"the rate of {rate_hz:g} Hz was set but could not be read back")
        else:
            got = reply[4] if len(reply) > 4 else None
            if got != code:
                known = {c: f"{r:g} Hz" for r, c in RATE_CODES.items()}
                raise differs(
                    self.title, "rate", f"{rate_hz:g} Hz", known.get(got or 0, f"code {got}")
                )
        return ImuSetup(
            rate_hz,
            IMU_CHANNELS,
            acc_range_g=ACC_RANGE_G,
            gyr_range_dps=GYR_RANGE_DPS,
            assumptions=tuple(assumptions),
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
        return WitMotionDecoder()
