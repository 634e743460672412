"""Figures over people whose probabilities are stated for equal class shares.

Answers may be given several times (repeats of a cross-validation): every figure is the mean over
repeats, with its spread over them and a bootstrap interval over people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.intervals import bootstrap_over_groups
from trainer.probabilistic import one_vs_rest_auc
from trainer.register.nested_cv import balanced_loss

Array = npt.NDArray[np.float64]
RESAMPLES = 1000


def equal_share_weights(targets: npt.NDArray[np.int64]) -> Array:
    """Return (n,) weights by which every class among ``targets`` counts alike; they sum to n."""
    counts = np.bincount(targets)
    return np.asarray(len(targets) / (np.count_nonzero(counts) * counts[targets]))


def at_shares(probabilities: Array, shares: Array) -> Array:
    """Return probabilities stated for equal class shares, restated for these shares (Bayes)."""
    weighted = probabilities * shares
    return np.asarray(weighted / weighted.sum(axis=-1, keepdims=True))


class RepeatedFigures:
    """Figures of repeated answers, quick enough for a thousand resamples of people.

    Args:
        targets: (n,) classes.
        probabilities: (n_repeats, n, n_labels) for equal class shares.
        labels: the classes.
    """

    def __init__(
        self, targets: npt.NDArray[np.int64], probabilities: Array, labels: tuple[str, ...]
    ) -> None:
        self._targets = targets
        self._labels = labels
        self._answers = probabilities.argmax(axis=2)
        truth = np.eye(len(labels))[targets]
        self._squares = np.square(probabilities - truth).sum(axis=2).mean(axis=0)
        scores = probabilities.transpose(2, 0, 1)
        self._wins = [
            ((s[:, :, None] > s[:, None, :]) + 0.5 * (s[:, :, None] == s[:, None, :])).mean(axis=0)
            for s in scores
        ]

    def __call__(self, rows: npt.NDArray[np.int64]) -> dict[str, float]:
        """Return the figures of some rows, means over repeats; NaN where a class is missing."""
        return {name: float(np.mean(values)) for name, values in self.by_repeat(rows).items()}

    def by_repeat(self, rows: npt.NDArray[np.int64]) -> dict[str, Array]:
        """Return (n_repeats,) of each figure of some rows; those of AUC and Brier are one mean."""
        targets = self._targets[rows]
        confusion = self.confusion(rows)
        support = confusion.sum(axis=2)
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        answered = confusion.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall, precision = hits / support, hits / answered
            f1 = 2.0 * hits / (support + answered)
        figures: dict[str, Array] = {
            "accuracy": hits.sum(axis=1) / len(rows),
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "macro_f1": np.nanmean(f1, axis=1),
        }
        for i, label in enumerate(self._labels):
            figures[f"recall_{label}"] = recall[:, i]
            figures[f"precision_{label}"] = precision[:, i]
            figures[f"f1_{label}"] = f1[:, i]
        for i, label in enumerate(self._labels):
            here, there = rows[targets == i], rows[targets != i]
            wins = self._wins[i][np.ix_(here, there)]
            figures[f"auc_{label}"] = np.array([wins.mean() if wins.size else np.nan])
        weights = equal_share_weights(targets)
        figures["brier"] = np.array([np.average(self._squares[rows], weights=weights)])
        return figures

    def confusion(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return (n_repeats, n_labels, n_labels) counts, row = true class."""
        n, repeats = len(self._labels), len(self._answers)
        cells = self._targets[rows] * n + self._answers[:, rows]
        cells = cells + n * n * np.arange(repeats)[:, None]
        return np.bincount(cells.ravel(), minlength=repeats * n * n).reshape(repeats, n, n)


def person_figures(
    targets: npt.NDArray[np.int64],
    probabilities: Array,
    labels: tuple[str, ...],
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Score people.

    Args:
        targets: (n,) classes.
        probabilities: (n_repeats, n, n_labels) for equal class shares.
        labels: the classes.
        resamples: draws of people behind the intervals; 0: no intervals.

    Returns:
        Plain JSON values: n, each figure, ``confusion`` (mean over repeats), ``spread`` (standard
        deviation over repeats) and ``intervals`` (95 %, over people). ``brier`` and ``ece`` are for
        equal class shares; ``*_data_shares`` after restating for the shares among ``targets``.
    """
    everyone = np.arange(len(targets))
    figures = RepeatedFigures(targets, probabilities, labels)
    by_repeat = figures.by_repeat(everyone)
    by_repeat |= _not_resampled(targets, probabilities, labels)
    shares = np.bincount(targets, minlength=len(labels)) / len(targets)
    restated = at_shares(probabilities, shares)
    truth = np.eye(len(labels))[targets]
    result: dict[str, Any] = {
        "n": len(targets),
        "labels": list(labels),
        **{name: _finite(values.mean()) for name, values in by_repeat.items()},
        "log_loss": float(np.mean([balanced_loss(targets, one) for one in probabilities])),
        "brier_data_shares": float(np.square(restated - truth).sum(axis=2).mean()),
        "ece_data_shares": float(
            np.mean([metrics.expected_calibration_error(targets, one) for one in restated])
        ),
        "kappa": float(np.mean([metrics.score(targets, one).kappa for one in probabilities])),
        "per_class": {
            label: {
                "precision": _finite(by_repeat[f"precision_{label}"].mean()),
                "recall": _finite(by_repeat[f"recall_{label}"].mean()),
                "f1": _finite(by_repeat[f"f1_{label}"].mean()),
                "support": int((targets == i).sum()),
            }
            for i, label in enumerate(labels)
        },
        "confusion": figures.confusion(everyone).mean(axis=0).round(2).tolist(),
        "repeats": len(probabilities),
        "spread": {
            name: _finite(values.std()) for name, values in by_repeat.items() if len(values) > 1
        },
    }
    if resamples:
        names = np.array([f"{i:06d}" for i in everyone])
        intervals = bootstrap_over_groups(figures, names, resamples=resamples)
        result["intervals"] = {
            name: [_finite(interval.low), _finite(interval.high)]
            for name, interval in intervals.items()
        }
    return result


def _not_resampled(
    targets: npt.NDArray[np.int64], probabilities: Array, labels: tuple[str, ...]
) -> dict[str, Array]:
    """Return by repeat what ``RepeatedFigures`` knows as one mean only, and the ECE.

    A bootstrap of the ECE strays upwards, since doubled people make its bins rougher: no interval.
    """
    weights = equal_share_weights(targets)
    truth = np.eye(len(labels))[targets]
    squares = np.square(probabilities - truth).sum(axis=2)
    return {
        **{
            f"auc_{label}": np.array([one_vs_rest_auc(targets, one, i) for one in probabilities])
            for i, label in enumerate(labels)
        },
        "brier": np.average(squares, axis=1, weights=weights),
        "ece": np.array(
            [metrics.expected_calibration_error(targets, one, weights) for one in probabilities]
        ),
    }


def _finite(value: float) -> float | None:
    """Return a number for JSON; None for what does not exist."""
    return float(value) if np.isfinite(value) else None
