"""What the answers for people left out are worth: figures with intervals over people, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from trainer import metrics
from trainer.cross_validate import Answers
from trainer.intervals import bootstrap_over_groups
from trainer.person_level import by_person
from trainer.probabilistic import brier_score, one_vs_rest_auc

INTERVAL_LEVEL = 0.95


def window_figures(
    answers: Answers, labels: tuple[str, ...], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Score every window on its own; intervals are over people all the same.

    Args:
        answers: of all folds and repeats.
        labels: the classes.
        resamples: draws of people.
        seed: start of the draws.

    Returns:
        Plain JSON values: those of ``metrics.Scores``, and ``intervals``.
    """
    return _figures(
        answers.targets,
        answers.probabilities,
        answers.groups,
        labels,
        resamples=resamples,
        seed=seed,
    )


def person_figures(
    answers: Answers, labels: tuple[str, ...], *, resamples: int, seed: int
) -> dict[str, Any]:
    """Score people: their windows' mean log-probability decides, once a repeat.

    Args:
        answers: of all folds and repeats; all windows of a person have one class.
        labels: the classes.
        resamples: draws of people.
        seed: start of the draws.

    Returns:
        Plain JSON values: those of ``metrics.Scores``, and ``intervals``.
    """
    people = [
        by_person(answers.probabilities[rows], answers.targets[rows], answers.groups[rows])
        for rows in (np.flatnonzero(answers.repeat == r) for r in np.unique(answers.repeat))
    ]
    return _figures(
        np.concatenate([one.targets for one in people]),
        np.concatenate([one.probabilities for one in people]),
        np.concatenate([one.names for one in people]),
        labels,
        resamples=resamples,
        seed=seed,
    )


def _figures(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    groups: npt.NDArray[np.str_],
    labels: tuple[str, ...],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    statistic = _statistic(targets, probabilities, labels)
    intervals = bootstrap_over_groups(
        statistic, groups, resamples=resamples, level=INTERVAL_LEVEL, seed=seed
    )
    majority = float(np.bincount(targets).max() / len(targets))
    return {
        **metrics.score(targets, probabilities).as_dict(labels),
        "groups": len(np.unique(groups)),
        "majority_accuracy": majority,
        "intervals": {
            name: {
                key: number if np.isfinite(number) else None
                for key, number in (("value", i.value), ("low", i.low), ("high", i.high))
            }
            for name, i in intervals.items()
        },
        "interval_level": INTERVAL_LEVEL,
        "interval_resamples": resamples,
    }


def _statistic(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    labels: tuple[str, ...],
) -> Callable[[npt.NDArray[np.int64]], dict[str, float]]:
    def figures(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        truth, answered = targets[rows], probabilities[rows]
        scores = metrics.score(truth, answered)
        support = scores.confusion.sum(axis=1)
        values = {
            "accuracy": scores.accuracy,
            "balanced_accuracy": scores.balanced_accuracy,
            "macro_f1": scores.macro_f1,
            "brier": brier_score(truth, answered),
        }
        for i, label in enumerate(labels):
            hits = float(scores.confusion[i, i])
            values[f"recall_{label}"] = hits / float(support[i]) if support[i] else float("nan")
            values[f"auc_{label}_vs_rest"] = one_vs_rest_auc(truth, answered, i)
        return values

    return figures


def interval_table(title: str, columns: dict[str, dict[str, Any]]) -> Table:
    """Return figures with intervals, a column each for instance for people and windows.

    Args:
        title: above the table.
        columns: heading to what ``person_figures`` or ``window_figures`` returned.

    Returns:
        A table, a line a figure.
    """
    table = Table(title=title)
    table.add_column("figure")
    for heading, figures in columns.items():
        table.add_column(f"{heading} (n = {figures['n']})", justify="right")
    for name in next(iter(columns.values()))["intervals"]:
        table.add_row(name, *(_shown(figures["intervals"][name]) for figures in columns.values()))
    majority = (f"{figures['majority_accuracy']:.3f}" for figures in columns.values())
    table.add_row("accuracy of the commonest class", *majority)
    return table


def class_table(title: str, figures: dict[str, Any]) -> Table:
    """Return precision, recall, F1 and the confusion matrix, a line a class.

    Args:
        title: above the table.
        figures: as ``metrics.Scores.as_dict`` gives them.

    Returns:
        A table; rows of the confusion matrix are the truth.
    """
    labels = figures["labels"]
    table = Table(title=title)
    for name in ("class", "precision", "recall", "F1", "support", *(f"-> {i}" for i in labels)):
        table.add_column(name, justify="left" if name == "class" else "right")
    for i, label in enumerate(labels):
        row = figures["per_class"][label]
        shares = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
        counts = (str(count) for count in (row["support"], *figures["confusion"][i]))
        table.add_row(label, *shares, *counts)
    return table


def _shown(interval: dict[str, float | None]) -> str:
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def over_repeats(repeats: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Return mean and spread of each figure over the repeats of a whole procedure.

    Args:
        repeats: figures by name, of each repeat; None where one cannot be told.

    Returns:
        Name to ``mean``, ``sd`` (over n - 1; None for a single repeat) and ``values``.
    """
    found = {}
    for name in repeats[0]:
        values = [repeat[name] for repeat in repeats]
        known = [value for value in values if value is not None]
        found[name] = {
            "mean": float(np.mean(known)) if known else None,
            "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
            "values": values,
        }
    return found


def repeat_table(title: str, columns: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Return mean and spread over repeats, a column each for instance for two ways of counting.

    Args:
        title: above the table.
        columns: heading to what ``over_repeats`` returned, the same figures in each.

    Returns:
        A table, a line a figure.
    """
    table = Table(title=title)
    table.add_column("figure")
    for heading in columns:
        table.add_column(heading, justify="right")
    for name in next(iter(columns.values())):
        table.add_row(name, *(spread_text(figures[name]) for figures in columns.values()))
    return table


def spread_text(figure: Mapping[str, Any]) -> str:
    """Return for instance ``0.862 ± 0.002``; a single repeat has no spread."""
    mean, sd = figure["mean"], figure["sd"]
    if mean is None:
        return "-"
    return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"
