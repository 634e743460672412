"""How far two scorings agree: every figure of a confusion matrix that sleep papers print."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.datasets.sleep_stages import STAGES
from trainer.sleep_evaluation.night_answers import NightAnswers

SHORT = ("accuracy", "kappa", "macro_f1")
"""The figures that every table of sleep staging leads with."""


def confusion(night: NightAnswers) -> npt.NDArray[np.int64]:
    """Return (5, 5) counts over scored and answered epochs, row = expert, column = answer."""
    counts = night.scored & night.answered
    return metrics.confusion_matrix(night.stages[counts], night.answers[counts], len(STAGES))


def unanswered(night: NightAnswers) -> npt.NDArray[np.int64]:
    """Return (5,) scored epochs without an answer, by the expert's stage."""
    lacking = night.scored & ~night.answered
    return np.bincount(night.stages[lacking], minlength=len(STAGES)).astype(np.int64)


def headline(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, kappa and macro-F1 (over stages that occur) of a confusion matrix.

    Args:
        counts: (k, k), row = expert, column = answer.

    Returns:
        NaN all where nothing was counted.
    """
    if not counts.sum():
        return dict.fromkeys(SHORT, float("nan"))
    occurs = counts.sum(axis=0) + counts.sum(axis=1) > 0
    return {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "kappa": metrics.cohen_kappa(counts),
        "macro_f1": float(metrics.class_figures(counts)[2][occurs].mean()),
    }


def per_class(counts: npt.NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    """Return a stage's precision, recall, sensitivity, specificity, F1 and support.

    Args:
        counts: (5, 5), row = expert, column = answer.

    Returns:
        Stage to figures: precision, recall and F1 are 0 for a stage that does not occur (look at
        ``support``), sensitivity and specificity None.
    """
    precision, recall, f1 = metrics.class_figures(counts)
    total = int(counts.sum())
    found = {}
    for i, stage in enumerate(STAGES):
        support, answers = int(counts[i].sum()), int(counts[:, i].sum())
        others = total - support
        rejected = others - answers + int(counts[i, i])
        found[stage] = {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "sensitivity": float(recall[i]) if support else None,
            "specificity": rejected / others if others else None,
            "f1": float(f1[i]),
            "support": support,
            "answers": answers,
        }
    return found


def agreement(counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return all figures of a confusion matrix as plain JSON values.

    Args:
        counts: (5, 5), row = expert, column = answer.

    Returns:
        n, accuracy, kappa, macro_f1; sensitivity, specificity (means over stages that have one)
        and balanced_accuracy (the same as sensitivity); per_class, labels, confusion. None where
        nothing was counted.
    """
    classes = per_class(counts)
    means = {
        name: _mean([row[name] for row in classes.values()])
        for name in ("sensitivity", "specificity")
    }
    return {
        "n": int(counts.sum()),
        **{name: none_if_nan(value) for name, value in headline(counts).items()},
        "balanced_accuracy": means["sensitivity"],
        **means,
        "per_class": classes,
        "labels": list(STAGES),
        "confusion": counts.tolist(),
    }


def counting_abstentions(
    counts: npt.NDArray[np.int64], silent: npt.NDArray[np.int64]
) -> dict[str, float | int | None]:
    """Return the figures over every scored epoch, one without an answer counted as wrong.

    Args:
        counts: (5, 5) over answered epochs.
        silent: (5,) epochs without an answer, by the expert's stage.

    Returns:
        n, accuracy, kappa (no answer is a sixth category that the expert never uses), macro_f1
        (over stages).
    """
    whole = np.zeros((len(STAGES) + 1,) * 2, dtype=np.int64)
    whole[:-1, :-1], whole[:-1, -1] = counts, silent
    if not whole.sum():
        return {"n": 0, **dict.fromkeys(SHORT)}
    occurs = (whole.sum(axis=0) + whole.sum(axis=1) > 0)[:-1]
    f1 = metrics.class_figures(whole)[2][:-1]
    return {
        "n": int(whole.sum()),
        "accuracy": float(np.trace(whole) / whole.sum()),
        "kappa": metrics.cohen_kappa(whole),
        "macro_f1": float(f1[occurs].mean()),
    }


def none_if_nan(value: float) -> float | None:
    """Return a figure as JSON can hold it."""
    return float(value) if np.isfinite(value) else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
