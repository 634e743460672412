"""Boosted trees with past context: the baseline without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier

from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import Split
from trainer.experiments.sleep_stream_nights import labelled_rows
from trainer.features.causal_levels import N_LEVELS, OTHERS, CausalLevels
from trainer.features.welch import FEATURES
from trainer.fold_run import finished, store_answers
from trainer.folds import Fold, select
from trainer.metrics import IGNORE

READ = [*range(2 * len(FEATURES)), *range(N_LEVELS - 2 - len(OTHERS), N_LEVELS)]
"""Columns of ``CausalLevels`` without the recording's means and ends: by those, trees learn who is
who among a few people."""
LAGS = 3
ITERATIONS = 150
TRAILING_EPOCHS = 15
"""7.5 minutes."""

Table = npt.NDArray[np.float32]


def trees_left_out(everyone: Split, folds: Sequence[Fold], out: Path, console: Console) -> None:
    """Fit trees on each fold and store what they answer, as ``fold_run`` does.

    Args:
        everyone: padded nights.
        folds: who is left out; finished ones are not fitted again.
        out: folder of the folds.
        console: told of each fold.

    Raises:
        TrainingError: the folder cannot be written.
    """
    for fold in folds:
        if finished(fold, out):
            continue
        learn = select(everyone, fold.learn, "learnt from")
        levels = CausalLevels()
        levels.standardise_by(labelled_rows(learn)[0])
        stages = learn.targets[:, :, 0].numpy()
        scored = stages != IGNORE
        model = HistGradientBoostingClassifier(
            max_iter=ITERATIONS,
            learning_rate=0.07,
            max_leaf_nodes=15,
            min_samples_leaf=40,
            l2_regularization=5.0,
            max_features=0.3,
            early_stopping=False,  # by itself it would take a tenth of the rows away from learning
            random_state=fold.repeat,
        )
        model.fit(past_context(learn, levels)[scored], stages[scored])
        test = select(everyone, fold.test, "left out")
        store_answers(fold, out, _answers(model, test, levels))
        console.print(f"trees, {fold.name}: done", highlight=False)


def past_context(split: Split, levels: CausalLevels) -> Table:
    """Return what the trees read.

    Levels of the epoch and of the three before it, and their mean over 7.5 minutes; where the night
    has just begun, its first epoch stands for those before it.

    Args:
        split: padded nights.
        levels: standardised by the nights learnt from.

    Returns:
        (n_nights, longest, n_columns).
    """
    with torch.no_grad():
        now = levels(split.inputs[0])[..., READ].numpy()
    rows = np.arange(now.shape[1])
    lagged = [now[:, np.maximum(rows - lag, 0)] for lag in range(LAGS + 1)]
    total = np.concatenate((np.zeros_like(now[:, :1]), now.cumsum(axis=1)), axis=1)
    first = np.maximum(rows + 1 - TRAILING_EPOCHS, 0)
    trailing = (total[:, rows + 1] - total[:, first]) / (rows + 1 - first)[:, None]
    return np.concatenate((*lagged, trailing), axis=2).astype(np.float32)


def _answers(
    model: HistGradientBoostingClassifier, test: Split, levels: CausalLevels
) -> npt.NDArray[np.float32]:
    said = np.zeros((*test.targets.shape[:2], 1, len(STAGES)), np.float32)
    for night, table in zip(said, past_context(test, levels), strict=True):
        night[:, 0, model.classes_] = model.predict_proba(table)
    return said
