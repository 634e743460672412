"""What is known of one wearer's gait: all strides so far, and the first ones as their baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_app.contracts import Float32Array
from edge_app.preprocess.gait.stride import Stride
from edge_app.preprocess.gait.summary import PARAMETERS, GaitStatistics

BASELINE_STRIDES = 200
"""About what the register's person with the fewest strides walked (213)."""
SHOWN_PARAMETERS = ("stride_time_s", "stride_length_m", "stride_speed_mps")
_MEAN, _SD = "_mean", "_sd"


class PersonGait:
    """Gathers the strides of one wearer, in memory that does not grow.

    Args:
        baseline_strides: the first accepted strides become the person's own baseline.
        half_life_s: age at which a stride counts half; None: all count alike.
    """

    def __init__(
        self, *, baseline_strides: int = BASELINE_STRIDES, half_life_s: float | None = None
    ) -> None:
        self._baseline_strides = baseline_strides
        self._half_life_s = half_life_s
        self.strides = GaitStatistics(half_life_s)
        self.baseline = GaitStatistics()

    def add(self, strides: Sequence[Stride]) -> None:
        """Take strides, oldest first, accepted or not."""
        for stride in strides:
            first = self.baseline.n_strides == self.strides.n_strides
            self.strides.add(stride)
            if first and self.baseline.n_accepted < self._baseline_strides:
                self.baseline.add(stride)

    @property
    def weight(self) -> float:
        """Strides that mean and spread rest on; old ones count less where they decay."""
        return self.strides.weight

    @property
    def walking_s(self) -> float:
        """Seconds of walking, all strides of bouts counted."""
        return self.strides.walking_s

    def values(self, names: Sequence[str]) -> Float32Array:
        """Return what a model reads.

        Args:
            names: parameter and statistic, such as ``stride_time_s_mean``, ``stride_time_s_sd``.

        Returns:
            (len(names),) float32, NaN where not known, also for names that are not measured here.
        """
        return np.array([self._value(name) for name in names], np.float32)

    def _value(self, name: str) -> float:
        for ending, statistic in ((_MEAN, self.strides.mean), (_SD, self.strides.sd)):
            parameter = name.removesuffix(ending)
            if parameter != name and parameter in PARAMETERS:
                return statistic(parameter)
        return math.nan

    def changes(self) -> dict[str, float]:
        """Return the mean now less the mean of the baseline, by parameter.

        Empty until the baseline is whole and as many strides came after it. A baseline that an
        earlier run made of fewer or more strides stays what it is.
        """
        n_baseline = max(self._baseline_strides, self.baseline.n_accepted)
        if self.strides.n_accepted < 2 * n_baseline:
            return {}
        return {
            name: self.strides.mean(name) - self.baseline.mean(name) for name in SHOWN_PARAMETERS
        }

    def evidence(self) -> tuple[tuple[str, float], ...]:
        """Return what an answer about this person rests on, as ``Prediction.evidence``."""
        strides = self.strides
        found = {
            "strides": float(strides.n_accepted),
            "rejected_strides": float(strides.n_strides - strides.n_accepted),
            "walking_s": strides.walking_s,
            "bouts": float(strides.n_bouts),
        }
        found |= {name: strides.mean(name) for name in SHOWN_PARAMETERS}
        found |= {f"{name}_change": change for name, change in self.changes().items()}
        return tuple((name, value) for name, value in found.items() if math.isfinite(value))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values, for ``restore``."""
        return {"strides": self.strides.as_dict(), "baseline": self.baseline.as_dict()}

    def restore(self, stored: Mapping[str, Any], age_s: float) -> None:
        """Go on from what ``as_dict`` returned.

        Args:
            stored: from an earlier run of the program.
            age_s: how long ago that was.

        Raises:
            ContractError: not what ``as_dict`` returns.
        """
        strides = GaitStatistics.from_dict(stored["strides"])
        strides.half_life_s = self._half_life_s
        strides.age(age_s)
        self.baseline = GaitStatistics.from_dict(stored["baseline"])
        self.strides = strides
