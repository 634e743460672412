"""Which family of classifiers the register's gait parameters deserve, and how far to believe it.

Every family meets the same outer folds and chooses its setting and temperature on inner folds of
the outer training people. Beside them stand baselines that need no gait sensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from trainer.datasets.gait_parameters import OFFERED, gait_table, is_spread
from trainer.datasets.gstride import LABELS, Person
from trainer.register.families import bayes_family, logistic_family, rival_families
from trainer.register.nested_cv import (
    Family,
    Nesting,
    OutOfFold,
    Table,
    Targets,
    best_family,
    nested_cv,
    times_chosen,
)
from trainer.register.person_scores import person_figures
from trainer.register.study import classes, study

SHIPPED = "naive Bayes"
TUNED = (
    "Setting and temperature by inner folds of the outer training people; nothing scored was seen"
    " by any choice, constant or weight."
)
NOT_NESTED = (
    "Made outside the folds, by reason, but by people who had seen figures of these 163: the set of"
    " parameters, the Student-t density, and naive Bayes itself, for what it can explain and leave"
    " out. The row 'family chosen by inner folds' has no such choice of family."
)


class Bar:
    """A progress bar over the outer folds of several families.

    Args:
        console: where to draw.
        families: how many.
        nesting: folds of each.
    """

    def __init__(self, console: Console, families: int, nesting: Nesting) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("folds, left"),
            TimeRemainingColumn(),
            console=console,
        )
        total = families * nesting.outer * nesting.repeats
        self._task = self._bar.add_task("folds", total=total)
        self._nesting = nesting

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def run(self, family: Family, targets: Targets) -> OutOfFold:
        """Return a family's answers, the bar moving on."""
        self._bar.update(self._task, description=family.name)
        return nested_cv(family, targets, self._nesting, lambda: self._bar.advance(self._task))


def shipped_answers(
    people: Sequence[Person], parameters: Sequence[str], nesting: Nesting, console: Console
) -> tuple[Table, OutOfFold]:
    """Return the shipped family's table and its answers out of fold."""
    table = gait_table(people, parameters)
    with Bar(console, 1, nesting) as bar:
        family = bayes_family(SHIPPED, table, is_spread(parameters))
        return table, bar.run(family, classes(people))


def compare(
    people: Sequence[Person], parameters: Sequence[str], nesting: Nesting, console: Console
) -> tuple[dict[str, Any], OutOfFold]:
    """Run every family and baseline.

    Args:
        people: the register.
        parameters: what the shipped model reads.
        nesting: how people are divided.
        console: where progress is shown.

    Returns:
        Plain JSON values, and the shipped family's answers.
    """
    targets = classes(people)
    table = gait_table(people, parameters)
    families = (
        bayes_family(SHIPPED, table, is_spread(parameters)),
        *rival_families(table),
    )
    every = bayes_family(
        f"naive Bayes, all {len(OFFERED)} values", gait_table(people, OFFERED), is_spread(OFFERED)
    )
    baselines = _baselines(people)
    with Bar(console, len(families) + 1 + len(baselines), nesting) as bar:
        answers = [bar.run(family, targets) for family in families]
        rows = {one.name: person_figures(targets, one.probabilities, LABELS) for one in answers}
        for one in (
            best_family("family chosen by inner folds", answers),
            _average("mean of naive Bayes and proportional odds", answers[0], answers[2]),
            bar.run(every, targets),
        ):
            rows[one.name] = person_figures(targets, one.probabilities, LABELS)
        beside = {"always prefrail": _majority(targets)}
        for family in baselines:
            known = ~np.isnan(family.table).any(axis=1)
            part = Family(family.name, family.table[known], family.settings, family.learn)
            answered = bar.run(part, targets[known])
            beside[family.name] = person_figures(targets[known], answered.probabilities, LABELS)
    figures = {
        "shipped_family": SHIPPED,
        "parameters": list(parameters),
        "nesting": {
            "outer_folds": nesting.outer,
            "repeats": nesting.repeats,
            "inner_folds": nesting.inner,
            "seed": nesting.seed,
        },
        "tuned": TUNED,
        "not_nested": NOT_NESTED,
        "families": {name: {"tuned": TUNED, **row} for name, row in rows.items()},
        "times_chosen_by_inner_folds": times_chosen(answers),
        "baselines": {name: {"tuned": TUNED, **row} for name, row in beside.items()},
        "shipped": study(people, parameters, table, answers[0]),
    }
    return figures, answers[0]


def _average(name: str, one: OutOfFold, other: OutOfFold) -> OutOfFold:
    """Return the geometric mean of two families' probabilities; no weight is fitted."""
    probabilities = np.sqrt(one.probabilities * other.probabilities)
    probabilities /= probabilities.sum(axis=2, keepdims=True)
    return OutOfFold(name, np.log(probabilities), probabilities, ())


def _baselines(people: Sequence[Person]) -> tuple[Family, ...]:
    speed = np.array([[person.gait_speed_mps] for person in people])
    tug = np.log([[person.tug_s] for person in people])
    parts: tuple[Callable[[Person], object], ...] = (
        lambda person: person.place,
        lambda person: person.indoors,
        lambda person: person.device,
        lambda person: person.lives_in_nursing_home,
    )
    columns = []
    for part in parts:
        values = [part(person) for person in people]
        columns += [[value == one for value in values] for one in sorted(set(values), key=str)]
    no_gait = np.array(columns, dtype=np.float64).T
    plain = np.array([False])
    return (
        bayes_family("4-m gait speed alone (part of the label)", speed, plain),
        bayes_family("timed up-and-go alone, those who could", tug, plain),
        logistic_family("no gait: place, surface, device, residence", no_gait),
    )


def _majority(targets: Targets) -> dict[str, Any]:
    """Return the figures of the commonest class for everybody; its probabilities say nothing."""
    shares = np.full(len(LABELS), 0.33)
    shares[np.bincount(targets).argmax()] = 0.34
    return person_figures(targets, np.tile(shares, (1, len(targets), 1)), LABELS, resamples=0)


SHOWN = {
    "balanced_accuracy": "balanced",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "recall_frail": "frail recall",
    "precision_frail": "frail PPV",
    "f1_frail": "frail F1",
    "auc_frail": "AUC frail",
    "auc_robust": "AUC robust",
    "brier": "Brier",
    "ece": "ECE",
}
"""Figures that tables show, and how people read them."""


NARROW = {
    "balanced_accuracy": "bal.",
    "accuracy": "acc.",
    "recall_frail": "frail",
    "precision_frail": "PPV",
    "auc_frail": "AUC",
    "ece": "ECE",
}
"""What a terminal has room for: frail is frail recall, PPV and AUC are those of frail."""


def figures_table(title: str, rows: dict[str, dict[str, Any]]) -> RichTable:
    """Return a table, a line a family or group, narrow enough for a terminal."""
    table = RichTable(title=title)
    table.add_column("")
    table.add_column("n", justify="right", no_wrap=True)
    for heading in NARROW.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in rows.items():
        table.add_row(
            name.replace("_", " "), str(figures["n"]), *(shown(figures, key) for key in NARROW)
        )
    return table


def worst_offsets(
    offsets: dict[str, dict[str, Any]], n_single: int = 4
) -> dict[str, dict[str, Any]]:
    """Return the rows of ``study.offsets`` that a table has room for, under short names.

    Args:
        offsets: all rows.
        n_single: offsets of one parameter to keep: those of least balanced accuracy.

    Returns:
        These, worst first, then those of all parameters together.
    """
    single = [name for name in offsets if not name.startswith("all_means")]
    worst = sorted(single, key=lambda name: float(offsets[name]["balanced_accuracy"]))[:n_single]
    together = [name for name in offsets if name not in single]
    return {_short(name): offsets[name] for name in (*worst, *together)}


def _short(name: str) -> str:
    """``toe_off_angle_deg_mean_half_towards_frail`` becomes ``toe off angle, half to frail``."""
    what, _, side = name.rpartition("_towards_")
    stem, _, share = what.rpartition("_")
    words = [word for word in stem.split("_") if word not in ("s", "m", "deg", "mps", "mean")]
    return f"{' '.join(words)}, {share} to {side}"


def shown(figures: dict[str, Any], key: str, *, interval: bool = False) -> str:
    """Return a figure as text, with its interval if asked for and there; - where there is none.

    Calibration for equal class shares has no meaning where nobody is of one class.
    """
    value = figures[key]
    one_lacks = any(row["support"] == 0 for row in figures["per_class"].values())
    if value is None or (one_lacks and key in ("ece", "brier")):
        return "-"
    ends = figures.get("intervals", {}).get(key)
    if interval and ends is not None and None not in ends:
        return f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"
    return f"{value:.3f}"
