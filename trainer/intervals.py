"""Percentile bootstrap over groups: how far a figure would move with other people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError

Statistic = Callable[[npt.NDArray[np.int64]], Mapping[str, float]]
"""Rows to named figures; a figure that these rows do not have is NaN."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the range it moves in.

    Args:
        value: on all rows.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_over_groups(
    statistic: Statistic,
    groups: npt.NDArray[np.str_],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Draw whole groups with replacement and return each figure's percentile interval.

    Rows of one group are not independent, so groups are drawn, never rows.

    Args:
        statistic: gives the figures of some rows, which may occur more than once.
        groups: (n,) the group of each row.
        resamples: how many draws.
        level: share of the draws inside the interval.
        seed: start of the draws.

    Returns:
        Name to interval; ends are NaN where no draw had the figure.

    Raises:
        DatasetError: no rows.

    Source: Efron 1979, doi 10.1214/aos/1176344552; percentile method, groups as units.
    """
    if len(groups) == 0:
        raise DatasetError("no rows to draw from", next_step="Give at least one group")
    names, index = np.unique(groups, return_inverse=True)
    order = np.argsort(index, kind="stable")
    sizes = np.bincount(index)
    starts = np.cumsum(sizes) - sizes
    values = statistic(np.arange(len(groups)))
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(resamples):
        drawn = rng.integers(0, len(names), len(names))
        n = sizes[drawn]
        rows = order[np.repeat(starts[drawn] - (np.cumsum(n) - n), n) + np.arange(n.sum())]
        for name, value in statistic(rows).items():
            draws[name].append(value)
    tail = (1.0 - level) / 2.0
    result = {}
    for name, value in values.items():
        finite = np.array([draw for draw in draws[name] if np.isfinite(draw)])
        low, high = np.quantile(finite, (tail, 1.0 - tail)) if len(finite) else (np.nan, np.nan)
        result[name] = Interval(float(value), float(low), float(high))
    return result
