"""Reading an ``.npz`` of nights: ``SC4ssnXX_x`` (n, columns) and ``SC4ssnXX_y`` (n,) each."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.sleep_stages import STAGES, UNSCORED

_NIGHT_KEY = re.compile(r"^(SC4(\d\d)\d[A-Z]\d)_x$")
ArchivedNight = tuple[str, str, npt.NDArray[np.float32], npt.NDArray[np.int64]]


def read_archive(path: Path) -> Iterator[ArchivedNight]:
    """Read nights, whatever their columns.

    Args:
        path: the file.

    Yields:
        Name, subject, (n, columns) float32 values, and (n,) int64 stages with -1 where not scored,
        by name.

    Raises:
        DatasetError: no such file, no archive of this layout, or unknown stages.
    """
    try:
        with np.load(path) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise refuse_archive(path, f"cannot be read: {error}") from error
    found = sorted(match.groups() for match in map(_NIGHT_KEY.match, arrays) if match)
    if not found:
        raise refuse_archive(path, "holds no night", "keys SC4ssnE0_x and _y", sorted(arrays)[:4])
    for name, subject in found:
        x, y = arrays[f"{name}_x"], arrays.get(f"{name}_y")
        fits = y is not None and x.ndim == 2 and y.shape == x.shape[:1] != (0,)
        if y is None or not fits or x.dtype.kind not in "fiu":
            got = f"x {x.shape}, y {None if y is None else y.shape}"
            raise refuse_archive(path, f"{name} has another shape", "x (n, columns), y (n,)", got)
        if not np.isin(y, (UNSCORED, *range(len(STAGES)))).all():
            raise refuse_archive(
                path, f"{name} holds unknown stages", "0 to 4, -1 not scored", np.unique(y).tolist()
            )
        yield name, subject, x.astype(np.float32), y.astype(np.int64)


def refuse_archive(
    path: Path, problem: str, expected: object = None, got: object = None
) -> DatasetError:
    """Return the error of an archive.

    Args:
        path: the file.
        problem: one sentence, what is wrong.
        expected: what would have been right.
        got: what was found.

    Returns:
        The error to raise.
    """
    return DatasetError(
        problem,
        source=str(path),
        expected=expected,
        got=got,
        next_step="Name sleepedf_bandpower.npz, sleepedf78_fpzcz_features.npz or a file of either"
        " layout, or the data folder that holds sleep/ with them",
    )
