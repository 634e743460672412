"""One move of a foot between two rests: is it a step, when and how far?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.preprocess.gait.events import Events, step_events, swing_events
from edge_app.preprocess.gait.strapdown import Trajectory, integrate, unit

SHORTEST_MOVE_S, LONGEST_MOVE_S = 0.2, 2.5
TILT_LIMIT_DEG = 25.0
"""Between two rests the sole comes back to the floor; a leg that dangles or turns over does not."""
DRIFT_LIMIT_MPS = 1.5
"""Real walks leave up to 1 m/s; more, and the foot did not rest where it seemed to."""
LEAST_RATE_RADPS = 1.0
"""A move that never turns the foot faster is no step."""
TURN_LIMIT_DEG = 30.0
LONGEST_STEP_S = 2.0
STEP_TILT_DEG = 15.0
LEAST_STEP_M = 0.2
"""A move without a walker's roll over the toe is a step (of a turn, or the closing one) when it
goes at least that far; a foot that pivots on the floor goes less."""
MEMORY = 0.8
"""What a swing leaves of the ones before in the estimate of the foot's axes."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A moment at which the foot stands.

    Args:
        index: sample.
        force: (3,) mean specific force around it, m/s^2.
    """

    index: int
    force: Float64Array


@dataclass(frozen=True, slots=True)
class Step:
    """Events and way of one step.

    Args:
        events: in samples from the rest before.
        rolls: True for a walker's swing, which rolls over the toe; False for other steps.
        toe_off_angle_deg: toe down negative.
        heel_strike_angle_deg: toe up positive.
        length_m: from rest to rest, horizontal.
        path_2d_m: way seen from above.
        path_3d_m: way.
        clearance_m: highest point above the line from rest to rest.
        turn_deg: change of heading, to the left positive.
        drift_mps: speed left at the end that the zero-velocity update took away.
    """

    events: Events
    rolls: bool
    toe_off_angle_deg: float
    heel_strike_angle_deg: float
    length_m: float
    path_2d_m: float
    path_3d_m: float
    clearance_m: float
    turn_deg: float
    drift_mps: float


class FootAxes:
    """Which way the foot points in the sensor's axes, learnt from its swings.

    The foot turns about its right-left axis most of all: the first principal axis of the angular
    rate over a few swings, level at rest. Its sign is that of the way covered: forward.
    """

    def __init__(self) -> None:
        self._spread = np.zeros((3, 3))
        self._way = np.zeros(3)

    def with_move(
        self, gyr: Float64Array, up: Float64Array, way_m: Float64Array
    ) -> tuple[FootAxes, Float64Array]:
        """Return the axes as one more move makes them, and the foot's forward direction.

        Args:
            gyr: (n, 3) rad/s of the move.
            up: (3,) the vertical at rest, sensor axes.
            way_m: (3,) from rest to rest, sensor axes at rest.

        Returns:
            New axes, and (3,) forward in sensor axes.
        """
        new = FootAxes()
        level = gyr - np.outer(gyr @ up, up)
        new._spread = MEMORY * self._spread + level.T @ level / len(gyr)
        new._way = MEMORY * self._way + way_m
        axis = np.linalg.eigh(new._spread)[1][:, 2]
        forward = unit(np.cross(up, axis))
        return new, -forward if forward @ new._way < 0.0 else forward


def find_step(
    samples: Float64Array,
    start: Rest,
    end: Rest,
    period_s: float,
    axes: FootAxes,
    *,
    whole: bool = True,
) -> tuple[Step, FootAxes] | None:
    """Return the step between two rests and the foot's axes after it, or None when it is none.

    Args:
        samples: (n, 6) finite, m/s^2 and rad/s, gyroscope without bias.
        start: rest before.
        end: rest after.
        period_s: time between two samples.
        axes: what is known of the foot's axes so far.
        whole: False when samples are made up: its way is not known then, and teaches nothing.

    Returns:
        The step and the new axes.
    """
    move = samples[start.index : end.index + 1]
    acc, gyr = move[:, :3], move[:, 3:]
    duration_s = len(move) * period_s
    if not SHORTEST_MOVE_S <= duration_s <= LONGEST_MOVE_S or np.abs(gyr).max() < LEAST_RATE_RADPS:
        return None
    way = integrate(acc, gyr, period_s, start.force, end.force)
    tilt_deg = _tilt_deg(way, start, end, whole=whole)
    if tilt_deg > TILT_LIMIT_DEG or (whole and way.drift_mps > DRIFT_LIMIT_MPS):
        return None
    up, covered = way.up[0], way.position_m[-1]
    new_axes, forward = axes.with_move(gyr, up, way.rotation[0].T @ covered)
    pitch = np.arctan2(way.up @ forward, way.up @ up)
    events = swing_events(pitch, gyr @ np.cross(forward, up), acc, period_s)
    rolls = events is not None
    turn_deg = _turn_deg(way.rotation[0] @ forward, way.rotation[-1] @ forward)
    pieces = np.diff(way.position_m, axis=0)
    path_3d_m = float(np.linalg.norm(pieces, axis=1).sum())
    if events is None:
        if path_3d_m < LEAST_STEP_M or duration_s > LONGEST_STEP_S or tilt_deg > STEP_TILT_DEG:
            return None
        events = step_events(way.velocity_mps)
    grid = np.arange(len(pitch))
    height = way.position_m[:, 2] - np.linspace(0.0, covered[2], len(pitch))
    step = Step(
        events=events,
        rolls=rolls,
        toe_off_angle_deg=float(np.degrees(np.interp(events.toe_off, grid, pitch))),
        heel_strike_angle_deg=float(np.degrees(np.interp(events.heel_strike, grid, pitch))),
        length_m=float(np.hypot(covered[0], covered[1])),
        path_2d_m=float(np.hypot(pieces[:, 0], pieces[:, 1]).sum()),
        path_3d_m=path_3d_m,
        clearance_m=float(height.max()),
        turn_deg=turn_deg,
        drift_mps=way.drift_mps,
    )
    if not whole:
        return _without_way(step), axes
    return step, new_axes if rolls else axes


def _without_way(step: Step) -> Step:
    nan = math.nan
    return Step(step.events, step.rolls, nan, nan, nan, nan, nan, nan, nan, step.drift_mps)


def _tilt_deg(way: Trajectory, start: Rest, end: Rest, *, whole: bool) -> float:
    """Return the angle between both verticals: as measured, or carried over by the gyroscope.

    The larger one counts: a foot that comes to rest in another attitude does not stand, and one
    whose rotation does not explain its gravity was not followed.
    """
    before, after = unit(start.force), unit(end.force)
    alike = float(before @ after)
    if whole:
        alike = min(alike, float((way.rotation[0] @ before) @ (way.rotation[-1] @ after)))
    return float(np.degrees(np.arccos(np.clip(alike, -1.0, 1.0))))


def _turn_deg(before: Float64Array, after: Float64Array) -> float:
    across = before[0] * after[1] - before[1] * after[0]
    return float(np.degrees(np.arctan2(across, before[0] * after[0] + before[1] * after[1])))
