"""Leave each person out, by the common loop, and lay the answers out as nights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from trainer.cross_validate import run_folds
from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import Split
from trainer.fold_run import Material, load_answers
from trainer.folds import Fold, leave_one_group_out
from trainer.recipe import Recipe

LEAST = 1e-12
"""Probabilities are held above, so that logarithms are finite."""


def on_its_own(recipe: Recipe, **changes: Any) -> Recipe:
    """Return a recipe with other options and without its study: what a fold's run is named by."""
    experiment: Any = recipe.experiment
    plain = type(experiment.options)().study
    options = experiment.options.model_copy(update={"study": plain, **changes})
    return replace(recipe, experiment=type(experiment)(options))


def folds_of(everyone: Split, repeats: int) -> tuple[Fold, ...]:
    """Return one fold a person and repeat; the last pass is taken, nobody chooses."""
    return leave_one_group_out(everyone.groups, choose=0, repeats=repeats, seed=0)


def people_left_out(
    recipe: Recipe,
    data_dir: Path,
    everyone: Split,
    out: Path,
    console: Console,
    *,
    repeats: int,
    workers: int,
) -> tuple[npt.NDArray[np.float32], ...]:
    """Train without each person in turn, and answer for them.

    Args:
        recipe: of a ``SleepStreamExperiment``.
        data_dir: the data, as ``--data`` names it.
        everyone: the same nights, padded.
        out: folder of the folds' runs; finished ones are not run again.
        console: where progress is shown.
        repeats: how often, each from another seed.
        workers: folds at a time.

    Returns:
        A repeat each, (n_nights, longest, 1 + D, 5) log-probabilities, not calibrated.

    Raises:
        DatasetError: one person only.
        TrainingError: ``out`` belongs to another recipe or other data, or a process died.
    """
    alone = on_its_own(recipe)
    experiment: Any = alone.experiment
    material = Material(alone, everyone, experiment.prepare)
    folds = folds_of(everyone, repeats)
    again = partial(_again, alone, data_dir)
    run_folds(material, folds, out, console, workers=workers, again=again)
    return laid_out(everyone, folds, out)


def laid_out(
    everyone: Split, folds: Sequence[Fold], out: Path
) -> tuple[npt.NDArray[np.float32], ...]:
    """Return the stored answers of finished folds, a repeat each, see ``people_left_out``."""
    repeats = 1 + max(fold.repeat for fold in folds)
    shape = (repeats, *everyone.targets.shape, len(STAGES))
    said = np.full(shape, 1.0 / len(STAGES), np.float32)
    for fold in folds:
        said[fold.repeat][fold.test] = load_answers(fold, out)
    return tuple(np.log(np.maximum(said, LEAST)).astype(np.float32))


def _again(recipe: Recipe, data_dir: Path) -> Material:
    experiment: Any = recipe.experiment
    return Material(recipe, experiment.everyone(data_dir), experiment.prepare)
