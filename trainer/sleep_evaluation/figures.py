"""All figures of staged nights as plain JSON values, by how long the answers waited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.sleep_stages import EPOCH_S, STAGES
from trainer.intervals import bootstrap_over_groups
from trainer.sleep_evaluation.agreement import (
    SHORT,
    agreement,
    confusion,
    counting_abstentions,
    headline,
    none_if_nan,
    per_class,
    unanswered,
)
from trainer.sleep_evaluation.comparison import gain
from trainer.sleep_evaluation.confidence import calibration, risk_coverage
from trainer.sleep_evaluation.night_answers import NightAnswers
from trainer.sleep_evaluation.timing import changes_per_hour, revision_rate, time_to_detect

RESAMPLES = 1000

Nights = Mapping[int, Sequence[NightAnswers]]
"""Delay in epochs to the same nights in the same order."""


def sleep_figures(
    nights: Nights, *, ceiling: dict[str, Any] | None = None, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return everything that is said of staged nights.

    Args:
        nights: by delay; 0, what is said at once, must be among them.
        ceiling: what ``human_ceiling`` gave, to be kept as ``human_ceiling``.
        resamples: draws of the bootstrap over subjects.

    Returns:
        The figures of ``figures_of`` for delay 0, and ``delays``: every delay's in turn, each with
        ``delay_epochs``, ``delay_s`` and ``revision_rate``, the share of answers that differ from
        those said at once, and ``gain`` over those, paired over subjects. ``human_ceiling``: as
        given.

    Raises:
        DatasetError: no epoch is scored.
    """
    if not any(night.scored.any() for night in nights[0]):
        raise DatasetError(
            "nothing to score: the expert named no stage",
            next_step="Give nights with a hypnogram",
        )
    delays: dict[str, dict[str, Any]] = {}
    for delay in sorted(nights):
        delays[str(delay)] = figures_of(nights[delay], delay, resamples=resamples) | {
            "delay_epochs": delay,
            "delay_s": delay * EPOCH_S,
            "revision_rate": revision_rate(nights[0], nights[delay]),
            "gain": gain(nights[0], nights[delay], resamples=resamples) if delay else None,
        }
    return {**delays["0"], "delays": delays, "human_ceiling": ceiling}


def figures_of(
    nights: Sequence[NightAnswers], delay_epochs: int, *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return the figures of nights answered with one delay.

    Args:
        nights: at least one with a scored epoch.
        delay_epochs: what every answer waited.
        resamples: draws of the bootstrap over subjects.

    Returns:
        Pooled over answered epochs: what ``agreement`` says. ``per_night``, a row each;
        ``nights``: mean, sd and worst of its figures; ``intervals``: 95 % over subjects;
        ``abstained``; ``with_abstentions_wrong``; ``changes_per_hour``; ``time_to_detect``; ECE,
        Brier score and reliability; ``risk_coverage``.
    """
    counts = np.stack([confusion(night) for night in nights])
    silent = np.stack([unanswered(night) for night in nights])
    rows = [_night_row(night, *both) for night, *both in zip(nights, counts, silent, strict=True)]
    subjects = np.array([night.subject for night in nights], dtype=np.str_)
    return {
        **agreement(counts.sum(axis=0)),
        "subjects": len(set(subjects.tolist())),
        "per_night": rows,
        "nights": _over_nights(rows),
        "intervals": _intervals(counts, subjects, resamples),
        "abstained": _abstained(nights, counts.sum(axis=0), silent.sum(axis=0)),
        "with_abstentions_wrong": counting_abstentions(counts.sum(axis=0), silent.sum(axis=0)),
        "changes_per_hour": changes_per_hour(nights),
        "time_to_detect": time_to_detect(nights, delay_epochs),
        **calibration(nights),
        "risk_coverage": risk_coverage(nights),
    }


def _night_row(
    night: NightAnswers, counts: npt.NDArray[np.int64], silent: npt.NDArray[np.int64]
) -> dict[str, Any]:
    whole = agreement(counts)
    return {
        "night": night.night,
        "subject": night.subject,
        **{name: whole[name] for name in ("n", *SHORT, "per_class", "confusion")},
        "abstained": int(silent.sum()),
        "changes_per_hour": changes_per_hour([night]),
    }


def _over_nights(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean, sd (over n - 1) and worst of the nights' figures; the sd of one is None."""
    found: dict[str, Any] = {"n": len(rows)}
    for name in SHORT:
        known = [(row[name], row["night"]) for row in rows if row[name] is not None]
        values = [value for value, _ in known]
        worst = min(known, default=(None, None))
        found[name] = {
            "mean": float(np.mean(values)) if values else None,
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "worst": worst[0],
            "worst_night": worst[1],
        }
    return found


def _intervals(
    counts: npt.NDArray[np.int64], subjects: npt.NDArray[np.str_], resamples: int
) -> dict[str, list[float] | None]:
    """Return 95 % intervals of pooled figures, whole people drawn; None for one person."""

    def statistic(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        drawn = counts[rows].sum(axis=0)
        f1 = {f"f1_{stage}": row["f1"] for stage, row in per_class(drawn).items()}
        return {**headline(drawn), **f1}

    names = (*SHORT, *(f"f1_{stage}" for stage in STAGES))
    if len(np.unique(subjects)) < 2:
        return dict.fromkeys(names)
    found = bootstrap_over_groups(statistic, subjects, resamples=resamples)
    return {
        name: [found[name].low, found[name].high] if np.isfinite(found[name].low) else None
        for name in names
    }


def _abstained(
    nights: Sequence[NightAnswers],
    counts: npt.NDArray[np.int64],
    silent: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Return the share of scored epochs without an answer, per class, and the reasons."""
    support = counts.sum(axis=1) + silent
    reasons: Counter[str] = Counter()
    for night in nights:
        lacking = night.scored & ~night.answered
        told = night.reasons or (None,) * len(lacking)
        reasons.update(why or "unknown" for why, here in zip(told, lacking, strict=True) if here)
    return {
        "n": int(silent.sum()),
        "share": none_if_nan(silent.sum() / support.sum()) if support.sum() else None,
        "n_per_class": {stage: int(silent[i]) for i, stage in enumerate(STAGES)},
        "per_class": {
            stage: float(silent[i] / support[i]) if support[i] else None
            for i, stage in enumerate(STAGES)
        },
        "reasons": dict(sorted(reasons.items())),
    }
