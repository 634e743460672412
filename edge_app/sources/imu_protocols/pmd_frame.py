"""One frame of Polar's measurement data (PMD), uncompressed or delta-compressed.

Source: "Polar Measurement Data Specification for 3rd Party" (frame types ACC and gyroscope, delta
frame), and the vendor's unit tests for GYRO frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float64Array
from edge_app.sources.imu_protocols.packets import bad_packet

ACC_TYPE, GYR_TYPE = 2, 5
HEADER_BYTES = 10
LARGEST_FRAME = 1024
"""Samples; a frame holds about a second, so more is rubbish."""
_TYPES = (ACC_TYPE, GYR_TYPE)
_CLOSE_NS = 10 * 10**9
_N_AXES = 3
_SENSOR = "Polar"
_UNCOMPRESSED_BYTES = {(ACC_TYPE, 0): 1, (ACC_TYPE, 1): 2, (ACC_TYPE, 2): 3} | {
    (GYR_TYPE, 0): 2,
    (GYR_TYPE, 1): 4,
}
_COMPRESSED_BYTES = {(ACC_TYPE, 0): 2, (ACC_TYPE, 1): 2, (GYR_TYPE, 0): 2, (GYR_TYPE, 1): 4}


def _weights(n_bits: int) -> Float64Array:
    """Return what each bit of a two's complement number is worth, least significant first."""
    weights: Float64Array = np.exp2(np.arange(n_bits, dtype=np.float64))
    weights[-1:] *= -1.0
    return weights


_WEIGHTS = tuple(_weights(n_bits) for n_bits in range(33))


@dataclass(frozen=True, slots=True)
class PmdFrame:
    """One decoded frame.

    Args:
        measurement: ``ACC_TYPE`` or ``GYR_TYPE``.
        time_ns: of the last sample, device clock.
        n_bytes: length; further frames may follow in the same notification.
        compressed: True for a delta frame, whose values have to be multiplied by the factor.
        frame_type: the low seven bits of the frame type.
        values: (n_samples, 3) as on the wire.
    """

    measurement: int
    time_ns: int
    n_bytes: int
    compressed: bool
    frame_type: int
    values: npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.int16]


def begins_frame(data: bytes) -> bool:
    """Tell whether bytes begin like a frame of acceleration or rotation.

    Args:
        data: at least ten bytes of a notification.
    """
    if len(data) < HEADER_BYTES:
        return False
    return (data[0] & 0x3F, data[9] & 0x7F) in _UNCOMPRESSED_BYTES and data[0] < 0x40


def parse_frame(data: bytes) -> PmdFrame | None:
    """Return the frame, None when bytes are missing at its end.

    Args:
        data: one notification that ``begins_frame``.

    Raises:
        PacketError: a frame type that is not known, or more samples than a frame can hold.
    """
    measurement, kind = data[0] & 0x3F, data[9]
    frame_type = kind & 0x7F
    time_ns = int.from_bytes(data[1:9], "little")
    if kind & 0x80:
        size = _COMPRESSED_BYTES.get((measurement, frame_type))
        if size is None:
            raise _unknown(measurement, kind)
        deltas, n_bytes = _deltas(data, size, time_ns, is_float=size == 4)
        if deltas is None:
            return None
        return PmdFrame(measurement, time_ns, n_bytes, True, frame_type, deltas)
    size = _UNCOMPRESSED_BYTES[measurement, frame_type]
    n_samples, over = divmod(len(data) - HEADER_BYTES, size * _N_AXES)
    if over:  # two frames in one notification never are a whole number of samples
        step = size * _N_AXES
        ends = range(HEADER_BYTES + step, len(data) - HEADER_BYTES, step)
        end = next((at for at in ends if follows(data, at, time_ns)), 0)
        if not end:
            return None
        data = data[:end]
        n_samples = (end - HEADER_BYTES) // step
    if not n_samples:
        return None
    values: npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.int16]
    if size == 2:
        values = np.frombuffer(data, "<i2", offset=HEADER_BYTES).reshape(n_samples, _N_AXES)
    elif size == 4:
        values = np.frombuffer(data, "<f4", offset=HEADER_BYTES).reshape(n_samples, _N_AXES)
    else:
        octets = np.frombuffer(data, np.uint8, offset=HEADER_BYTES).reshape(-1, size)
        values = _signed(octets).reshape(n_samples, _N_AXES)
    return PmdFrame(measurement, time_ns, len(data), False, frame_type, values)


def follows(data: bytes, at: int, time_ns: int) -> bool:
    """Tell whether another frame begins there: known types, and a time close to this one's.

    Args:
        data: bytes.
        at: where.
        time_ns: time of this frame.
    """
    if not begins_frame(data[at : at + HEADER_BYTES]):
        return False
    other_ns = int.from_bytes(data[at + 1 : at + 9], "little")
    return abs(other_ns - time_ns) < _CLOSE_NS


def _signed(octets: npt.NDArray[np.uint8]) -> Float64Array:
    """Return little-endian two's complement numbers of (n, n_bytes) octets."""
    n_bits = 8 * octets.shape[1]
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    numbers: Float64Array = bits @ _WEIGHTS[n_bits]
    return numbers


def _deltas(
    data: bytes, reference_bytes: int, time_ns: int, *, is_float: bool
) -> tuple[npt.NDArray[np.float64] | npt.NDArray[np.float32] | None, int]:
    """Add up the delta blocks behind the reference sample; None when bytes are missing."""
    at = HEADER_BYTES + reference_bytes * _N_AXES
    if len(data) < at:
        return None, 0
    values = [
        int.from_bytes(data[i : i + reference_bytes], "little", signed=True)
        for i in range(HEADER_BYTES, at, reference_bytes)
    ]
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(np.float64)
    runs: list[npt.NDArray[np.float64]] = [np.array(values, np.float64)]
    n_samples, n_all = 1, len(data)
    while at < n_all and not (data[at] in _TYPES and follows(data, at, time_ns)):
        if at + 2 > n_all:
            return None, 0
        n_bits, n_deltas = data[at], data[at + 1]
        n_samples += n_deltas
        if not 1 <= n_bits <= 32 or not n_deltas or n_samples > LARGEST_FRAME:
            raise bad_packet(
                _SENSOR,
                "a delta block makes no sense",
                expected=f"1 to 32 bits, at most {LARGEST_FRAME} samples",
                got=f"{n_bits} bits, {n_deltas} samples",
            )
        n_fields = n_deltas * _N_AXES
        first = 8 * (at + 2)
        at += 2 + (n_fields * n_bits + 7) // 8
        if at > n_all:
            return None, 0
        fields = bits[first : first + n_fields * n_bits].reshape(n_fields, n_bits)
        runs.append(fields.dot(_WEIGHTS[n_bits]))
    sums = np.add.accumulate(np.concatenate(runs).reshape(-1, _N_AXES))
    if is_float:  # the running number is the bit pattern of a float32, modulo 2**32
        return (sums.astype(np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.float32), at
    return sums, at


def _unknown(measurement: int, kind: int) -> Exception:
    return bad_packet(
        _SENSOR, "unknown frame type", expected="0, 1, 2, 128 or 129", got=f"{measurement}/{kind}"
    )
