"""Heel-off, toe-off, heel strike and foot-flat within one move of a foot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float64Array

LEAST_TOE_DOWN_DEG, LEAST_RATE_RADPS = 6.0, 1.0
"""A walker's foot rolls over its toe at least so far, and turns at least so fast both ways."""
SMOOTHING_S, SWING_SMOOTHING_S = 0.03, 0.1
"""Of the pitch rate: for its events, and to find the middle of swing beside the heel's jolts."""
SLOW_RADPS, LANDING_S = 0.5, 0.06
"""The highest pitch is looked for until so long after the rise has become so slow."""
JOLT_S, JOLT_BEFORE_S, JOLT_AFTER_S = 0.01, 0.02, 0.12
"""A jolt is a change of the specific force within 10 ms, from a little before the highest pitch
to the time by which the slowest heel has landed."""
JOLT_SHARE, LEAST_JOLT_MPS2 = 0.5, 3.0
"""The first that reaches half of the strongest is the heel; the sole's slap comes later."""
TOE_OFF_SHARE = 0.7
"""Of the fastest fall. The labels of real walks lie there (median 1 ms off); at the fastest fall
itself, where some define it, toe-off is 33 ms earlier and varies twice as much."""
QUIET_RADPS = 0.25
"""On top of the rate at rest: a fast walker's foot rolls on while it stands."""
MOVING_SHARE = 0.15
"""Of the highest speed: less, and the foot has not left the floor or has reached it."""


@dataclass(frozen=True, slots=True)
class Events:
    """Moments in samples from the start of the move, with fractions.

    Args:
        heel_off: the sole no longer lies flat.
        toe_off: the fast fall of the pitch breaks off.
        heel_strike: first jolt about the highest pitch.
        flat: the sole lies flat again.
    """

    heel_off: float
    toe_off: float
    heel_strike: float
    flat: float


def swing_events(
    pitch: Float64Array, rate: Float64Array, acc: Float64Array, period_s: float
) -> Events | None:
    """Return the events of a walker's swing, or None when the move is none.

    Args:
        pitch: (n,) rad, toe down negative, 0 at rest.
        rate: (n,) its rate by the gyroscope, rad/s.
        acc: (n, 3) specific force, m/s^2.
        period_s: time between two samples.

    Returns:
        Heel-off, toe-off, heel strike, foot-flat, in this order.
    """
    slow = smoothed(rate, SWING_SMOOTHING_S / period_s)
    rate = smoothed(rate, SMOOTHING_S / period_s)
    down = int(np.argmin(pitch))
    if np.degrees(pitch[down]) > -LEAST_TOE_DOWN_DEG or not 2 <= down <= len(pitch) - 3:
        return None
    fastest = int(np.argmin(rate[: down + 1]))
    if -rate[fastest] < LEAST_RATE_RADPS or rate[down:].max() < LEAST_RATE_RADPS:
        return None
    heel_strike = _heel_strike(pitch, rate, acc, down + int(np.argmax(slow[down:])), period_s)
    quiet = QUIET_RADPS + abs(float(rate[0]))
    before = np.flatnonzero(-rate[:fastest] < quiet)
    heel_off = float(before[-1]) if len(before) else 0.0
    landed = int(heel_strike)
    loud = np.flatnonzero(np.abs(rate[landed:]) > QUIET_RADPS + abs(float(rate[-1])))
    flat = max(heel_strike, landed + (float(loud[-1]) if len(loud) else 0.0))
    return Events(heel_off, _broken_off(rate[: down + 1], fastest), heel_strike, flat)


def _broken_off(rate: Float64Array, fastest: int) -> float:
    """Return where the fall of the pitch breaks off for good, as the toe loses the floor."""
    limit = TOE_OFF_SHARE * rate[fastest]
    last = int(np.flatnonzero(rate <= limit)[-1])
    if last + 1 >= len(rate):
        return float(last)
    return float(last + (limit - rate[last]) / (rate[last + 1] - rate[last]))


def _heel_strike(
    pitch: Float64Array, rate: Float64Array, acc: Float64Array, middle: int, period_s: float
) -> float:
    """Return the first jolt about the highest pitch, or that pitch where there is no jolt."""
    over = np.flatnonzero(rate[middle:] < SLOW_RADPS)
    end = middle + (int(over[0]) if len(over) else len(rate) - 1 - middle)
    top = middle + int(np.argmax(pitch[middle : end + 1 + round(LANDING_S / period_s)]))
    lag = max(1, round(JOLT_S / period_s))
    first = max(middle, top - round(JOLT_BEFORE_S / period_s))
    around = acc[first : top + 1 + lag + round(JOLT_AFTER_S / period_s)]
    if len(around) <= lag:
        return peak_position(pitch, top)
    jolt = np.linalg.norm(around[lag:] - around[:-lag], axis=1)
    if jolt.max() < LEAST_JOLT_MPS2:
        return peak_position(pitch, top)
    limit = JOLT_SHARE * jolt.max()
    over_it = int(np.argmax(jolt >= limit))
    if over_it:
        over_it -= (jolt[over_it] - limit) / (jolt[over_it] - jolt[over_it - 1])
    return first + over_it + 0.5 * lag


def step_events(velocity_mps: Float64Array) -> Events:
    """Return the events of a step without a roll over the toe: when the foot travels.

    Args:
        velocity_mps: (n, 3), z up.

    Returns:
        Toe-off and heel strike; the other two fall together with them.
    """
    speed = np.hypot(velocity_mps[:, 0], velocity_mps[:, 1])
    moving = np.flatnonzero(speed >= MOVING_SHARE * speed.max())
    first, last = float(moving[0]), float(moving[-1])
    return Events(first, first, last, last)


def smoothed(values: Float64Array, width: float) -> Float64Array:
    """Return a centred moving mean over about ``width`` samples, always an odd number."""
    n = 2 * round((width - 1.0) / 2.0) + 1
    if n <= 1:
        return values
    padded = np.pad(values, n // 2, mode="edge")
    return np.convolve(padded, np.full(n, 1.0 / n), mode="valid")


def peak_position(values: Float64Array, index: int) -> float:
    """Return where the parabola through a peak and its neighbours is highest."""
    if not 0 < index < len(values) - 1:
        return float(index)
    before, peak, after = values[index - 1 : index + 2]
    bend = before - 2.0 * peak + after
    if bend >= 0.0:
        return float(index)
    return index + float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
