"""Whether one way of staging is better than another on the same nights: paired over people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon

from edge_app.errors import ContractError
from trainer.intervals import bootstrap_over_groups
from trainer.sleep_evaluation.agreement import SHORT, confusion, headline
from trainer.sleep_evaluation.night_answers import NightAnswers


def gain(
    first: Sequence[NightAnswers], second: Sequence[NightAnswers], *, resamples: int = 1000
) -> dict[str, Any]:
    """Return how much better the second answers are than the first, on the same nights.

    Epochs are not independent, people are: whole people are drawn, and the signed-rank test is
    over one difference a person.

    Args:
        first: nights as answered one way.
        second: the same nights in the same order, answered another way.
        resamples: draws of the paired bootstrap over subjects.

    Returns:
        For accuracy, kappa and macro_f1 (pooled): ``value``, ``low`` and ``high`` (95 %, None for
        one person), and ``p``, two-sided, None where fewer than two people differ.

    Raises:
        ContractError: other nights.

    Source: Wilcoxon 1945, doi 10.2307/3001968.
    """
    if [night.night for night in first] != [night.night for night in second]:
        raise ContractError(
            "only answers for the same nights can be compared",
            next_step="Give the same nights in the same order",
        )
    counts = np.stack([[confusion(night) for night in nights] for nights in (first, second)])
    subjects = np.array([night.subject for night in first], dtype=np.str_)

    def difference(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        before, after = (headline(counts[way][rows].sum(axis=0)) for way in (0, 1))
        return {name: after[name] - before[name] for name in SHORT}

    people = np.unique(subjects)
    found = bootstrap_over_groups(difference, subjects, resamples=resamples)
    by_person = [difference(np.flatnonzero(subjects == person)) for person in people]
    result = {}
    for name in SHORT:
        interval = found[name]
        known = len(people) > 1 and np.isfinite(interval.low)
        result[name] = {
            "value": interval.value if np.isfinite(interval.value) else None,
            "low": interval.low if known else None,
            "high": interval.high if known else None,
            "p": _signed_rank(np.array([person[name] for person in by_person])),
        }
    return result


def signed_interval(figure: Mapping[str, float | None]) -> str:
    """Return for instance ``+0.012 [-0.003, +0.025]`` of one figure of ``gain``."""
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None:
        return ""
    return (
        f"{value:+.3f}"
        if low is None or high is None
        else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
    )


def _signed_rank(differences: npt.NDArray[np.float64]) -> float | None:
    differs = differences[np.isfinite(differences) & (differences != 0)]
    return float(wilcoxon(differs).pvalue) if len(differs) > 1 else None
