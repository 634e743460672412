"""The small statistics that the simulated sensors are built from, derived from the real data.

Nothing of a single person is in them but a dozen rows of gait parameters of the GSTRIDE register
(CC BY 4.0, doi 10.5281/zenodo.8003441 and 10.1038/s41597-023-02428-0), without ids. ``write_all``
gives the same bytes each time.
"""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.simulation.gait_parameters import FRAILTY_LABELS, GaitParameters
from trainer.datasets.fer2013 import LABELS, check_counts, read_faces
from trainer.datasets.gstride import read_register
from trainer.datasets.simulated_gait import gait_parameters
from trainer.sleep_simulation import derive_sleep_statistics

Statistics = dict[str, npt.NDArray[Any]]
ROWS_PER_CLASS = 4
FILES = {"sleep": "sleep_statistics.npz", "face": "face_statistics.npz", "gait": "gait_rows.npz"}


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
