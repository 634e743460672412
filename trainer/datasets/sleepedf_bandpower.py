"""Band powers of whole nights: the archive ``sleep/sleepedf_bandpower.npz``.

Per night ``SC4ssnE0_x`` (n, 14): the seven values of ``trainer.features.welch.FEATURES`` of Fpz-Cz,
then of Pz-Oz; ``SC4ssnE0_y`` (n,): stage 0 to 4 = W N1 N2 N3 R. Rows are consecutive 30-s epochs.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.features.welch import FEATURES

FILE = Path("sleep") / "sleepedf_bandpower.npz"
STAGES = ("W", "N1", "N2", "N3", "R")
SUBJECTS = ("00", "01", "02", "04", "05", "06", "08", "09")
"""The eight people of the published archive."""
_NIGHT_KEY = re.compile(r"^(SC4(\d\d)\dE0)_x$")


@dataclass(frozen=True, slots=True)
class Night:
    """One night, one EEG channel.

    Args:
        name: ``SC4ssnE0``.
        subject: ``ss``, the person.
        features: (n, 7) float32, uV^2/Hz and uV^2.
        stages: (n,) int64, index into ``STAGES``.
    """

    name: str
    subject: str
    features: npt.NDArray[np.float32]
    stages: npt.NDArray[np.int64]


def load_nights(path: Path) -> tuple[Night, ...]:
    """Read every night's Fpz-Cz values.

    Args:
        path: the archive, or the data folder that holds ``sleep/sleepedf_bandpower.npz``.

    Returns:
        The nights by name.

    Raises:
        DatasetError: no such file, no archive of this layout, or values that cannot be powers.
    """
    path = path / FILE if path.is_dir() else path
    try:
        with np.load(path) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    found = sorted(match.groups() for match in map(_NIGHT_KEY.match, arrays) if match)
    if not found:
        raise _refusal(path, "holds no night", "keys SC4ssnE0_x and _y", sorted(arrays)[:4])
    return tuple(_night(path, arrays, name, subject) for name, subject in found)


def _night(path: Path, arrays: dict[str, np.ndarray], name: str, subject: str) -> Night:
    x, y = arrays[f"{name}_x"], arrays.get(f"{name}_y")
    if y is None or y.ndim != 1 or x.shape != (len(y), 2 * len(FEATURES)):
        got = f"x {x.shape}, y {None if y is None else y.shape}"
        raise _refusal(path, f"{name} has another shape", "x (n, 14) and y (n,)", got)
    features = x[:, : len(FEATURES)].astype(np.float32)
    if not (np.isfinite(features).all() and (features >= 0).all()):
        raise _refusal(path, f"{name} holds powers that are negative or not finite")
    if not np.isin(y, np.arange(len(STAGES))).all():
        raise _refusal(path, f"{name} holds unknown stages", "0 to 4", np.unique(y).tolist())
    return Night(name, subject, features, y.astype(np.int64))


def _refusal(path: Path, problem: str, expected: object = None, got: object = None) -> DatasetError:
    return DatasetError(
        problem,
        source=str(path),
        expected=expected,
        got=got,
        next_step="Name sleepedf_bandpower.npz or the data folder that holds sleep/ with it",
    )
