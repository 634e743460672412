"""A loss that is no number ends a run; the batch that gave it is kept to be looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from edge_app.errors import TrainingError

BATCH_FILE = "nan_batch.npz"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of training.

    Args:
        index: the pass, from 0.
        step: the step in the pass, from 0.
        learning_rate: of the step.
        rows: (n,) rows of the training split.
        inputs: what the model read, augmented, (n, ...) each.
        targets: (n, ...) what it was to answer.
        loss: scalar, of these examples.
    """

    index: int
    step: int
    learning_rate: float
    rows: Tensor
    inputs: tuple[Tensor, ...]
    targets: Tensor
    loss: Tensor

    def save(self, path: Path) -> None:
        """Write everything as NumPy arrays: ``input_0`` ..., ``targets``, ``rows``, numbers."""
        arrays = {f"input_{i}": tensor.numpy(force=True) for i, tensor in enumerate(self.inputs)}
        np.savez_compressed(
            path,
            allow_pickle=False,
            targets=self.targets.numpy(force=True),
            rows=self.rows.numpy(force=True),
            loss=np.float32(self.loss.item()),
            pass_number=np.int64(self.index + 1),
            step=np.int64(self.step + 1),
            learning_rate=np.float64(self.learning_rate),
            **arrays,
        )


def check_finite(mean_loss: float, at: Step, folder: Path) -> None:
    """Stop a run whose loss is no number.

    Args:
        mean_loss: over all devices.
        at: the step; its batch is saved by the device whose loss it was.
        folder: of the run.

    Raises:
        TrainingError: the loss is NaN or infinite.
    """
    if math.isfinite(mean_loss):
        return
    if not math.isfinite(at.loss.item()):
        at.save(folder / BATCH_FILE)
    raise TrainingError(
        f"the loss is {mean_loss}",
        source=f"pass {at.index + 1}, step {at.step + 1}, learning rate {at.learning_rate:.3g}",
        expected="a finite number",
        next_step=f"Look for NaN in the batch, kept in {folder / BATCH_FILE}; else lower "
        "fit.learning_rate or set fit.clip_norm. The last whole pass is kept: --resume continues "
        "from it",
    )
