"""Whether probabilities mean what they say, and what leaving unsure epochs unanswered costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.datasets.sleep_stages import STAGES
from trainer.probabilistic import brier_score
from trainer.sleep_evaluation.agreement import SHORT, headline, none_if_nan
from trainer.sleep_evaluation.night_answers import NightAnswers

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
BINS = 10


def pooled(
    nights: Sequence[NightAnswers],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return (n,) stages and (n, 5) probabilities of all scored and answered epochs."""
    kept = [night.scored & night.answered for night in nights]
    truth = [night.stages[rows] for night, rows in zip(nights, kept, strict=True)]
    said = [night.probabilities[rows] for night, rows in zip(nights, kept, strict=True)]
    return np.concatenate(truth), np.concatenate(said).astype(np.float64)


def calibration(nights: Sequence[NightAnswers]) -> dict[str, Any]:
    """Return ECE, Brier score and the reliability curve of the largest probability.

    Args:
        nights: answered with one delay.

    Returns:
        ``ece``, ``brier`` and ``reliability``: rows of n, said (mean confidence) and true (share
        right) for ten equal-width bins, those without epochs left out.
    """
    truth, probabilities = pooled(nights)
    if not len(truth):
        return {"ece": None, "brier": None, "reliability": []}
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return {
        "ece": metrics.expected_calibration_error(truth, probabilities),
        "brier": brier_score(truth, probabilities),
        "reliability": [
            {
                "n": int((bins == i).sum()),
                "said": float(confidence[bins == i].mean()),
                "true": float(right[bins == i].mean()),
            }
            for i in np.unique(bins)
        ],
    }


def risk_coverage(nights: Sequence[NightAnswers]) -> list[dict[str, Any]]:
    """Return what is left, and how right it is, when the least sure epochs get no answer.

    One threshold for all stages deletes N1 first, hence the coverage of every stage.

    Args:
        nights: answered with one delay.

    Returns:
        A row for each of ``COVERAGES``: ``coverage`` as it came out, ``threshold``, accuracy,
        kappa, macro_f1, and ``coverage_per_class`` by the expert's stage (None where it does not
        occur). Epochs that tie with the threshold are kept.
    """
    truth, probabilities = pooled(nights)
    if not len(truth):
        return []
    confidence, answers = probabilities.max(axis=1), probabilities.argmax(axis=1)
    support = np.bincount(truth, minlength=len(STAGES))
    rows = []
    for coverage in COVERAGES:
        kept_n = max(1, round(coverage * len(truth)))
        threshold = float(np.sort(confidence)[::-1][kept_n - 1])
        kept = confidence >= threshold
        counts = metrics.confusion_matrix(truth[kept], answers[kept], len(STAGES))
        here = np.bincount(truth[kept], minlength=len(STAGES))
        figures = headline(counts)
        rows.append(
            {
                "coverage": float(kept.mean()),
                "threshold": threshold,
                **{name: none_if_nan(figures[name]) for name in SHORT},
                "coverage_per_class": {
                    stage: float(here[i] / support[i]) if support[i] else None
                    for i, stage in enumerate(STAGES)
                },
            }
        )
    return rows
