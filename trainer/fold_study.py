"""A cross-validation from start to end: folds, runs, figures with intervals, tables, a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from trainer.cross_validate import Answers, cross_validate, passes_run
from trainer.experiment import Split
from trainer.fold_figures import class_table, interval_table, person_figures, window_figures
from trainer.fold_run import Prepare
from trainer.folds import Fold, group_folds, shuffled_rows
from trainer.recipe import Recipe


class FoldOptions(BaseModel):
    """How a cross-validation divides; a section of an experiment's own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folds: int = Field(default=5, ge=2, le=500, description="Parts the people are divided into.")
    repeats: int = Field(
        default=1, ge=1, le=100, description="How often that is done, each time by another draw."
    )
    choose_share: float = Field(
        default=0.2,
        gt=0.0,
        le=0.5,
        description="About the share of a fold's people not learnt from but choosing the pass.",
    )
    seed: int = Field(default=1, ge=0, description="Start of the draws of people.")
    resamples: int = Field(
        default=1000, ge=10, le=100_000, description="Draws of people behind each interval."
    )
    shuffled_too: bool = Field(
        default=True,
        description="Also train once on shuffled examples, people on all sides, as a warning.",
    )


def run_study(
    recipe: Recipe,
    everyone: Split,
    options: FoldOptions,
    prepare: Prepare,
    *,
    labels: tuple[str, ...],
    subsets: Mapping[str, npt.NDArray[np.str_]],
    out: Path,
    console: Console,
) -> dict[str, Any]:
    """Cross-validate, show tables, and return all figures.

    Args:
        recipe: what to train and how.
        everyone: all labelled data.
        options: how it is divided.
        prepare: is shown each fold's learning side, and nothing else.
        labels: the classes.
        subsets: name to groups that are scored on their own as well.
        out: folder of all folds' runs.
        console: where progress and tables are shown.

    Returns:
        Plain JSON values. ``people`` only where every group has one class.

    Raises:
        DatasetError: too few groups for the folds.
        TrainingError: ``out`` belongs to another recipe or other data.
    """
    targets = everyone.targets.numpy()
    folds = group_folds(
        everyone.groups,
        targets,
        folds=options.folds,
        repeats=options.repeats,
        choose_share=options.choose_share,
        seed=options.seed,
    )
    answers = cross_validate(recipe, everyone, folds, prepare, out, console)
    figures: dict[str, Any] = {
        "task": recipe.task,
        "recipe": recipe.name,
        "data": everyone.name,
        "examples": len(targets),
        "groups": len(np.unique(everyone.groups)),
        "options": options.model_dump(mode="json"),
        **_figures(answers, labels, options),
        "subsets": {
            name: _figures(_only(answers, np.isin(answers.groups, groups)), labels, options)
            for name, groups in subsets.items()
            if np.isin(answers.groups, groups).any()
        },
        "runs": _runs(everyone, folds, out),
    }
    _show(figures, console)
    if options.shuffled_too:
        fold = shuffled_rows(len(targets), seed=options.seed)
        leaky = cross_validate(recipe, everyone, (fold,), prepare, out, console)
        figures["shuffled_do_not_quote"] = window_figures(
            leaky, labels, resamples=options.resamples, seed=options.seed
        )
        figures["runs"] += _runs(everyone, (fold,), out)
        _warn(figures, console)
    return figures


def _figures(answers: Answers, labels: tuple[str, ...], options: FoldOptions) -> dict[str, Any]:
    draw = {"resamples": options.resamples, "seed": options.seed}
    figures = {"examples_scored": window_figures(answers, labels, **draw)}
    _, first, index = np.unique(answers.groups, return_index=True, return_inverse=True)
    if np.array_equal(answers.targets, answers.targets[first][index]):
        figures = {"people": person_figures(answers, labels, **draw), **figures}
    return figures


def _only(answers: Answers, mask: npt.NDArray[np.bool_]) -> Answers:
    return replace(
        answers,
        targets=answers.targets[mask],
        probabilities=answers.probabilities[mask],
        groups=answers.groups[mask],
        rows=answers.rows[mask],
        repeat=answers.repeat[mask],
    )


def _runs(everyone: Split, folds: tuple[Fold, ...], out: Path) -> list[dict[str, Any]]:
    return [
        {
            "fold": fold.name,
            "learn": len(fold.learn),
            "choose": len(fold.choose),
            "test": len(fold.test),
            "test_groups": np.unique(everyone.groups[fold.test]).tolist(),
            "passes": passes,
            "best_pass": best,
        }
        for fold, (_, passes, best) in zip(folds, passes_run(out, folds), strict=True)
    ]


_COLUMNS = {"people": "people", "examples_scored": "examples"}


def _show(figures: dict[str, Any], console: Console) -> None:
    title = f"{figures['recipe']}: people left out, {figures['data']}"
    shown = {heading: figures[key] for key, heading in _COLUMNS.items() if key in figures}
    for name, subset in figures["subsets"].items():
        shown |= {f"{h}, {name}": subset[key] for key, h in _COLUMNS.items() if key in subset}
    console.print(interval_table(f"{title}, 95 % intervals over people", shown))
    for key, heading in _COLUMNS.items():
        if key in figures:
            console.print(class_table(f"{heading}, rows are the truth", figures[key]))


def _warn(figures: dict[str, Any], console: Console) -> None:
    leaky, honest = figures["shuffled_do_not_quote"], figures["examples_scored"]
    console.print(class_table("same examples, SHUFFLED: people on all sides, do not quote", leaky))
    console.print(
        f"WARNING same examples, shuffled: accuracy {leaky['accuracy']:.2f}, balanced"
        f" {leaky['balanced_accuracy']:.2f}; do not quote. People left out: accuracy"
        f" {honest['accuracy']:.2f}, balanced {honest['balanced_accuracy']:.2f}",
        highlight=False,
        soft_wrap=True,
        style="bold yellow",
    )
