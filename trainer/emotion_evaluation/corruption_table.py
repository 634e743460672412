"""What is left of the figures when the same pictures are spoilt; robustness, not fairness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trainer import metrics
from trainer.emotion_evaluation.corruptions import CORRUPTIONS
from trainer.experiment import Split


def corruption_table(
    score: Callable[[Split, str], npt.NDArray[np.float32]],
    split: Split,
    clean: npt.NDArray[np.float32],
) -> dict[str, dict[str, Any]]:
    """Return what is left of the figures when the same pictures are spoilt.

    Args:
        score: probabilities of a split; the text says what is being done.
        split: pictures in ``inputs[0]``, (n, 1, size, size) uint8.
        clean: probabilities of the pictures as they are.

    Returns:
        Corruption to accuracy, macro_f1, ece, ``lost`` (accuracy, of the clean) and ``unchanged``
        (share of pictures answered as before).
    """
    targets = split.targets.numpy()
    before = metrics.score(targets, clean).accuracy
    pixels = split.inputs[0].numpy()[:, 0]
    rows = {}
    for name, spoil in CORRUPTIONS.items():
        spoilt = replace(split, inputs=(torch.from_numpy(spoil(pixels)[:, None]),))
        said = score(spoilt, name)
        scores = metrics.score(targets, said)
        rows[name] = {
            "accuracy": scores.accuracy,
            "macro_f1": scores.macro_f1,
            "ece": scores.ece,
            "lost": before - scores.accuracy,
            "unchanged": float((said.argmax(axis=1) == clean.argmax(axis=1)).mean()),
        }
    return rows
