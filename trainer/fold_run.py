"""One fold: train by the common loop, answer for the people left out, keep the answers."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from edge_app.errors import TrainingError
from trainer import provenance
from trainer.calibrate import fit_temperature
from trainer.experiment import Split
from trainer.fit import fit, predict_logits
from trainer.folds import Fold, select
from trainer.learning_curve import best_row
from trainer.recipe import Recipe
from trainer.run_dir import RunDir

ANSWERS = "answers.npz"
Prepare = Callable[[Split], Split]
"""Get a fold's learning side, remember what the model needs of it (such as the scaler's constants,
for the next ``build_model``), and return what is learnt from (such as rarer classes repeated)."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What every fold is made from.

    Args:
        recipe: what to train and how.
        everyone: all labelled data.
        prepare: is shown each fold's learning side, and nothing else; a method of the recipe's
            experiment, or a function that keeps nothing.
    """

    recipe: Recipe
    everyone: Split
    prepare: Prepare


def recipe_of(recipe: Recipe, fold: Fold) -> Recipe:
    """Return the recipe of one fold: each repeat starts from another seed."""
    return replace(recipe, seed=recipe.seed + fold.repeat)


def finished(fold: Fold, out: Path) -> bool:
    """Return whether a fold's answers are stored in the folder of all folds."""
    return (out / fold.name / ANSWERS).is_file()


def run_fold(material: Material, fold: Fold, out: Path, console: Console) -> str:
    """Train on a fold, from its last whole pass where it was cut, and store its answers.

    Args:
        material: what it is made from.
        fold: which rows are learnt from, choose, and are answered.
        out: folder of all folds' runs.
        console: where progress is shown.

    Returns:
        One line on how it went.

    Raises:
        TrainingError: the fold's folder is of another recipe, or cannot be written.
    """
    recipe, everyone = recipe_of(material.recipe, fold), material.everyone
    run = RunDir(out / fold.name)
    name = f"{everyone.name}, {fold.name}"
    learnt = material.prepare(select(everyone, fold.learn, f"{name}, learnt from"))
    choose = (
        select(everyone, fold.choose, f"{name}, chooses the pass") if len(fold.choose) else None
    )
    test = select(everyone, fold.test, f"{name}, left out")
    run.create(recipe.to_yaml(), provenance.collect(recipe.name), resume=True)
    rows = fit(recipe, learnt, choose, run, console)
    model = recipe.experiment.build_model()
    run.load_weights(model, run.load_best().weights, "best.pt")
    temperature = 1.0
    if choose is not None:
        temperature = fit_temperature(predict_logits(model, choose, recipe.fit), choose.targets)
    logits = predict_logits(model, test, recipe.fit)
    store_answers(fold, out, torch.softmax(logits / temperature, dim=-1).numpy())
    best = best_row(rows, recipe.fit.select_by).index + 1
    return f"{fold.name}: best pass {best} of {len(rows)}"


def load_answers(fold: Fold, out: Path) -> npt.NDArray[np.float32]:
    """Return what a finished fold answered.

    Args:
        fold: which one.
        out: folder of all folds' runs.

    Returns:
        Probabilities of its tested rows: their shape plus a class axis.

    Raises:
        TrainingError: the file is damaged, or for other rows.
    """
    file = out / fold.name / ANSWERS
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            rows, probabilities = archive["rows"], archive["probabilities"]
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise TrainingError(
            f"the answers of a fold cannot be read: {error}",
            source=str(file),
            next_step="Delete this file: the fold's answers are then made again",
        ) from error
    if not np.array_equal(rows, fold.test):
        raise TrainingError(
            "the answers of a fold are for other rows",
            source=str(file),
            next_step="Give --out a new folder: this one was made by another version",
        )
    return np.asarray(probabilities, np.float32)


def store_answers(fold: Fold, out: Path, probabilities: npt.NDArray[np.float32]) -> None:
    """Store what a fold answered, whole or not at all.

    Args:
        fold: which one.
        out: folder of all folds' runs.
        probabilities: of its tested rows: their shape plus a class axis.

    Raises:
        TrainingError: the folder cannot be written.
    """
    file = out / fold.name / ANSWERS
    beside = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            np.savez(stream, rows=fold.test, probabilities=probabilities)
        beside.replace(file)
    except OSError as error:
        raise TrainingError(
            f"cannot store the answers: {error}",
            source=str(file),
            next_step="Free space, then run the same command again: finished folds are kept",
        ) from error
