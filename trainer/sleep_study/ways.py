"""What several ways of staging answered for people left out, and its figures over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import Split
from trainer.experiments.sleep_stream_scoring import only_of_known
from trainer.fold_figures import over_repeats, spread_text
from trainer.intervals import bootstrap_over_groups
from trainer.sleep_evaluation.agreement import (
    SHORT,
    agreement,
    confusion,
    headline,
    none_if_nan,
    per_class,
)
from trainer.sleep_evaluation.comparison import gain, signed_interval
from trainer.sleep_evaluation.night_answers import NightAnswers, nights_of_split
from trainer.sleep_evaluation.style import number
from trainer.sleep_evaluation.timing import changes_per_hour

Repeats = tuple[tuple[NightAnswers, ...], ...]
"""A repeat each, all nights in the same order."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of staging.

    Args:
        name: for tables.
        repeats: what it answered.
    """

    name: str
    repeats: Repeats

    @property
    def nights(self) -> tuple[NightAnswers, ...]:
        """All nights of all repeats."""
        return tuple(night for repeat in self.repeats for night in repeat)


def ways_by_delay(
    name: str, everyone: Split, said: Sequence[npt.NDArray[np.float32]]
) -> dict[int, Way]:
    """Sort answers by how long they waited.

    Args:
        name: of the way.
        everyone: the nights.
        said: a repeat each, log-probabilities as ``people_left_out`` returns them.

    Returns:
        Delay in epochs to the way.
    """
    targets, groups = everyone.targets.numpy(), everyone.groups.tolist()
    sorted_ = [
        nights_of_split(everyone.examples, groups, targets, only_of_known(everyone, np.exp(repeat)))
        for repeat in said
    ]
    return {
        delay: Way(
            name if delay == 0 else f"{name}, {delay} later",
            tuple(repeat[delay] for repeat in sorted_),
        )
        for delay in sorted_[0]
    }


def way_figures(way: Way, *, resamples: int = 1000) -> dict[str, Any]:
    """Return the figures of one way.

    Args:
        way: what it answered.
        resamples: draws of people behind the intervals.

    Returns:
        Plain JSON values: ``pooled``, mean and sd over the repeats of accuracy, kappa, macro-F1, F1
        of each stage and stage changes an hour; ``expert_changes_per_hour``; ``intervals``, 95 %
        over people, of the mean of the repeats; ``kappa_of_people``.
    """
    counts = [np.stack([confusion(night) for night in repeat]) for repeat in way.repeats]
    people = np.array([night.subject for night in way.repeats[0]], dtype=np.str_)
    rows = [_pooled(repeat, nights) for repeat, nights in zip(counts, way.repeats, strict=True)]

    def statistic(drawn: npt.NDArray[np.int64]) -> dict[str, float]:
        each = [headline(repeat[drawn].sum(axis=0)) for repeat in counts]
        return {name: float(np.mean([one[name] for one in each])) for name in SHORT}

    found = bootstrap_over_groups(statistic, people, resamples=resamples)
    return {
        "pooled": over_repeats(rows),
        "expert_changes_per_hour": changes_per_hour(way.repeats[0])["expert"],
        "intervals": {
            name: [none_if_nan(found[name].low), none_if_nan(found[name].high)] for name in SHORT
        },
        "kappa_of_people": {
            person: none_if_nan(statistic(np.flatnonzero(people == person))["kappa"])
            for person in np.unique(people).tolist()
        },
        "per_repeat": [agreement(repeat.sum(axis=0)) for repeat in counts],
    }


def ways_table(title: str, figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table, a row a way: mean and sd over the repeats."""
    table = Table(title=title)
    columns = (*SHORT, *(f"f1_{stage}" for stage in STAGES), "changes_per_hour")
    heads = (*SHORT, *(f"F1 {stage}" for stage in STAGES), "changes/h")
    table.add_column("way")
    for head in heads:
        table.add_column(head, justify="right")
    for name, row in figures.items():
        table.add_row(name, *(spread_text(row["pooled"][column]) for column in columns))
    return table


def people_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return kappa of each person and its mean over the repeats, a row a way."""
    table = Table(title="Kappa of each person left out, mean over the seeds")
    people = next(iter(figures.values()))["kappa_of_people"]
    for head in ("way", *people, "95 % of all"):
        table.add_column(head, justify="left" if head == "way" else "right")
    for name, row in figures.items():
        low, high = (number(end) for end in row["intervals"]["kappa"])
        cells = (number(row["kappa_of_people"][person]) for person in people)
        table.add_row(name, *cells, f"{low} to {high}")
    return table


def gains(first: Way, second: Way) -> dict[str, Any]:
    """Return how much better the second is on the same nights, paired over people; see ``gain``."""
    return gain(first.nights, second.nights)


def gains_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return differences with intervals over people and the signed-rank test, a row each."""
    table = Table(title="Differences on the same people, 95 % over people; p of the signed rank")
    for head in ("difference", "kappa", "p", "macro-F1", "p"):
        table.add_column(head, justify="left" if head == "difference" else "right")
    for name, row in rows.items():
        cells = []
        for figure in ("kappa", "macro_f1"):
            found = row[figure]
            cells += [signed_interval(found), _p(found["p"])]
        table.add_row(name, *cells)
    return table


def _pooled(
    counts: npt.NDArray[np.int64], nights: Sequence[NightAnswers]
) -> dict[str, float | None]:
    whole = counts.sum(axis=0)
    f1 = {f"f1_{stage}": row["f1"] for stage, row in per_class(whole).items()}
    changes = changes_per_hour(nights)
    return {**headline(whole), **f1, "changes_per_hour": changes["model"]}


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
