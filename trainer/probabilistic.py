"""Figures of merit of the probabilities themselves: Brier score and area under the ROC curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata


def brier_score(targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float:
    """Return the mean squared distance between probabilities and the truth, 0 to 2.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).

    Returns:
        0 when the truth always got all, 2 when a wrong class did.

    Source: Brier 1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, the sum over classes.
    """
    truth = np.eye(probabilities.shape[1])[targets]
    return float(np.square(probabilities - truth).sum(axis=1).mean())


def one_vs_rest_auc(
    targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], label: int
) -> float:
    """Return the chance that a case of ``label`` gets a higher probability for it than another.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).
        label: the class against all others.

    Returns:
        0 to 1, ties as a half; NaN when there are no cases on one of the two sides.

    Source: Mann and Whitney 1947, doi 10.1214/aoms/1177730491.
    """
    positive = targets == label
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(probabilities[:, label])
    wins = ranks[positive].sum() - n_positive * (n_positive + 1) / 2.0
    return float(wins / (n_positive * n_negative))
