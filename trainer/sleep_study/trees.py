"""Boosted trees with past context: the baseline without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier

from edge_app.errors import TrainingError
from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import Split
from trainer.experiments.sleep_stream_nights import epochs_of_nights, labelled_rows
from trainer.features.causal_levels import N_LEVELS, OTHERS, CausalLevels
from trainer.features.welch import FEATURES
from trainer.fold_run import ANSWERS, finished
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
        tables = past_context(learn, levels)
        stages = [night[night != IGNORE] for night in learn.targets[:, :, 0].numpy()]
        model = HistGradientBoostingClassifier(
            max_iter=ITERATIONS,
            learning_rate=0.07,
            max_leaf_nodes=15,
            min_samples_leaf=40,
            l2_regularization=5.0,
            max_features=0.3,
            random_state=fold.repeat,
        )
        model.fit(np.concatenate(tables), np.concatenate(stages))
        _store(model, select(everyone, fold.test, "left out"), levels, fold, out)
        console.print(f"trees, {fold.name}: done", highlight=False)


def past_context(split: Split, levels: CausalLevels) -> list[Table]:
    """Return what the trees read of each night, from its first to its last epoch.

    Levels of the epoch and of the three before it, and their mean over 7.5 minutes; where the night
    has just begun, its first epoch stands for those before it.

    Args:
        split: padded nights.
        levels: standardised by the nights learnt from.

    Returns:
        A table (n_epochs, n_columns) a night.
    """
    with torch.no_grad():
        inputs = levels(split.inputs[0])[..., READ].numpy()
    tables = []
    for night, n in zip(inputs, epochs_of_nights(split.inputs[0]).tolist(), strict=True):
        now = night[:n]
        rows = np.arange(n)
        lagged = [now[np.maximum(rows - lag, 0)] for lag in range(LAGS + 1)]
        total = np.concatenate((np.zeros_like(now[:1]), now.cumsum(axis=0)))
        first = np.maximum(rows + 1 - TRAILING_EPOCHS, 0)
        trailing = (total[rows + 1] - total[first]) / (rows + 1 - first)[:, None]
        tables.append(np.concatenate((*lagged, trailing), axis=1).astype(np.float32))
    return tables


def _store(
    model: HistGradientBoostingClassifier, test: Split, levels: CausalLevels, fold: Fold, out: Path
) -> None:
    shape = (*test.targets.shape[:2], 1, len(STAGES))
    said = np.full(shape, 1.0 / len(STAGES), np.float32)
    for i, table in enumerate(past_context(test, levels)):
        said[i, : len(table), 0, model.classes_] = model.predict_proba(table).T
    file = out / fold.name / ANSWERS
    beside = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            np.savez(stream, rows=fold.test, probabilities=said)
        beside.replace(file)
    except OSError as error:
        raise TrainingError(
            f"cannot store the answers: {error}",
            source=str(file),
            next_step="Free space, then run the same command again: finished folds are kept",
        ) from error
