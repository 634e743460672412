"""The way of a foot between two moments at which it stands still.

Orientation by integrating the gyroscope, gravity from both ends, acceleration integrated twice
with the speed forced to zero at both ends and the drift in between taken as linear (zero-velocity
update: Foxlin 2005, doi 10.1109/MCG.2005.140; Skog et al. 2010, doi 10.1109/TBME.2010.2060723).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float64Array

STANDARD_GRAVITY_MPS2 = 9.80665


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The sensor's way; frame: origin and heading of the first sample, z up.

    Args:
        up: (n, 3) the vertical as the sensor sees it.
        rotation: (n, 3, 3) sensor axes to the frame.
        velocity_mps: (n, 3) zero at both ends.
        position_m: (n, 3).
        drift_mps: speed that had to be taken away at the end.
    """

    up: Float64Array
    rotation: Float64Array
    velocity_mps: Float64Array
    position_m: Float64Array
    drift_mps: float


def integrate(
    acc: Float64Array,
    gyr: Float64Array,
    period_s: float,
    up_start: Float64Array,
    up_end: Float64Array,
) -> Trajectory:
    """Return the way between two moments at rest.

    Args:
        acc: (n, 3) specific force, any gain: the length of the two ends is taken as gravity.
        gyr: (n, 3) rad/s, without bias.
        period_s: time between two samples.
        up_start: (3,) specific force around the first sample.
        up_end: (3,) specific force around the last sample.

    Returns:
        The way; n samples.
    """
    turned = cumulative_rotation(gyr, period_s)  # sensor axes at i to sensor axes at 0
    measured = 0.5 * (np.linalg.norm(up_start) + np.linalg.norm(up_end))
    vertical = unit(unit(up_start) + unit(turned[-1] @ up_end))
    rotation = level(vertical) @ turned
    force = np.einsum("nij,nj->ni", rotation, acc) * (STANDARD_GRAVITY_MPS2 / measured)
    force[:, 2] -= STANDARD_GRAVITY_MPS2
    velocity = cumulative_integral(force, period_s)
    drift = velocity[-1].copy()
    velocity -= np.linspace(0.0, 1.0, len(velocity))[:, None] * drift
    position = cumulative_integral(velocity, period_s)
    return Trajectory(
        np.swapaxes(turned, 1, 2) @ vertical,
        rotation,
        velocity,
        position,
        float(np.linalg.norm(drift)),
    )


def unit(vector: Float64Array) -> Float64Array:
    """Return a vector's direction."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def level(vertical: Float64Array) -> Float64Array:
    """Return the shortest rotation that brings a (3,) direction to (0, 0, 1)."""
    x, y, z = vertical
    if z < -1.0 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    a = 1.0 / (1.0 + z)
    return np.array([[1 - a * x * x, -a * x * y, -x], [-a * x * y, 1 - a * y * y, -y], [x, y, z]])


def cumulative_integral(values: Float64Array, period_s: float) -> Float64Array:
    """Return the trapezoidal integral from the first sample on, along the first axis."""
    result = np.zeros_like(values)
    np.cumsum(0.5 * period_s * (values[1:] + values[:-1]), axis=0, out=result[1:])
    return result


def cumulative_rotation(gyr: Float64Array, period_s: float) -> Float64Array:
    """Return (n, 3, 3) rotations from the axes of each sample to those of the first.

    Args:
        gyr: (n, 3) rad/s in sensor axes.
        period_s: time between two samples.

    Returns:
        The unit matrix first.

    Source: products of Rodrigues steps, multiplied in log2(n) rounds (Hillis and Steele 1986).
    """
    steps = np.empty((len(gyr), 3, 3))
    steps[0] = np.eye(3)
    steps[1:] = _rodrigues(0.5 * period_s * (gyr[1:] + gyr[:-1]))
    reach = 1
    while reach < len(steps):
        steps[reach:] = steps[:-reach] @ steps[reach:]
        reach *= 2
    return steps


def _rodrigues(vectors: Float64Array) -> Float64Array:
    """Return (n, 3, 3) rotations of (n, 3) rotation vectors."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(angle / (2.0 * np.pi)) ** 2
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross))
