"""What an answer is worth, class by class: one class against all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.emotion_evaluation.proportions import predictive_values, wilson
from trainer.examination import PREVALENCE
from trainer.probabilistic import brier_score

SHARES = ("precision", "npv", "recall", "specificity", "f1")


def class_shares(confusion: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Return each class's figures, NaN where there is nothing to take a share of.

    Args:
        confusion: (n_labels, n_labels) counts, row = true class, column = answer.

    Returns:
        ``SHARES`` to (n_labels,).
    """
    hits = np.diag(confusion).astype(np.float64)
    true, answered = confusion.sum(axis=1), confusion.sum(axis=0)
    total = confusion.sum()
    others = total - true
    cleared = others - (answered - hits)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": hits / answered,
            "npv": cleared / (total - answered),
            "recall": hits / true,
            "specificity": cleared / others,
            "f1": 2 * hits / (answered + true),
        }


def per_class(
    confusion: npt.NDArray[np.int64], labels: tuple[str, ...], prevalence: float = PREVALENCE
) -> dict[str, dict[str, Any]]:
    """Return all figures of each class as plain JSON values.

    Args:
        confusion: counts, row = true class, column = answer.
        labels: the classes in order.
        prevalence: share of the class at which predictive values are restated.

    Returns:
        Label to ``SHARES`` (0 or None where undefined: precision, recall and F1 are 0 as in
        ``metrics``, NPV and specificity None), ``support``, ``answered``, ``*_wilson`` intervals,
        and ``at_prevalence``: prevalence, ppv, npv.
    """
    shares = class_shares(confusion)
    rows = {}
    for i, label in enumerate(labels):
        row = {name: _plain(shares[name][i]) for name in SHARES}
        hits, true, answered = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        ppv, npv = None, None
        if row["recall"] is not None and row["specificity"] is not None:
            ppv, npv = predictive_values(row["recall"], row["specificity"], prevalence)
        rows[label] = {
            **{name: 0.0 if row[name] is None else row[name] for name in SHARES[::2]},
            "npv": row["npv"],
            "specificity": row["specificity"],
            "support": int(true),
            "answered": int(answered),
            "precision_wilson": list(wilson(int(hits), int(answered))),
            "recall_wilson": list(wilson(int(hits), int(true))),
            "at_prevalence": {"prevalence": prevalence, "ppv": ppv, "npv": npv},
        }
    return rows


def face_figures(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[Any],
    labels: tuple[str, ...],
    prevalence: float = PREVALENCE,
) -> dict[str, Any]:
    """Return the usual figures, every class's own and the Brier score.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).
        labels: the classes in order.
        prevalence: share of a class at which predictive values are restated.

    Returns:
        ``metrics.Scores`` as a dict with ``per_class`` as above, and ``brier``.

    Raises:
        ContractError: a probability is NaN or infinite.
        DatasetError: no target has a label.
    """
    scores = metrics.score(targets, probabilities)
    return {
        **scores.as_dict(labels),
        "per_class": per_class(scores.confusion, labels, prevalence),
        "brier": brier_score(targets, probabilities.astype(np.float64)),
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
