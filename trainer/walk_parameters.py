"""What the bedside measures on real walks, and what the labels say of the same strides.

The swing is the parameter that both give; it shows that the GSTRIDE register, whose people swing
for 8 to 35 % of a stride, means something else by it than real feet do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float64Array
from edge_app.preprocess.gait.bouts import STRIDE_TIME_RANGE_S
from edge_app.preprocess.gait.stride import Stride
from edge_app.preprocess.gait.summary import PARAMETERS, GaitStatistics


def gait_parameters(walks: Iterable[Sequence[Stride]]) -> dict[str, dict[str, Any]]:
    """Return mean and standard deviation of every parameter over the strides that count.

    Args:
        walks: strides of one foot of one trial each, in order.

    Returns:
        Parameter to ``mean`` and ``sd``; None where not known.
    """
    statistics = GaitStatistics()
    for strides in walks:
        for stride in strides:
            statistics.add(stride)
    return {
        name: {"mean": _known(statistics.mean(name)), "sd": _known(statistics.sd(name))}
        for name in PARAMETERS
    }


def labelled_swing(walks: Iterable[tuple[Float64Array, npt.NDArray[np.bool_]]]) -> float | None:
    """Return the median share of swing in labelled strides of straight walking.

    Args:
        walks: (k, 2) labelled toe-offs and heel strikes in seconds, and (k,) True where straight.

    Returns:
        0 to 1, a stride from toe-off to toe-off; None without such strides.
    """
    shares: list[float] = []
    for swings_s, straight in walks:
        strides_s = np.diff(swings_s[:, 0])
        chosen = straight[:-1] & straight[1:] & (strides_s < STRIDE_TIME_RANGE_S[1])
        swing_s = swings_s[:-1, 1] - swings_s[:-1, 0]
        shares += (swing_s[chosen] / strides_s[chosen]).tolist()
    return float(np.median(shares)) if shares else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
