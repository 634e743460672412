"""Whether probabilities mean what they say, before and after the temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.probabilistic import brier_score

SMALLEST = np.finfo(np.float32).tiny
"""Probabilities that underflowed to 0 count as this much before their logarithm is taken."""


def uncalibrated(
    probabilities: npt.NDArray[np.floating[Any]], temperature: float
) -> npt.NDArray[np.float64]:
    """Return what the model would have said without its temperature.

    ``softmax(z)`` follows from ``softmax(z / T)``: logarithms of the latter are z / T up to a
    constant, which the softmax forgets.

    Args:
        probabilities: (n, n_labels), calibrated.
        temperature: that the logits were divided by.

    Returns:
        (n, n_labels).
    """
    logits = temperature * np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def calibration(
    targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """Return ECE, Brier score, negative log likelihood and the reliability curve.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).

    Returns:
        ``ece``, ``brier``, ``nll``, and ``reliability``: rows of ``n``, ``said`` (mean confidence)
        and ``true`` (share right) of ``metrics.ECE_BINS`` equal-width bins, empty ones left out.
    """
    said = probabilities.astype(np.float64)
    confidence, right = said.max(axis=1), said.argmax(axis=1) == targets
    bins = np.ceil(confidence * metrics.ECE_BINS).astype(np.int64) - 1
    bins = np.clip(bins, 0, metrics.ECE_BINS - 1)
    of_truth = np.maximum(said[np.arange(len(targets)), targets], SMALLEST)
    return {
        "ece": metrics.expected_calibration_error(targets, said),
        "brier": brier_score(targets, said),
        "nll": float(-np.log(of_truth).mean()),
        "reliability": [
            {
                "n": int((bins == i).sum()),
                "said": float(confidence[bins == i].mean()),
                "true": float(right[bins == i].mean()),
            }
            for i in np.unique(bins)
        ],
    }
