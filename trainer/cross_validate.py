"""Fold by fold: train by the common loop, answer for the people left out, keep the answers.

    data.sha256        what the folds were made from
    fold_1/ ...        a run each (``run_dir``), and answers.npz once the fold is done
    shuffled/          the same for a division that leaks on purpose, where one is asked for

A fold with answers is not run again; one that was cut goes on after its last whole pass. Everything
fitted is fitted on the fold's own learning side: ``Prepare`` gets nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from torch import Tensor

from edge_app.errors import TrainingError
from trainer.experiment import Split
from trainer.fit import EVALUATION_BATCH
from trainer.fold_run import Material, Prepare, finished, load_answers, recipe_of, run_fold
from trainer.fold_workers import Again, run_in_processes
from trainer.folds import Fold
from trainer.metrics import IGNORE
from trainer.recipe import Recipe
from trainer.run_dir import RunDir
from trainer.splits import refuse_leak

DATA = "data.sha256"


@dataclass(frozen=True, slots=True)
class Answers:
    """Probabilities for rows that nothing was learnt from, labelled rows only.

    Args:
        targets: (n,) classes; steps of sequences follow one another.
        probabilities: (n, n_labels).
        groups: (n,) the person.
        rows: (n,) row of the whole split.
        repeat: (n,) the division into folds.
    """

    targets: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    groups: npt.NDArray[np.str_]
    rows: npt.NDArray[np.int64]
    repeat: npt.NDArray[np.int64]


def cross_validate(
    recipe: Recipe,
    everyone: Split,
    folds: Sequence[Fold],
    prepare: Prepare,
    out: Path,
    console: Console,
) -> Answers:
    """Train and answer on every fold.

    Args:
        recipe: what to train and how.
        everyone: all labelled data.
        folds: how it is divided; see ``folds.group_folds``.
        prepare: is shown each fold's learning side, and nothing else.
        out: folder of all folds' runs.
        console: where progress is shown.

    Returns:
        The answers for the tested rows of all folds, one after another.

    Raises:
        DatasetError: a group on two sides of a fold that is not meant to leak.
        TrainingError: a folder of another recipe or other data, or one that cannot be written.
    """
    run_folds(Material(recipe, everyone, prepare), folds, out, console)
    return _pooled([_answers(everyone, fold, load_answers(fold, out)) for fold in folds])


def run_folds(
    material: Material,
    folds: Sequence[Fold],
    out: Path,
    console: Console,
    *,
    workers: int = 1,
    again: Again | None = None,
) -> None:
    """Run the folds that are not done yet; each leaves its answers in its folder.

    Args:
        material: what they are made from.
        folds: how it is divided.
        out: folder of all folds' runs.
        console: where progress is shown.
        workers: folds at a time; above 1 each in a process of its own.
        again: makes ``material`` in another process; needed for several workers.

    Raises:
        DatasetError: a group on two sides of a fold that is not meant to leak.
        TrainingError: a folder of another recipe or other data, or one that cannot be written; or
            a process died.
    """
    everyone, recipe = material.everyone, material.recipe
    for fold in folds:
        refuse_leaking_fold(everyone, fold)
    _refuse_other_data(everyone, out)
    for fold in folds:
        own = recipe_of(recipe, fold)
        RunDir(out / fold.name).refuse_other_run(own.to_yaml(), resume=True)
    waiting = [fold for fold in folds if not finished(fold, out)]
    if workers > 1 and again is not None and len(waiting) > 1:
        console.print(f"{len(waiting)} folds, {workers} at a time", highlight=False)
        run_in_processes(again, waiting, out, console, workers=workers)
        return
    for number, fold in enumerate(waiting, len(folds) - len(waiting) + 1):
        console.print(
            f"{fold.name} ({number} of {len(folds)}): {len(fold.learn)} examples to learn from,"
            f" {len(fold.test)} to answer",
            highlight=False,
        )
        console.print(run_fold(material, fold, out, console), highlight=False)


def refuse_leaking_fold(everyone: Split, fold: Fold) -> None:
    """Compare the groups of all three sides of a fold, unless it leaks on purpose.

    Args:
        everyone: all labelled data.
        fold: its division.

    Raises:
        DatasetError: a group stands on two sides.
    """
    if fold.leaks:
        return
    sides = {"learn": fold.learn, "choose": fold.choose, "test": fold.test}
    splits = [
        Split((), everyone.targets[:0], everyone.groups[rows], f"{fold.name}, {side}")
        for side, rows in sides.items()
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        refuse_leak(splits[one], splits[other])


def passes_run(out: Path, folds: Sequence[Fold]) -> Iterator[tuple[str, int, int]]:
    """Yield name, passes run and number of the best pass of each finished fold.

    Args:
        out: folder of all folds' runs.
        folds: which of them.

    Yields:
        Name, passes, best pass (from 1).
    """
    for fold in folds:
        run = RunDir(out / fold.name)
        passes = len((run.path / "log.csv").read_text(encoding="utf-8").splitlines()) - 1
        yield fold.name, passes, run.load_best().row.index + 1


def _refuse_other_data(everyone: Split, out: Path) -> None:
    digest = hashlib.sha256("\n".join(everyone.groups.tolist()).encode())
    for tensor in (everyone.targets, *_contents(everyone)):
        digest.update(np.ascontiguousarray(tensor.numpy()).data)
    file = out / DATA
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            file.write_text(digest.hexdigest(), encoding="ascii")
        known = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise TrainingError(
            f"cannot write the folds: {error}",
            source=str(out),
            next_step="Give --out a folder that can be written",
        ) from error
    if known != digest.hexdigest():
        raise TrainingError(
            "the folds here were made from other data",
            source=str(file),
            next_step="Give --out a new folder, or the data that this one was made from",
        )


def _contents(everyone: Split) -> Iterator[Tensor]:
    """Yield all inputs; where they are only gathered, what the model would read of them."""
    if everyone.gather is None:
        yield from everyone.inputs
        return
    for start in range(0, len(everyone.targets), EVALUATION_BATCH):
        yield from everyone.batch(slice(start, start + EVALUATION_BATCH))


def _answers(everyone: Split, fold: Fold, probabilities: npt.NDArray[np.float32]) -> Answers:
    targets = everyone.targets[fold.test].numpy()
    steps = targets.size // max(1, len(fold.test))
    labelled = targets.reshape(-1) != IGNORE
    rows = np.repeat(fold.test, steps)[labelled]
    return Answers(
        targets=targets.reshape(-1)[labelled],
        probabilities=probabilities.reshape(-1, probabilities.shape[-1])[labelled].astype(float),
        groups=everyone.groups[rows],
        rows=rows,
        repeat=np.full(len(rows), fold.repeat),
    )


def _pooled(parts: Sequence[Answers]) -> Answers:
    return Answers(
        targets=np.concatenate([part.targets for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        repeat=np.concatenate([part.repeat for part in parts]),
    )
