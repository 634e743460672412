"""Distillation: what finished runs say about a picture joins its label as the target.

Hinton, Vinyals and Dean 2015, arXiv 1503.02531; teachers see the very picture that the student
sees (Beyer et al. 2022, arXiv 2106.05237), every second one mirrored: what a mirrored face says is
as true, and a student that is taught both comes near the mean of the two at the price of one.
FER-2013's labels are noisy, so a second opinion on each picture is worth having. The student alone
is exported; it may be taught by a finished network of its own shape (Furlanello et al. 2018, arXiv
1805.04770).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edge_app.errors import TrainingError
from trainer.datasets.face_labels import same_classes

if TYPE_CHECKING:
    from trainer.run_dir import PassWeights, RunDir


class Teachers:
    """Finished runs of the same task and labels, their answers averaged.

    Args:
        runs: folders made by ``trainer fit``.
        labels: classes that each must answer with, in this order.

    Raises:
        TrainingError: not a finished run, or one with other classes.
    """

    def __init__(self, runs: tuple[Path, ...], labels: tuple[str, ...]) -> None:
        with torch.random.fork_rng(devices=()):  # a fresh network draws weights: nobody notices
            self._models = [_load(run, labels) for run in runs]

    @torch.no_grad()
    def shares(self, pictures: Tensor) -> Tensor:
        """Return what the teachers take each picture for.

        Args:
            pictures: a training batch as the student gets it.

        Returns:
            (n, n_labels) float32 probabilities.
        """
        total: Tensor | float = 0.0
        pictures = pictures.clone()
        pictures[1::2] = pictures[1::2].flip(-1)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        for model in self._models:
            model.to(pictures.device)
            with torch.autocast(pictures.device.type, torch.bfloat16):
                logits = model.answer(pictures)  # type: ignore[operator]
            total = total + torch.softmax(logits.float(), dim=-1)
        return torch.as_tensor(total) / len(self._models)


def _load(path: Path, labels: tuple[str, ...]) -> nn.Module:
    from trainer.recipe import load_recipe  # it knows the experiments, which know this file

    run = finished_run(path, labels)
    model = load_recipe(path / "recipe.yaml").experiment.build_model()
    run.load_weights(model, run.load_best().weights, "best.pt")
    if not hasattr(model, "answer"):
        raise TrainingError(
            "this run cannot teach",
            source=str(path),
            expected="a face_vgg",
            got=type(model).__name__,
            next_step="Train the teacher by emotion_teacher on the same data",
        )
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def finished_run(path: Path, labels: tuple[str, ...]) -> RunDir:
    """Return a run that another one learns from.

    Args:
        path: its folder.
        labels: classes that it must answer with, in this order.

    Returns:
        The run.

    Raises:
        TrainingError: there is none, or one with other classes or in another order.
    """
    from trainer.recipe import load_recipe
    from trainer.run_dir import RunDir

    if not (path / "recipe.yaml").is_file():
        raise TrainingError(
            "no such run to learn from",
            source=str(path.resolve()),
            expected="the folder of a finished `trainer fit`",
            next_step=f"Train it first: `trainer fit emotion_teacher --data DIR --out {path}`; or"
            " set experiment.teachers=[] and experiment.narrowed_from=[]. A relative folder is"
            " looked for where the command is run",
        )
    theirs = getattr(load_recipe(path / "recipe.yaml").experiment.options, "classes", ())
    if not same_classes(theirs, labels):
        raise TrainingError(
            "a run to learn from answers with other classes, or in another order",
            source=str(path.resolve()),
            expected=", ".join(labels),
            got=", ".join(theirs) or None,
            next_step="Train it with the same experiment.classes",
        )
    return RunDir(path)


def chosen_pass(path: Path, labels: tuple[str, ...]) -> PassWeights:
    """Return the pass that a recipe names to begin with.

    Args:
        path: a run's folder: its best pass; or the ``last.pt`` in it: its last pass.
        labels: as for ``finished_run``.

    Returns:
        The pass and its weights.

    Raises:
        TrainingError: there is no such run, or it is not fit to learn from.
    """
    from trainer.run_dir import LAST

    if path.name == LAST:
        return finished_run(path.parent, labels).load_newest()
    return finished_run(path, labels).load_best()


def origin(path: Path, labels: tuple[str, ...]) -> str:
    """Return in a sentence where a run that others learn from comes from.

    Args:
        path: as for ``chosen_pass``.
        labels: as for ``finished_run``.

    Returns:
        Its name, the pass and its accuracy, command, commit and its own teachers.

    Raises:
        TrainingError: there is no such run, or it is not fit to learn from.
    """
    from trainer.recipe import load_recipe
    from trainer.run_dir import LAST

    folder = path.parent if path.name == LAST else path
    row, by = chosen_pass(path, labels).row, finished_run(folder, labels).provenance()
    before = getattr(load_recipe(folder / "recipe.yaml").experiment.options, "teachers", ())
    taught = f"; itself taught by {', '.join(its.name for its in before)}" if before else ""
    said = f"pass {row.index + 1}, {row.accuracy:.4f}; {by.command}; {by.commit}{taught}"
    return f"{folder.name} ({said})."
