"""Distillation: what finished runs say about a picture joins its label as the target.

Hinton, Vinyals and Dean 2015, arXiv 1503.02531; teachers see the very picture that the student
sees (Beyer et al. 2022, arXiv 2106.05237). FER-2013's labels are noisy, so a second opinion on each
picture is worth having. The student alone is exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edge_app.errors import TrainingError

if TYPE_CHECKING:
    from trainer.run_dir import RunDir


class Teachers:
    """Finished runs of the same task and labels, their answers averaged.

    Args:
        runs: folders made by ``trainer fit``.
        n_labels: classes that each must answer with.

    Raises:
        TrainingError: not a finished run, or one with other classes.
    """

    def __init__(self, runs: tuple[Path, ...], n_labels: int) -> None:
        self._models = [_load(run, n_labels) for run in runs]

    @torch.no_grad()
    def shares(self, pictures: Tensor) -> Tensor:
        """Return what the teachers take each picture for.

        Args:
            pictures: a training batch as the student gets it.

        Returns:
            (n, n_labels) float32 probabilities.
        """
        total: Tensor | float = 0.0
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        for model in self._models:
            model.to(pictures.device)
            with torch.autocast(pictures.device.type, torch.bfloat16):
                logits = model.answer(pictures)  # type: ignore[operator]
            total = total + torch.softmax(logits.float(), dim=-1)
        return torch.as_tensor(total) / len(self._models)


def _load(path: Path, n_labels: int) -> nn.Module:
    from trainer.recipe import load_recipe  # it knows the experiments, which know this file

    run = finished_run(path)
    best = run.load_best()
    model = load_recipe(path / "recipe.yaml").experiment.build_model()
    run.load_weights(model, best.weights, "best.pt")
    last = next(reversed(best.weights.values()))
    if not hasattr(model, "answer") or len(last) != n_labels:
        raise TrainingError(
            "this run cannot teach",
            source=str(path),
            expected=f"a face_vgg with {n_labels} classes",
            got=f"{type(model).__name__} with {len(last)} classes",
            next_step="Train the teacher by emotion_teacher on the same data",
        )
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def finished_run(path: Path) -> RunDir:
    """Return a run that another one learns from.

    Args:
        path: its folder.

    Returns:
        The run.

    Raises:
        TrainingError: there is none.
    """
    from trainer.run_dir import RunDir

    if not (path / "recipe.yaml").is_file():
        raise TrainingError(
            "no such run to learn from",
            source=str(path),
            expected="the folder of a finished `trainer fit`",
            next_step="Train it first: `trainer fit emotion_teacher`; or set"
            " experiment.teachers=[] and experiment.narrowed_from=null",
        )
    return RunDir(path)


def origin(path: Path) -> str:
    """Return in a sentence where a run that others learn from comes from.

    Args:
        path: its folder.

    Returns:
        Its name, best accuracy, command and commit.

    Raises:
        TrainingError: there is no such run.
    """
    run = finished_run(path)
    best, by = run.load_best().row, run.provenance()
    return f"{path.name} (pass {best.index + 1}, {best.accuracy:.4f}; {by.command}; {by.commit})."
