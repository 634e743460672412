"""The small statistics that the simulated sensors are built from, derived from the real data.

Nothing of a single person is in them but a dozen rows of gait parameters of the GSTRIDE register
(CC BY 4.0, doi 10.5281/zenodo.8003441 and 10.1038/s41597-023-02428-0), without ids. ``write_all``
gives the same bytes each time.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from edge_app.simulation.gait_parameters import FRAILTY_LABELS, GaitParameters
from trainer.datasets.fer2013 import LABELS, check_counts, read_faces
from trainer.datasets.gstride import read_register
from trainer.datasets.simulated_gait import gait_parameters
from trainer.datasets.sleepedf_bandpower import STAGES, load_nights

Statistics = dict[str, npt.NDArray[Any]]
STAGE_OF_LETTER = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4}
"""R&K to AASM; movement time and unscored epochs have no stage."""
N_HYPNOGRAMS = 29
WAKE_EPOCHS = 60
"""Epochs kept before the first and after the last sleep epoch: half an hour, as is usual."""
N_VALUES = 6
"""Five band powers and the variance, the first columns of the band-power set."""
ROWS_PER_CLASS = 4
FILES = {"sleep": "sleep_statistics.npz", "face": "face_statistics.npz", "gait": "gait_rows.npz"}


def derive_sleep_statistics(data_dir: Path) -> Statistics:
    """Return stage transitions of the expert hypnograms and band powers by stage.

    Args:
        data_dir: the data folder.

    Returns:
        ``transitions`` (5, 5) probabilities, row to column; ``log_power_mean`` (5, 6) by stage, of
        the logarithms of five band powers (uV^2/Hz) and the variance (uV^2) of Fpz-Cz;
        ``log_power_covariance`` (5, 6, 6) by stage; ``sleeper_share``: part of that variance which
        is between nights, ``persistence``: correlation of an epoch with the next of its stage in
        what is left.

    Raises:
        DatasetError: files missing or damaged.
    """
    counts = np.zeros((len(STAGES), len(STAGES)), np.int64)
    for stages in _hypnograms(data_dir / "sleep" / "hypnograms"):
        known = (stages[:-1] >= 0) & (stages[1:] >= 0)
        np.add.at(counts, (stages[:-1][known], stages[1:][known]), 1)
    nights = load_nights(data_dir)
    powers = [np.log(night.features[:, :N_VALUES].astype(np.float64)) for night in nights]
    every, stage = np.concatenate(powers), np.concatenate([night.stages for night in nights])
    groups = [every[stage == s] for s in range(len(STAGES))]
    mean = np.stack([group.mean(axis=0) for group in groups])
    covariance = np.stack([np.cov(group, rowvar=False) for group in groups])
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    scores = [
        (power - mean[night.stages]) / spread[night.stages]
        for night, power in zip(nights, powers, strict=True)
    ]
    own = [score - score.mean(axis=0) for score in scores]
    within = np.concatenate(own).var()
    products = [
        (score[1:] * score[:-1])[night.stages[1:] == night.stages[:-1]]
        for night, score in zip(nights, own, strict=True)
    ]
    return {
        "transitions": counts / counts.sum(axis=1, keepdims=True),
        "log_power_mean": mean,
        "log_power_covariance": covariance,
        "sleeper_share": 1.0 - within / np.concatenate(scores).var(),
        "persistence": np.concatenate(products).mean() / within,
    }


def derive_face_statistics(data_dir: Path) -> Statistics:
    """Return the average face of each class: of hundreds to thousands of pictures, of no person.

    Args:
        data_dir: the data folder.

    Returns:
        ``faces`` (7, 48, 48) uint8, means over FER-2013's Training pictures; ``labels`` (7,) text.

    Raises:
        DatasetError: files missing or damaged, or another number of pictures.
    """
    train = read_faces(data_dir)["Training"]
    check_counts(train)
    means = [train.pixels[train.labels == i].mean(axis=0) for i in range(len(LABELS))]
    return {"faces": np.rint(np.stack(means)).astype(np.uint8), "labels": np.array(LABELS)}


def derive_gait_statistics(data_dir: Path) -> Statistics:
    """Return a dozen rows of gait parameters, four a class, spread over the class's speeds.

    Args:
        data_dir: the data folder.

    Returns:
        ``rows`` (12, 11) in the order of ``GaitParameters``; ``frailty`` (12,) text.

    Raises:
        DatasetError: file missing or damaged.
    """
    everyone = [gait_parameters(person) for person in read_register(data_dir)]
    chosen: list[GaitParameters] = []
    for label in FRAILTY_LABELS:
        members = sorted(
            (one for one in everyone if one.frailty == label),
            key=lambda one: one.stride_length_m / one.stride_time_s,
            reverse=True,
        )
        step = len(members) / ROWS_PER_CLASS
        chosen += [members[int((i + 0.5) * step)] for i in range(ROWS_PER_CLASS)]
    return {
        "rows": np.array([astuple(one)[:-1] for one in chosen], np.float64),
        "frailty": np.array([one.frailty for one in chosen]),
    }


def write_all(data_dir: Path, out_dir: Path) -> tuple[Path, ...]:
    """Derive everything and write it.

    Args:
        data_dir: the data folder.
        out_dir: where to; ``edge_app/simulation`` in the repository.

    Returns:
        The files written.

    Raises:
        DatasetError: data missing or damaged.
    """
    derived = {
        "sleep": derive_sleep_statistics(data_dir),
        "face": derive_face_statistics(data_dir),
        "gait": derive_gait_statistics(data_dir),
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for name, statistics in derived.items():
        arrays: dict[str, Any] = dict(statistics)
        np.savez_compressed(out_dir / FILES[name], **arrays)
        written.append(out_dir / FILES[name])
    return tuple(written)


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
    stages = np.array([STAGE_OF_LETTER.get(letter, -1) for letter in letters], np.int64)
    asleep = np.flatnonzero(stages > 0)
    return stages[max(0, asleep[0] - WAKE_EPOCHS) : asleep[-1] + WAKE_EPOCHS + 1]
