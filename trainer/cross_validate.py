"""Fold by fold: train by the common loop, answer for the people left out, keep the answers.

    data.sha256        what the folds were made from
    fold_1/ ...        a run each (``run_dir``), and answers.npz once the fold is done
    shuffled/          the same for a division that leaks on purpose, where one is asked for

A fold with answers is not run again; one that was cut goes on after its last whole pass. Everything
fitted is fitted on the fold's own learning side: ``Prepare`` gets nothing else.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from trainer.metrics import IGNORE
from trainer.recipe import Recipe
from trainer.run_dir import RunDir
from trainer.splits import refuse_leak

Prepare = Callable[[Split], Split]
"""Get a fold's learning side, remember what the model needs of it (such as the scaler's constants,
for the next ``build_model``), and return what is learnt from (such as rarer classes repeated)."""
ANSWERS = "answers.npz"
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
    for fold in folds:
        refuse_leaking_fold(everyone, fold)
    _refuse_other_data(everyone, out)
    parts = []
    for number, fold in enumerate(folds, 1):
        file = out / fold.name / ANSWERS
        run = RunDir(out / fold.name)
        run.refuse_other_run(recipe.to_yaml(), resume=True)
        if not file.is_file():
            console.print(
                f"{fold.name} ({number} of {len(folds)}): {len(fold.learn)} examples to learn from,"
                f" {len(fold.test)} to answer",
                highlight=False,
            )
            probabilities = _run(recipe, everyone, fold, prepare, run, console)
            _save(file, fold, probabilities)
        parts.append(_answers(everyone, fold, _load(file, fold)))
    return _pooled(parts)


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


def _run(
    recipe: Recipe, everyone: Split, fold: Fold, prepare: Prepare, run: RunDir, console: Console
) -> npt.NDArray[np.float32]:
    learnt = prepare(select(everyone, fold.learn, f"{everyone.name}, {fold.name}, learnt from"))
    choose = select(everyone, fold.choose, f"{everyone.name}, {fold.name}, chooses the pass")
    test = select(everyone, fold.test, f"{everyone.name}, {fold.name}, left out")
    run.create(recipe.to_yaml(), provenance.collect(recipe.name), resume=True)
    rows = fit(recipe, learnt, choose, run, console)
    model = recipe.experiment.build_model()
    run.load_weights(model, run.load_best().weights, "best.pt")
    temperature = fit_temperature(predict_logits(model, choose, recipe.fit), choose.targets)
    logits = predict_logits(model, test, recipe.fit)
    console.print(
        f"{fold.name}: best pass {best_row(rows, recipe.fit.select_by).index + 1} of {len(rows)}",
        highlight=False,
    )
    return torch.softmax(logits / temperature, dim=-1).numpy()


def _refuse_other_data(everyone: Split, out: Path) -> None:
    digest = hashlib.sha256("\n".join(everyone.groups.tolist()).encode())
    for tensor in (everyone.targets, *everyone.inputs):
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


def _save(file: Path, fold: Fold, probabilities: npt.NDArray[np.float32]) -> None:
    beside = file.with_name(f".{file.name}.part")
    try:
        with beside.open("wb") as stream:
            np.savez(stream, rows=fold.test, probabilities=probabilities)
        beside.replace(file)
    except OSError as error:
        raise TrainingError(
            f"cannot store the answers: {error}",
            source=str(file),
            next_step="Free space, then run the same command again: finished folds are kept",
        ) from error


def _load(file: Path, fold: Fold) -> npt.NDArray[np.float32]:
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
