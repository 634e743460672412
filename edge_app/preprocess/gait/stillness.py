"""When does a foot stand still on the floor?

Angular rate, spread of the specific force, and its length against gravity, over a short sliding
window (generalised likelihood ratio test, Skog et al. 2010, doi 10.1109/TBME.2010.2060723). Limits
are wide, as a fast walker's foot never rests: the least rate between two swings reaches 1.1 rad/s.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import Float64Array

WINDOW_S = 0.08
GYR_LIMIT_RADPS = 1.5
SPREAD_LIMIT_MPS2 = 3.0
LENGTH_LIMIT_MPS2 = 2.0


def half_window(rate_hz: float) -> int:
    """Return how many samples a window reaches to either side."""
    return max(1, round(WINDOW_S * rate_hz / 2.0))


def restlessness(samples: Float64Array, rate_hz: float, gravity_mps2: float) -> Float64Array:
    """Return how restless a foot is: below 1 it stands.

    Args:
        samples: (n, 6) m/s^2 and rad/s, gyroscope without bias.
        rate_hz: samples a second.
        gravity_mps2: length of the specific force at rest, by this sensor.

    Returns:
        (n - 2 * half_window,) the largest of the three measures over their limits.
    """
    half = half_window(rate_hz)
    acc, gyr = samples[:, :3], samples[:, 3:]
    columns = np.empty((len(samples), 5))
    columns[:, :3] = acc
    columns[:, 3] = np.einsum("ij,ij->i", acc, acc)
    columns[:, 4] = np.einsum("ij,ij->i", gyr, gyr)
    width = 2 * half + 1
    sums = np.zeros((len(samples) + 1, 5))
    np.cumsum(columns, axis=0, out=sums[1:])
    means = (sums[width:] - sums[:-width]) / width
    squared = np.einsum("ij,ij->i", means[:, :3], means[:, :3])
    spread = np.sqrt(np.maximum(means[:, 3] - squared, 0.0)) / SPREAD_LIMIT_MPS2
    length = np.abs(np.sqrt(squared) - gravity_mps2) / LENGTH_LIMIT_MPS2
    rate = np.sqrt(np.maximum(means[:, 4], 0.0)) / GYR_LIMIT_RADPS
    return np.asarray(np.maximum(np.maximum(spread, length), rate))
