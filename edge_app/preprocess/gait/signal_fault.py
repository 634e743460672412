"""What is wrong with an IMU signal, told as data."""

from __future__ import annotations

from enum import Enum
from itertools import product

import numpy as np

from edge_app.contracts import Array, Float32Array, Float64Array
from edge_app.preprocess.gait.strapdown import integrate, unit


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
        for it takes several steps: ``GaitAnalyser.fault`` tells it.
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


MIRRORS = np.array([signs for signs in product((1.0, -1.0), repeat=3) if min(signs) < 0.0])
LEAST_VOTES = 8
MIRRORED_SHARE = 0.8
LOOK_AGAIN = 4
"""Once it is clear, every fourth move is enough."""
MEMORY = 0.95
CLEARLY = 0.5
EXPLAINED_DEG = 15.0
"""The better of two must also carry gravity from rest to rest: it does to 6 degrees on real walks;
at the ends of a dangling leg's swing, which look like rests, nothing does."""
LEAST_TURN_RADPS = 2.0


class FrameCheck:
    """Tells a mirrored axis by the moves between two rests.

    Each move is integrated as it is, and with each choice of the gyroscope's axes reversed: to one
    of them any mirrored axis of either sensor amounts. The right one leaves less speed at the end.
    On real walks it is less than half in 73 of 100 moves against one reversed axis that the foot
    hardly turns about, in 92 against the one it turns about; the wrong one wins in 2 or fewer.
    """

    def __init__(self) -> None:
        self._votes = np.zeros(len(MIRRORS))
        self._mirrored = np.zeros(len(MIRRORS))
        self._seen = 0

    @property
    def is_mirrored(self) -> bool:
        """True when most of the recent clear moves only make sense in one of the mirrors."""
        clear = self._votes >= LEAST_VOTES
        return bool((clear & (self._mirrored > MIRRORED_SHARE * self._votes)).any())

    def look(
        self, move: Float64Array, period_s: float, up_start: Float64Array, up_end: Float64Array
    ) -> None:
        """Take one move into account.

        Args:
            move: (n, 6) from rest to rest, gyroscope without bias.
            period_s: time between two samples.
            up_start: (3,) specific force at the first rest.
            up_end: (3,) specific force at the second rest.
        """
        self._seen += 1
        if self._votes.min() >= LEAST_VOTES and self._seen % LOOK_AGAIN:
            return
        acc, gyr = move[:, :3], move[:, 3:]
        if np.abs(gyr).max() < LEAST_TURN_RADPS:
            return
        drift_mps, explained = np.empty(1 + len(MIRRORS)), np.empty(1 + len(MIRRORS), np.bool_)
        for i, signs in enumerate((np.ones(3), *MIRRORS)):
            way = integrate(acc, gyr * signs, period_s, up_start, up_end)
            start, end = way.rotation[0] @ unit(up_start), way.rotation[-1] @ unit(up_end)
            drift_mps[i] = way.drift_mps
            explained[i] = start @ end >= np.cos(np.radians(EXPLAINED_DEG))
        plain, mirrored = drift_mps[0], drift_mps[1:]
        clear = np.minimum(plain, mirrored) <= CLEARLY * np.maximum(plain, mirrored)
        clear &= np.where(mirrored < plain, explained[1:], explained[0])
        self._votes[clear] = MEMORY * self._votes[clear] + 1.0
        self._mirrored[clear] = MEMORY * self._mirrored[clear] + (mirrored < plain)[clear]
