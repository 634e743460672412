"""What is gained when unsure pictures get no answer: risk against coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.emotion_evaluation.proportions import wilson
from trainer.examination import SELECTIVE_ACCURACY

POINTS = 101


def risk_coverage(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating[Any]],
    selective_accuracy: float = SELECTIVE_ACCURACY,
) -> dict[str, Any]:
    """Return the curve, the area below it and the threshold for a stated accuracy.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels); the largest one is the confidence.
        selective_accuracy: wanted among what is still answered.

    Returns:
        ``aurc`` (mean error over all coverages, 0 is best), ``aurc_best`` (the same answers with
        every error among the least sure), ``curve``: rows of coverage and risk, ``at_accuracy``:
        see ``threshold_for``.

    Source: Geifman and El-Yaniv 2017, arXiv 1705.08500; AURC: Geifman et al. 2019,
        arXiv 1805.08206. Pictures of one confidence are taken to be in random order.
    """
    confidence, wrong = _confidence(targets, probabilities)
    risks = _risks(confidence, wrong)
    best = _risks(-wrong.astype(np.float64), wrong)
    n = len(risks)
    shown = np.unique(np.round(np.linspace(1, n, min(n, POINTS))).astype(np.int64)) - 1
    return {
        "aurc": float(risks.mean()),
        "aurc_best": float(best.mean()),
        "curve": [{"coverage": float((i + 1) / n), "risk": float(risks[i])} for i in shown],
        "at_accuracy": threshold_for(targets, probabilities, selective_accuracy),
    }


def threshold_for(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating[Any]],
    selective_accuracy: float,
) -> dict[str, Any]:
    """Return the lowest confidence from which on the answers are as right as wanted.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).
        selective_accuracy: wanted share of right answers among those given.

    Returns:
        ``wanted``, ``threshold``, ``coverage``, ``accuracy``, ``accuracy_wilson``, ``n``: as it
        comes out when confidence >= threshold; all but the first None where no threshold does.
    """
    confidence, wrong = _confidence(targets, probabilities)
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    errors = np.cumsum(wrong[order])[last]
    reached = np.flatnonzero(1.0 - errors / (last + 1) >= selective_accuracy)
    names = ("threshold", "coverage", "accuracy", "accuracy_wilson", "n")
    if not len(reached):
        return {"wanted": selective_accuracy} | dict.fromkeys(names)
    i = reached[-1]
    n, right = int(last[i]) + 1, int(last[i] + 1 - errors[i])
    return {
        "wanted": selective_accuracy,
        "threshold": float(ranked[last[i]]),
        "coverage": n / len(targets),
        "accuracy": right / n,
        "accuracy_wilson": list(wilson(right, n)),
        "n": n,
    }


def _confidence(
    targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating[Any]]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    said = probabilities.astype(np.float64)
    return said.max(axis=1), said.argmax(axis=1) != targets


def _risks(
    confidence: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the expected share of errors among the k surest, k = 1 ... n."""
    levels, block = np.unique(-confidence, return_inverse=True)
    sizes = np.bincount(block, minlength=len(levels))
    errors = np.bincount(block, weights=wrong, minlength=len(levels))
    spread = np.repeat(errors / sizes, sizes)  # within ties, errors are met evenly
    return np.asarray(np.cumsum(spread) / np.arange(1, len(wrong) + 1))
