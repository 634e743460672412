"""Ordinal logistic regression: one score, and a threshold between each two neighbouring classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

SMALL = 1e-9


class ProportionalOdds:
    """P(class <= k) = logistic(threshold_k - weights . x).

    Source: McCullagh 1980, doi 10.1111/j.2517-6161.1980.tb01109.x.
    Differs: an L2 pull on the weights, and every class weighs alike.

    Args:
        penalty: of half the squared length of the weights, against a mean loss.
    """

    def __init__(self, penalty: float) -> None:
        self.penalty = penalty
        self._weights: npt.NDArray[np.float64] = np.zeros(0)
        self._thresholds: npt.NDArray[np.float64] = np.zeros(0)

    def fit(
        self, table: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
    ) -> ProportionalOdds:
        """Learn from (n, n_columns), standardised, and (n,) classes 0, 1, ... in order."""
        n_columns, n_classes = table.shape[1], int(targets.max()) + 1
        weight = 1.0 / np.bincount(targets)[targets] / n_classes

        def loss(parameters: npt.NDArray[np.float64]) -> float:
            self._set(parameters, n_columns)
            of_truth = self.predict_proba(table)[np.arange(len(targets)), targets]
            pull = 0.5 * self.penalty * float(self._weights @ self._weights)
            return float(-(weight * np.log(np.maximum(of_truth, SMALL))).sum()) + pull

        start = np.zeros(n_columns + n_classes - 1)
        start[n_columns] = -1.0
        self._set(minimize(loss, start, method="L-BFGS-B").x, n_columns)
        return self

    def predict_proba(self, table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return (n, n_classes)."""
        below = expit(self._thresholds[None] - (table @ self._weights)[:, None])
        edges = np.column_stack([np.zeros(len(table)), below, np.ones(len(table))])
        return np.asarray(np.diff(edges, axis=1))

    def _set(self, parameters: npt.NDArray[np.float64], n_columns: int) -> None:
        self._weights = parameters[:n_columns]
        first, steps = parameters[n_columns : n_columns + 1], parameters[n_columns + 1 :]
        # Steps between thresholds are exponentials: they stay in order.
        self._thresholds = np.concatenate([first, first + np.cumsum(np.exp(steps))])
