"""Windows of epochs: for training, and one at each epoch's end as the bedside sees a night."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from trainer.datasets.sleepedf_bandpower import Night
from trainer.experiment import Split
from trainer.metrics import IGNORE

LENGTH = 20
"""Epochs that the sequence model sees: ten minutes."""
LOOKAHEAD = 2
"""Later epochs after which an answer is final."""


def training_split(nights: Sequence[Night], name: str) -> Split:
    """Return every run of ``LENGTH`` epochs within a night, all of them labelled."""
    features, targets, groups = [], [], []
    for night in nights:
        rows = np.arange(len(night.stages) - LENGTH + 1)[:, None] + np.arange(LENGTH)
        features.append(night.features[rows])
        targets.append(night.stages[rows])
        groups += [night.subject] * len(rows)
    whole = torch.from_numpy(np.concatenate(features))
    return Split(
        inputs=(whole, torch.ones(whole.shape[:2])),
        targets=torch.from_numpy(np.concatenate(targets)),
        groups=np.array(groups, dtype=np.str_),
        name=name,
    )


def streamed_split(nights: Sequence[Night], name: str) -> Split:
    """Return the window at each epoch's end, as the bedside sees it, left-padded at first.

    Each epoch is labelled once, where its answer becomes final: ``LOOKAHEAD`` positions before the
    end, and the night's last epochs in the last window.
    """
    features, masks, targets, groups = [], [], [], []
    for night in nights:
        n = len(night.stages)
        rows = np.arange(n)[:, None] + np.arange(1 - LENGTH, 1)
        there = rows >= 0
        features.append(night.features[np.maximum(rows, 0)] * there[:, :, None])
        masks.append(there)
        final = np.zeros((n, LENGTH), dtype=bool)
        final[:, LENGTH - 1 - LOOKAHEAD] = True
        final[-1, LENGTH - 1 - LOOKAHEAD :] = True
        targets.append(np.where(final & there, night.stages[np.maximum(rows, 0)], IGNORE))
        groups += [night.subject] * n
    return Split(
        inputs=(
            torch.from_numpy(np.concatenate(features).astype(np.float32)),
            torch.from_numpy(np.concatenate(masks).astype(np.float32)),
        ),
        targets=torch.from_numpy(np.concatenate(targets)),
        groups=np.array(groups, dtype=np.str_),
        name=name,
    )


def combine_decisions(
    decisions: npt.NDArray[np.float32], starts: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return the geometric mean of the decisions that each epoch has received by each moment.

    Args:
        decisions: (n, length, n_stages) probabilities, one window a row, ended by the next epoch.
        starts: (n,) True at the first moment of a night.

    Returns:
        The same shape; positions older than ``LOOKAHEAD`` keep their single decision.
    """
    n, length, _ = decisions.shape
    since_start = np.arange(n) - np.maximum.accumulate(np.where(starts, np.arange(n), 0))
    logs = np.log(np.maximum(decisions.astype(np.float64), 1e-9))
    combined = logs.copy()
    for age in range(1, LOOKAHEAD + 1):
        position = length - 1 - age
        for earlier in range(1, age + 1):
            rows = np.flatnonzero(since_start >= earlier)
            combined[rows, position] += logs[rows - earlier, position + earlier]
        received = 1 + np.minimum(since_start, age)
        combined[:, position] /= received[:, None]
    means: npt.NDArray[np.float64] = np.exp(combined)
    return np.asarray(means / means.sum(axis=2, keepdims=True), dtype=np.float32)
