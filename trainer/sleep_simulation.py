"""The statistics of a simulated night, from expert hypnograms and real band powers.

``edge_app.simulation.sleep_night`` tells what each is for. All are means over many epochs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from edge_app.simulation.sleep_night import N_VALUES, REACH_EPOCHS, recent_stages, surroundings
from trainer.datasets.feature_night import FeatureNight
from trainer.datasets.sleep_stages import STAGES
from trainer.datasets.sleepedf_bandpower import load_nights

Floats = npt.NDArray[np.float64]
STAGE_OF_LETTER = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4}
"""R&K to AASM; movement time and unscored epochs have no stage."""
N_HYPNOGRAMS = 29
PRIOR_COUNTS = 3.0
"""Of the matrix that regards less of the past, added to each row of the transitions."""
PRIOR_EPOCHS = 1.0
"""Ridge on the bends and the nights' offsets, in epochs: shrinks what few epochs tell."""
LAGS = tuple(range(1, 21))
"""Epochs, one to twenty: ten minutes, over which the slow part is fitted."""


def derive_sleep_statistics(data_dir: Path) -> dict[str, npt.NDArray[Any]]:
    """Return what ``SleepStatistics`` holds.

    Args:
        data_dir: the data folder.

    Returns:
        Its fields by name.

    Raises:
        DatasetError: files missing or damaged.
    """
    counts = transition_counts(data_dir)
    transitions = _rows(counts.sum(axis=(0, 1)))
    for seen in (counts.sum(axis=0), counts):
        transitions = _rows(seen + PRIOR_COUNTS * transitions)
    nights = load_nights(data_dir)
    level, bend, offsets, left = _expected_powers(nights)
    every, stages = np.concatenate(left), np.concatenate([night.stages for night in nights])
    covariance = np.stack(
        [np.cov(every[stages == s], rowvar=False, bias=True) for s in range(len(STAGES))]
    )
    slow_share, slow_persistence = _slow_part(nights, left, np.linalg.cholesky(covariance))
    return {
        "transitions": transitions,
        "level": level,
        "bend": bend,
        "night_covariance": np.cov(offsets, rowvar=False),
        "epoch_covariance": covariance,
        "slow_share": slow_share,
        "slow_persistence": np.array(slow_persistence),
    }


def transition_counts(data_dir: Path) -> npt.NDArray[np.int64]:
    """Count what follows in the hypnograms.

    Args:
        data_dir: the data folder.

    Returns:
        (5, 5, 5, 5) by recent stages (fast, slow), stage and next stage.

    Raises:
        DatasetError: hypnograms missing or damaged.
    """
    counts = np.zeros((len(STAGES),) * 4, np.int64)
    for stages in _hypnograms(data_dir / "sleep" / "hypnograms"):
        padded = np.concatenate([np.full(REACH_EPOCHS - 1, stages[0]), stages])
        recent = recent_stages(np.lib.stride_tricks.sliding_window_view(padded, REACH_EPOCHS))
        known = (stages[:-1] >= 0) & (stages[1:] >= 0)
        where = (*recent[:-1][known].T, stages[:-1][known], stages[1:][known])
        np.add.at(counts, where, 1)
    return counts


def _expected_powers(
    nights: tuple[FeatureNight, ...],
) -> tuple[Floats, Floats, Floats, list[Floats]]:
    """Fit stage, surroundings and night by ridge regression.

    Gives level (5, 6), bend (5, 20, 6), offsets (nights, 6), and each night's (n, 6) residual.
    """
    powers = [np.log(night.features[:, :N_VALUES].astype(np.float64)) for night in nights]
    designs = []
    for number, night in enumerate(nights):
        padded = np.pad(night.stages, REACH_EPOCHS, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH_EPOCHS + 1)
        member = np.eye(len(STAGES))[night.stages]
        shares = member[:, :, None] * surroundings(windows)[:, None]
        which = np.zeros((len(member), len(nights)))
        which[:, number] = 1.0
        designs.append(np.hstack([member, shares.reshape(len(member), -1), which]))
    design, target = np.concatenate(designs), np.concatenate(powers)
    penalty = np.full(design.shape[1], PRIOR_EPOCHS)
    penalty[: len(STAGES)] = 0.0
    weights = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ target)
    level, bend, offsets = np.split(weights, [len(STAGES), -len(nights)])
    left = [power - part @ weights for power, part in zip(powers, designs, strict=True)]
    return (
        level + offsets.mean(axis=0),
        bend.reshape(len(STAGES), -1, N_VALUES),
        offsets - offsets.mean(axis=0),
        left,
    )


def _slow_part(
    nights: tuple[FeatureNight, ...], left: list[Floats], factor: Floats
) -> tuple[Floats, float]:
    """Fit share * persistence^lag to the whitened residual's covariance with itself later.

    Both epochs of a pair are of one stage. The share is the stage's own, the persistence is one.
    Gives shares (5, 6, 6), symmetric, eigenvalues within 0.001 and 0.999, and the persistence.
    """
    sums = np.zeros((len(STAGES), len(LAGS), N_VALUES, N_VALUES))
    pairs = np.zeros((len(STAGES), len(LAGS), 1, 1))
    for night, rest in zip(nights, left, strict=True):
        score = np.linalg.solve(factor[night.stages], rest[:, :, None])[:, :, 0]
        for number, lag in enumerate(LAGS):
            for stage in range(len(STAGES)):
                same = (night.stages[lag:] == stage) & (night.stages[:-lag] == stage)
                sums[stage, number] += score[lag:][same].T @ score[:-lag][same]
                pairs[stage, number] += same.sum()
    traces = np.trace(sums.sum(axis=0) / pairs.sum(axis=0), axis1=1, axis2=2)
    persistence = float(np.exp(np.polyfit(LAGS, np.log(traces), 1)[0]))
    falls = persistence ** np.array(LAGS)[:, None, None]
    share = (sums * falls).sum(axis=1) / (pairs * falls**2).sum(axis=1)  # least squares, by pairs
    values, vectors = np.linalg.eigh((share + share.transpose(0, 2, 1)) / 2.0)
    clipped = np.clip(values, 0.001, 0.999)[:, None, :]
    return (vectors * clipped) @ vectors.transpose(0, 2, 1), persistence


def _rows(counts: npt.NDArray[Any]) -> Floats:
    """Return probabilities along the last axis."""
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True), np.float64)


def _hypnograms(folder: Path) -> list[npt.NDArray[np.int64]]:
    """Return every night's stages, trimmed, -1 where there is none."""
    paths = sorted(folder.glob("SC4*.json"))
    if len(paths) != N_HYPNOGRAMS:
        raise DatasetError(
            "not the expected hypnograms",
            source=str(folder),
            expected=f"{N_HYPNOGRAMS} files SC4*.json",
            got=len(paths),
            next_step="Name the data folder that holds sleep/hypnograms",
        )
    return [_trimmed(_letters(path)) for path in paths]


def _letters(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"the hypnogram cannot be read: {error!r}",
            source=str(path),
            next_step="Get the file again and compare its checksum",
        ) from error


def _trimmed(letters: str) -> npt.NDArray[np.int64]:
    """Return from the last epoch before sleep to the last of sleep.

    Where the waking around a night is cut is arbitrary, so it says not how long waking lasts.
    """
    stages = np.array([STAGE_OF_LETTER.get(letter, -1) for letter in letters], np.int64)
    asleep = np.flatnonzero(stages > 0)
    return stages[max(0, asleep[0] - 1) : asleep[-1] + 1]
