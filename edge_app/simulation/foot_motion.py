"""Where a simulated foot is and how it turns, stride by stride, free of noise.

A stride runs foot-flat, push, swing, load. During push the foot turns about the toe, during load
about the heel, both fixed on the floor; in swing it travels. Pitch rate and forward speed are sums
of smooth ramps, so that angle, rate and acceleration are exact and agree with one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float64Array

GRAVITY_MPS2 = 9.81
SENSOR_HEIGHT_M = 0.05
HEEL_LEVER_M = 0.12
TOE_LEVER_RANGE_M = (0.06, 0.14)
"""Horizontal distance of an instep sensor from heel and toe: of an adult's shoe, our choice."""


@dataclass(frozen=True, slots=True)
class Strides:
    """Strides in a row, one value a stride in every array.

    Args:
        start_s: foot-flat start, seconds; the next stride starts where this one ends.
        foot_flat_s: duration.
        push_s: duration.
        swing_s: duration.
        load_s: duration.
        toe_off_rad: pitch at toe-off, toe up positive, so negative.
        heel_strike_rad: pitch at heel strike.
        length_m: horizontal distance from this foot-flat to the next.
        clearance_m: highest sensor point above its foot-flat height.
        turn_rad: change of heading, to the left positive.
        impact: strength of the heel strike, around 1.
        roll_rad: largest tilt to the side in swing.
    """

    start_s: Float64Array
    foot_flat_s: Float64Array
    push_s: Float64Array
    swing_s: Float64Array
    load_s: Float64Array
    toe_off_rad: Float64Array
    heel_strike_rad: Float64Array
    length_m: Float64Array
    clearance_m: Float64Array
    turn_rad: Float64Array
    impact: Float64Array
    roll_rad: Float64Array

    @property
    def toe_off_s(self) -> Float64Array:
        """Moment of toe-off."""
        return self.start_s + self.foot_flat_s + self.push_s

    @property
    def heel_strike_s(self) -> Float64Array:
        """Moment of heel strike."""
        return self.toe_off_s + self.swing_s

    @property
    def end_s(self) -> Float64Array:
        """Moment at which the sole lies flat again."""
        return self.heel_strike_s + self.load_s


@dataclass(frozen=True, slots=True)
class FootMotion:
    """The foot at some moments; axes forward, left, up of the stride's direction.

    Args:
        stride: (n,) index of the stride.
        pitch_rad: (n,) toe up positive.
        acceleration_mps2: (n, 3) of the sensor, without gravity, forward-left-up of the foot's
            present heading.
        rotation: (n, 3, 3) foot axes (forward, left, up) to heading axes.
        rate_radps: (n, 3) angular rate in foot axes.
    """

    stride: np.ndarray[tuple[int], np.dtype[np.int64]]
    pitch_rad: Float64Array
    acceleration_mps2: Float64Array
    rotation: Float64Array
    rate_radps: Float64Array


def foot_motion(strides: Strides, times_s: Float64Array) -> FootMotion:
    """Return the motion of the foot at given moments.

    Args:
        strides: what is walked.
        times_s: (n,) moments, within the strides.

    Returns:
        The motion; noise-free, and exact apart from small steps of acceleration at toe-off and
        heel strike.
    """
    index = np.clip(np.searchsorted(strides.start_s, times_s, side="right") - 1, 0, None)
    pitch, rate, pitch_acceleration = _pitch(strides, index, times_s)
    sagittal = _sagittal_acceleration(strides, index, times_s, pitch, rate, pitch_acceleration)
    swing = np.clip((times_s - strides.toe_off_s[index]) / strides.swing_s[index], 0.0, 1.0)
    turn, swing_s = strides.turn_rad[index], strides.swing_s[index]
    heading = turn * swing**3 * (10.0 - 15.0 * swing + 6.0 * swing**2)
    heading_rate = turn * 30.0 * (swing * (1.0 - swing)) ** 2 / swing_s
    roll = strides.roll_rad[index] * 64.0 * (swing * (1.0 - swing)) ** 3
    roll_rate = strides.roll_rad[index] * 192.0 * (swing * (1.0 - swing)) ** 2
    roll_rate *= (1.0 - 2.0 * swing) / swing_s
    away = turn / 2.0 - heading  # the way goes along the heading in the middle of the turn
    forward = np.stack(
        [sagittal[:, 0] * np.cos(away), sagittal[:, 0] * np.sin(away), sagittal[:, 1]], axis=1
    )
    rotation, body_rate = _attitude(-pitch, -rate, roll, roll_rate, heading_rate)
    return FootMotion(index, pitch, forward, rotation, body_rate)


def _ramps(
    times_s: Float64Array,
    starts_s: list[Float64Array],
    widths_s: list[Float64Array],
    steps: list[Float64Array],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return integral, value and slope of a sum of smooth steps, zero before the first."""
    total, value, slope = (np.zeros_like(times_s) for _ in range(3))
    for start, width, step in zip(starts_s, widths_s, steps, strict=True):
        late = np.maximum(times_s - start, 0.0) / width
        u = np.minimum(late, 1.0)
        total += step * width * (u**3 - u**4 / 2.0 + late - u)
        value += step * (3.0 - 2.0 * u) * u**2
        slope += step * 6.0 * u * (1.0 - u) / width
    return total, value, slope


PITCH_RISE, PITCH_FALL = 0.08, 0.35
"""Shares of swing in which the pitch rate reverses after toe-off (real feet take 20 to 30 ms) and
dies before heel strike."""
LOAD_RISE = 0.3
"""Share of load in which the sole's drop gathers speed."""


def _toe_off_rate_radps(strides: Strides) -> Float64Array:
    return 2.0 * strides.toe_off_rad / strides.push_s


def _pitch(
    strides: Strides, index: np.ndarray[tuple[int], np.dtype[np.int64]], times_s: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return pitch, pitch rate and its derivative; toe-off is the most negative rate."""
    leaving = _toe_off_rate_radps(strides)
    lift = strides.heel_strike_rad - strides.toe_off_rad
    swinging = (lift / strides.swing_s - leaving * PITCH_RISE / 2.0) / (
        1.0 - PITCH_RISE / 2.0 - PITCH_FALL / 2.0
    )
    dropping = -2.0 * strides.heel_strike_rad / strides.load_s
    starts = [
        strides.start_s + strides.foot_flat_s,
        strides.toe_off_s,
        strides.heel_strike_s - PITCH_FALL * strides.swing_s,
        strides.heel_strike_s,
        strides.heel_strike_s + LOAD_RISE * strides.load_s,
    ]
    widths = [
        strides.push_s,
        PITCH_RISE * strides.swing_s,
        PITCH_FALL * strides.swing_s,
        LOAD_RISE * strides.load_s,
        (1.0 - LOAD_RISE) * strides.load_s,
    ]
    steps = [leaving, swinging - leaving, -swinging, dropping, -dropping]
    return _ramps(
        times_s, [a[index] for a in starts], [a[index] for a in widths], [a[index] for a in steps]
    )


SPEED_RISE, SPEED_FALL = 0.45, 0.5
"""Shares of swing in which forward speed is gained and lost."""


def _sagittal_acceleration(
    strides: Strides,
    index: np.ndarray[tuple[int], np.dtype[np.int64]],
    times_s: Float64Array,
    pitch: Float64Array,
    rate: Float64Array,
    pitch_acceleration: Float64Array,
) -> Float64Array:
    """Return (n, 2): forward and up, m/s^2, of the sensor in the stride's plane."""
    lever = np.clip(
        0.75 * strides.clearance_m / np.sin(np.abs(strides.toe_off_rad)), *TOE_LEVER_RANGE_M
    )
    result = np.zeros((times_s.shape[0], 2))
    on_toe = times_s < strides.toe_off_s[index]
    on_heel = times_s >= strides.heel_strike_s[index]
    for mask, arm in ((on_toe, -lever), (on_heel, np.full_like(lever, HEEL_LEVER_M))):
        position = _turned(arm[index[mask]], pitch[mask])
        across = np.stack([-position[1], position[0]])  # derivative of position by pitch
        result[mask] = (pitch_acceleration[mask] * across - rate[mask] ** 2 * position).T
    flying = ~on_toe & ~on_heel
    result[flying] = _flight(strides, index[flying], times_s[flying], lever)
    return result


def _turned(arm_m: Float64Array, pitch: Float64Array) -> Float64Array:
    """Return (2, n): the sensor seen from the point the foot turns about, forward and up."""
    return np.stack(
        [
            arm_m * np.cos(pitch) - SENSOR_HEIGHT_M * np.sin(pitch),
            arm_m * np.sin(pitch) + SENSOR_HEIGHT_M * np.cos(pitch),
        ]
    )


def _flight(
    strides: Strides,
    index: np.ndarray[tuple[int], np.dtype[np.int64]],
    times_s: Float64Array,
    lever_m: Float64Array,
) -> Float64Array:
    """Return (n, 2) acceleration from toe-off, at its speed, to heel strike at rest."""
    leave = _turned(-lever_m, strides.toe_off_rad)
    land = _turned(np.full_like(lever_m, HEEL_LEVER_M), strides.heel_strike_rad)
    leaving = _toe_off_rate_radps(strides)
    speed, climb = -leaving * leave[1], leaving * leave[0]
    way = strides.length_m - HEEL_LEVER_M + land[0] - lever_m - leave[0]
    cruise = (way / strides.swing_s - speed * SPEED_RISE / 2.0) / (
        1.0 - SPEED_RISE / 2.0 - SPEED_FALL / 2.0
    )
    swing_s = strides.swing_s[index]
    _, _, forward = _ramps(
        times_s,
        [strides.toe_off_s[index], strides.heel_strike_s[index] - SPEED_FALL * swing_s],
        [SPEED_RISE * swing_s, SPEED_FALL * swing_s],
        [(cruise - speed)[index], -cruise[index]],
    )
    u = (times_s - strides.toe_off_s[index]) / swing_s
    rise, start = land[1] - leave[1], climb * strides.swing_s
    bump = _clearance_bump(strides, leave[1], rise, start)[index]
    up = (
        rise[index] * (60.0 * u - 180.0 * u**2 + 120.0 * u**3)
        + start[index] * (-36.0 * u + 96.0 * u**2 - 60.0 * u**3)
        + bump * 384.0 * u * (1.0 - u) * (1.0 - 5.0 * u + 5.0 * u**2)
    ) / swing_s**2
    return np.stack([forward, up], axis=1)


def _clearance_bump(
    strides: Strides, leave_m: Float64Array, rise_m: Float64Array, start_m: Float64Array
) -> Float64Array:
    """Return how much height to add so that the highest point is the row's clearance."""
    u = np.linspace(0.1, 0.9, 33)[:, None]
    base = (
        leave_m
        + rise_m * (10.0 * u**3 - 15.0 * u**4 + 6.0 * u**5)
        + start_m * (u - 6.0 * u**3 + 8.0 * u**4 - 3.0 * u**5)
    )
    room = strides.clearance_m + SENSOR_HEIGHT_M - base
    return np.asarray(np.maximum(0.0, (room / (64.0 * (u * (1.0 - u)) ** 3)).min(axis=0)))


def _attitude(
    pitch: Float64Array,
    pitch_rate: Float64Array,
    roll: Float64Array,
    roll_rate: Float64Array,
    heading_rate: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Return rotation (foot to heading axes) and foot-frame rate; pitch toe DOWN positive here."""
    cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    zero = np.zeros_like(cp)
    rotation = np.stack(
        [
            np.stack([cp, sp * sr, sp * cr], axis=1),
            np.stack([zero, cr, -sr], axis=1),
            np.stack([-sp, cp * sr, cp * cr], axis=1),
        ],
        axis=1,
    )
    rate = np.stack(
        [
            roll_rate - heading_rate * sp,
            pitch_rate * cr + heading_rate * cp * sr,
            -pitch_rate * sr + heading_rate * cp * cr,
        ],
        axis=1,
    )
    return rotation, rate
