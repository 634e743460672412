"""Packets of a MbientLab MetaMotion: ``[module, register, data]``, without time and counter.

Source: the vendor's published test vectors and register lists. Accelerometer and gyroscope come
apart, as one or three samples of int16.
"""

from __future__ import annotations

import numpy as np

from edge_app.sources.imu_protocols.packets import (
    ACC_CHANNELS,
    GYR_CHANNELS,
    MPS2_PER_G,
    RADPS_PER_DPS,
    bad_packet,
)
from edge_app.sources.imu_protocols.protocol import ImuBlock

TITLE = "MbientLab MetaMotion"
BASE_UUID = "326a{}-85cb-9195-d9dd-464cfbbae75a"
NOTIFY_UUID = BASE_UUID.format("9006")
ACC, GYR, SETTINGS = 0x03, 0x13, 0x11
READ = 0x80
GYR_LSB_PER_DPS = {125.0: 262.4, 250.0: 131.2, 500.0: 65.6, 1000.0: 32.8, 2000.0: 16.4}

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
PacketSamples = dict[tuple[int, int, int], int]
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

    def __init__(
        self, acc_range_g: float, gyr_range_dps: float, data: PacketSamples | None = None
    ) -> None:
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
            TITLE,
            "no data packet",
            expected="03 04, 03 1c, 03 05, 13 04, 13 05 or 13 07 with 6 or 18 bytes",
            got=f"{stream[:4].hex(' ')} ... {len(stream)} bytes",
        )

    def _decode(self, data: bytes, n_samples: int) -> ImuBlock:
        words = np.frombuffer(data, "<i2", 3 * n_samples, 2).reshape(n_samples, 3)
        if data[0] == ACC:
            return ImuBlock(ACC_CHANNELS, words * self._acc_scale)
        return ImuBlock(GYR_CHANNELS, words * self._gyr_scale)
