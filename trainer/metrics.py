"""Figures of merit from targets and probabilities, in numpy, each by its textbook formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import ContractError, DatasetError

IGNORE = -1
"""Target of an example that has no label: it counts in no loss and no metric."""
ECE_BINS = 15
"""Guo et al. 2017, arXiv 1706.04599: equal-width bins of the largest probability."""
FEW = 20
"""Figures of a group with fewer examples say little: they are marked, or in the JSON alone."""

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "kappa", "ece")
HEADINGS = ("accuracy", "balanced", "macro-F1", "kappa", "ECE")
"""The figures that every report shows, as fields of ``Scores`` and as people read them."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How well probabilities meet targets.

    Args:
        n: scored examples (for sequences: steps), those with a label.
        accuracy: share whose most probable class is right.
        balanced_accuracy: mean recall over the classes that occur among the targets.
        macro_f1: mean F1 over the classes that occur among targets or answers.
        kappa: Cohen's kappa, agreement beyond chance.
        ece: expected calibration error, ``ECE_BINS`` bins.
        confusion: (n_labels, n_labels) counts, row = true class, column = answer.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    kappa: float
    ece: float
    confusion: npt.NDArray[np.int64]

    def per_class(self, labels: tuple[str, ...]) -> dict[str, dict[str, float | int]]:
        """Return precision, recall, f1 and support by label."""
        precision, recall, f1 = class_figures(self.confusion)
        return {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(self.confusion[i].sum()),
            }
            for i, label in enumerate(labels)
        }

    def as_dict(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "kappa": self.kappa,
            "ece": self.ece,
            "per_class": self.per_class(labels),
            "labels": list(labels),
            "confusion": self.confusion.tolist(),
        }


def score(targets: npt.NDArray[np.int64], probabilities: npt.NDArray[Any]) -> Scores:
    """Score answers.

    Args:
        targets: (n,) or (n, length), ``IGNORE`` where there is no label.
        probabilities: targets' shape plus a class axis.

    Returns:
        The scores over every labelled example or step.

    Raises:
        ContractError: a probability is NaN or infinite.
        DatasetError: no target has a label.
    """
    n_labels = probabilities.shape[-1]
    flat_targets = targets.reshape(-1)
    labelled = flat_targets != IGNORE
    truth = flat_targets[labelled]
    certainty = probabilities.reshape(-1, n_labels)[labelled].astype(np.float64)
    if truth.size == 0:
        raise DatasetError(
            "nothing to score: no example has a label",
            next_step="Give data with labels to evaluate on",
        )
    if not np.isfinite(certainty).all():
        raise ContractError(
            "these answers are no probabilities",
            expected="finite numbers",
            got=f"NaN or inf in {np.sum(~np.isfinite(certainty).all(axis=1))} of {truth.size}",
            next_step="Export the model again from a pass whose weights are finite",
        )
    confusion = confusion_matrix(truth, certainty.argmax(axis=1), n_labels)
    support = confusion.sum(axis=1)
    recall = np.diag(confusion)[support > 0] / support[support > 0]
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return Scores(
        n=int(truth.size),
        accuracy=float(np.trace(confusion) / truth.size),
        balanced_accuracy=float(recall.mean()),
        macro_f1=float(class_figures(confusion)[2][occurs].mean()),
        kappa=cohen_kappa(confusion),
        ece=expected_calibration_error(truth, certainty),
        confusion=confusion,
    )


def expected_calibration_error(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | None = None,
) -> float:
    """Return the mean gap between confidence and accuracy over equal-width confidence bins.

    Args:
        targets: (n,) true classes.
        probabilities: (n, n_labels).
        weights: (n,) how much each example counts; all alike when None.

    Returns:
        0 (calibrated) to 1.
    """
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == targets).astype(np.float64)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    each = np.ones(len(targets)) if weights is None else weights
    gaps = np.bincount(bins, weights=each * (right - confidence), minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / each.sum())


def commonest_share(targets: npt.NDArray[np.int64]) -> float:
    """Return the share of the commonest class: the accuracy of always answering it.

    Args:
        targets: of any shape, ``IGNORE`` where there is no label; at least one label.

    Returns:
        From 0 to 1.
    """
    known = targets[targets != IGNORE]
    return float(np.bincount(known).max() / known.size)


def confusion_matrix(
    truth: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], n_labels: int
) -> npt.NDArray[np.int64]:
    """Return (n_labels, n_labels) counts, row = true class, column = answer."""
    cells = np.bincount(truth * n_labels + answers, minlength=n_labels**2)
    return cells.reshape(n_labels, n_labels).astype(np.int64)


def class_figures(
    confusion: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return precision, recall and F1 of each class, 0 where a class does not occur."""
    hits = np.diag(confusion).astype(np.float64)
    answered = confusion.sum(axis=0)
    true = confusion.sum(axis=1)
    precision = hits / np.maximum(answered, 1)
    recall = hits / np.maximum(true, 1)
    return precision, recall, 2 * hits / np.maximum(answered + true, 1)


def cohen_kappa(confusion: npt.NDArray[np.int64]) -> float:
    """Return agreement beyond chance; 0 where all is one class and chance explains everything.

    Source: Cohen 1960, doi 10.1177/001316446002000104.
    """
    total = confusion.sum()
    observed = np.trace(confusion) / total
    by_chance = float((confusion.sum(axis=0) * confusion.sum(axis=1)).sum()) / float(total) ** 2
    return 0.0 if by_chance == 1.0 else float((observed - by_chance) / (1.0 - by_chance))
