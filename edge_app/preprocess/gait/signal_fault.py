"""What is wrong with an IMU signal, told as data."""

from __future__ import annotations

from enum import Enum

import numpy as np

from edge_app.contracts import Array, Float32Array


class SignalFault(str, Enum):
    """Why no gait can be had from a signal."""

    DEAD = "dead"
    """The accelerometer gives nothing, or nothing but zero, or an axis of it hangs."""
    CONSTANT = "constant"
    """The same numbers again and again."""
    NO_GYRO = "no_gyro"
    """The gyroscope, or an axis of it, gives nothing or the same numbers while the foot moves."""
    ACC_UNIT = "acc_unit"
    """Gravity is not about 9.8: acceleration is in g or in counts."""
    GYR_UNIT = "gyr_unit"
    """Faster than any foot: the angular rate is in degrees per second or in counts."""
    SATURATED = "saturated"
    """The sensor's range is too small for walking."""
    AXES = "axes"
    """Gyroscope and accelerometer disagree on which way the foot turns: an axis is mirrored."""

    @property
    def advice(self) -> str:
        """What it means and what to do, for the log."""
        return _ADVICE[self]


_ADVICE = {
    SignalFault.DEAD: "the accelerometer sends nothing; restart the sensor",
    SignalFault.CONSTANT: "the same values again and again: the sensor hangs; restart it",
    SignalFault.NO_GYRO: "the gyroscope does not move; switch it on in the sensor's settings",
    SignalFault.ACC_UNIT: "the acceleration is not in m/s^2, or the sensor takes gravity out of it;"
    " state its unit (--unit) or have it sent with gravity",
    SignalFault.GYR_UNIT: "the angular rate is not in rad/s; state its unit (--gyr-unit)",
    SignalFault.SATURATED: "the signal is clipped; set the sensor to larger ranges, 8 g and 2000"
    " deg/s or more",
    SignalFault.AXES: "the axes are mirrored; turn the sign of one axis of the sensor",
}


SHORTEST_WINDOW_S = 0.5
GRAVITY_RANGE_MPS2 = (4.0, 30.0)
FASTEST_FOOT_RADPS = 40.0
"""Of 99 % of samples; real walks reach 34 rad/s in single samples."""
MOVING_RADPS = 1.0
"""A foot whose rate changes by so much leaves no axis of a sensor at one and the same number."""
SATURATION_S = 0.02
SATURATED_ACC_MPS2, SATURATED_GYR_RADPS = 15.0, 4.0
"""No sensor's range ends below 2 g or 250 deg/s."""


def signal_fault(window_samples: Float32Array, rate_hz: float) -> SignalFault | None:
    """Return the first fault that a window shows, or None.

    Args:
        window_samples: (n, 6) acc m/s^2, gyr rad/s, NaN where missing; a second or more is best.
        rate_hz: samples a second.

    Returns:
        None also for windows too short or too full of losses to say; ``AXES`` is never returned,
        for it takes several steps: ``GaitAnalyser.is_mirrored`` tells it.
    """
    finite = np.isfinite(window_samples)
    acc_there, gyr_there = finite[:, :3].all(axis=1), finite[:, 3:].all(axis=1)
    n_least = SHORTEST_WINDOW_S * rate_hz
    if acc_there.sum() < n_least:
        return SignalFault.DEAD if gyr_there.sum() >= n_least else None
    acc = window_samples[acc_there, :3].astype(np.float64)
    if not acc.any():
        return SignalFault.DEAD
    if gyr_there.sum() < 0.1 * n_least:
        return SignalFault.NO_GYRO
    gyr = window_samples[gyr_there, 3:].astype(np.float64)
    acc_range, gyr_range = np.ptp(acc, axis=0), np.ptp(gyr, axis=0)
    if gyr_range.max() == 0.0:
        return SignalFault.CONSTANT if acc_range.max() == 0.0 else SignalFault.NO_GYRO
    if gyr_range.max() > MOVING_RADPS and min(acc_range.min(), gyr_range.min()) == 0.0:
        return SignalFault.NO_GYRO if gyr_range.min() == 0.0 else SignalFault.DEAD
    typical = float(np.median(np.linalg.norm(acc, axis=1)))
    if not GRAVITY_RANGE_MPS2[0] <= typical <= GRAVITY_RANGE_MPS2[1]:
        return SignalFault.ACC_UNIT
    if np.percentile(np.linalg.norm(gyr, axis=1), 99) > FASTEST_FOOT_RADPS:
        return SignalFault.GYR_UNIT
    if is_saturated(window_samples[acc_there & gyr_there], rate_hz):
        return SignalFault.SATURATED
    return None


def is_saturated(samples: Array, rate_hz: float) -> bool:
    """Return whether some axis stays exactly at its largest value for 20 ms, three samples or more.

    Args:
        samples: (n, 6) m/s^2 and rad/s, finite.
        rate_hz: samples a second.

    Returns:
        True when a stretch lies at the end of the sensor's range.
    """
    width = max(3, round(SATURATION_S * rate_hz))
    if len(samples) < width:
        return False
    size = np.abs(samples)
    largest = size.max(axis=0)
    limits = np.array([SATURATED_ACC_MPS2] * 3 + [SATURATED_GYR_RADPS] * 3)
    for axis in np.flatnonzero(largest >= limits).tolist():
        at_end = np.flatnonzero(size[:, axis] == largest[axis])
        if (at_end[width - 1 :] - at_end[: len(at_end) - width + 1] == width - 1).any():
            return True
    return False
