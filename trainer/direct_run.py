"""What a run folder holds of a model fitted without passes.

direct.pt      weights, and the folds' logits that the temperature is fitted on
figures.json   what the folds measured on people they had not seen
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_app.errors import TrainingError
from trainer.experiment import DirectFit

WEIGHTS = "direct.pt"
FIGURES = "figures.json"


@dataclass(frozen=True, slots=True)
class StoredFit:
    """A ``DirectFit`` as read back; its weights belong into ``build_model()``."""

    weights: dict[str, Tensor]
    logits: Tensor
    targets: Tensor
    calibrated_on: str
    figures: dict[str, Any]


def write_direct(folder: Path, fitted: DirectFit) -> None:
    """Store a model fitted in one go; the weights come last, so a run with weights is whole.

    Args:
        folder: the run's.
        fitted: what to store.

    Raises:
        TrainingError: the folder cannot be written.
    """
    state = {
        "weights": fitted.model.state_dict(),
        "logits": fitted.logits,
        "targets": fitted.targets,
        "calibrated_on": fitted.calibrated_on,
    }
    try:
        text = json.dumps(fitted.figures, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / FIGURES).write_text(text + "\n", encoding="utf-8")
        beside = folder / f".{WEIGHTS}.part"
        torch.save(state, beside)
        beside.replace(folder / WEIGHTS)
    except OSError as error:
        raise TrainingError(
            f"cannot store the model: {error}",
            source=str(folder),
            next_step="Free space or make it writable, then fit again",
        ) from error


def read_direct(folder: Path) -> StoredFit:
    """Read what ``write_direct`` stored.

    Args:
        folder: the run's.

    Returns:
        Weights, logits and figures.

    Raises:
        TrainingError: not there, or damaged.
    """
    try:
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        figures = json.loads((folder / FIGURES).read_bytes())
    except FileNotFoundError as error:
        raise TrainingError(
            "no fitted model here",
            source=str(folder),
            next_step="Run `trainer fit` with another --out",
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        raise TrainingError(
            "the run cannot be read",
            source=str(folder),
            next_step="It is damaged or not ours: fit again with another --out",
        ) from error
    return StoredFit(figures=figures, **state)
