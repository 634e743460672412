"""Polar's measurement data (PMD) to samples; the frames themselves are in ``pmd_frame``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float32Array
from edge_app.sources.imu_protocols.packets import (
    ACC_CHANNELS,
    FULL_SCALE_SLACK,
    GYR_CHANNELS,
    MPS2_PER_G,
    RADPS_PER_DPS,
    bad_packet,
)
from edge_app.sources.imu_protocols.pmd_frame import (
    ACC_TYPE,
    GYR_TYPE,
    HEADER_BYTES,
    PmdFrame,
    begins_frame,
    follows,
    parse_frame,
)
from edge_app.sources.imu_protocols.protocol import ImuBlock

DATA_UUID = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
_TITLE = "Polar H10 / Verity Sense"
_LONGEST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Factors:
    """What a step on the wire is worth in compressed frames (and in uncompressed rotation).

    Args:
        acc_g: of acceleration frames of type 0.
        gyr_dps: of rotation.
        acc_mg: of acceleration frames of type 1.
    """

    acc_g: float
    gyr_dps: float = 1.0
    acc_mg: float = 1.0


class PolarDecoder:
    """Decodes frames; times of a frame's samples are spread backwards from its last.

    A frame that lacks bytes waits for the next notification, and is given up when that one begins
    a frame itself.

    Args:
        rate_hz: samples a second.
        factors: from the sensor's answers.
        acc_range_g: larger accelerations are refused.
        gyr_range_dps: larger rates are refused.

    Attributes:
        resyncs: frames given up because their rest never came.
    """

    def __init__(
        self, rate_hz: float, factors: Factors, acc_range_g: float, gyr_range_dps: float
    ) -> None:
        self.resyncs = 0
        self._period_ns = round(1e9 / rate_hz)
        self._factors = factors
        self._acc_limit_g = FULL_SCALE_SLACK * acc_range_g
        self._gyr_limit_dps = FULL_SCALE_SLACK * gyr_range_dps
        self._rest = b""

    def feed(self, uuid: str, data: bytes) -> list[ImuBlock]:
        """Take one notification, return what it completes.

        Args:
            uuid: characteristic.
            data: bytes of the notification.

        Raises:
            PacketError: unknown header or frame type, wrong length, or values that cannot be
                measured.
        """
        if uuid != DATA_UUID:
            return []
        if self._is_fresh(data):
            if not self._rest:
                frame = parse_frame(data)
                if frame is not None and frame.n_bytes == len(data):
                    return [self._block(frame)]
            self.resyncs += bool(self._rest)
            whole = data
        else:
            whole = self._rest + data
            if not begins_frame(whole) or len(whole) > _LONGEST_BYTES:
                self._rest = b"" if self._rest or len(data) >= HEADER_BYTES else data
                if self._rest and self._rest[0] in (ACC_TYPE, GYR_TYPE):
                    return []
                self._rest = b""
                raise bad_packet(
                    _TITLE,
                    "no acceleration or rotation frame",
                    expected="02 or 05, time, a known frame type",
                    got=data[:HEADER_BYTES].hex(" "),
                )
        self._rest = b""
        blocks = []
        while whole:
            frame = parse_frame(whole) if begins_frame(whole) else None
            if frame is None:
                self._rest = whole
                break
            blocks.append(self._block(frame))
            whole = whole[frame.n_bytes :]
        return blocks

    def _is_fresh(self, data: bytes) -> bool:
        """Tell whether a notification begins a frame, rather than going on with the one before."""
        if not begins_frame(data):
            return False
        rest = self._rest
        if len(rest) < HEADER_BYTES:
            return True
        return follows(data, 0, int.from_bytes(rest[1:9], "little"))

    def _block(self, frame: PmdFrame) -> ImuBlock:
        if frame.measurement == ACC_TYPE:
            step = 1e-3
            if frame.compressed:
                step = self._factors.acc_mg * 1e-3 if frame.frame_type else self._factors.acc_g
            limit, to_si, channels = self._acc_limit_g, MPS2_PER_G, ACC_CHANNELS
        else:
            step, limit = self._factors.gyr_dps, self._gyr_limit_dps
            to_si, channels = RADPS_PER_DPS, GYR_CHANNELS
        values = frame.values
        with np.errstate(over="ignore", invalid="ignore"):
            samples: Float32Array = np.multiply(
                values, step * to_si, dtype=np.float32, casting="same_kind"
            )
            largest = float(np.abs(samples).max())
        if not largest <= limit * to_si:  # a NaN fails it too
            raise bad_packet(
                _TITLE,
                "values that the sensor cannot measure",
                expected=f"up to {limit:g}",
                got=f"{largest / to_si:g}",
            )
        n_back = samples.shape[0] - 1
        first = frame.time_ns - n_back * self._period_ns
        ticks = range(first, frame.time_ns + 1, self._period_ns)
        if first < 0:
            return ImuBlock(channels, samples, tuple(tick % 2**64 for tick in ticks))
        return ImuBlock(channels, samples, tuple(ticks))
