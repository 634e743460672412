"""A hypnogram from the annotations of an EDF+ or BDF+ file."""

from __future__ import annotations

import warnings
from datetime import timezone
from pathlib import Path
from typing import Any

from edge_app.errors import DatasetError
from trainer.datasets.hypnogram import Hypnogram, Run, hypnogram_of_runs, refuse_hypnogram

BDF_MAGIC = b"\xffBIOSEMI"
EDF_MAGIC = b"0       "
_EDFIO_ERRORS = (ValueError, ArithmeticError, LookupError, NameError, TypeError, AttributeError)
"""What edfio 0.4 lets out of a damaged file."""


def is_edf(path: Path) -> bool:
    """Tell whether a file begins as EDF or BDF files do; their headers carry local time."""
    with path.open("rb") as file:
        return file.read(8) in (EDF_MAGIC, BDF_MAGIC)


def read_edf_hypnogram(path: Path, *, other_events: bool) -> Hypnogram:
    """Read stages that are written as annotations.

    Args:
        path: a file of annotations, or a recording that carries them.
        other_events: whether annotations that name no stage may be left out.

    Returns:
        The hypnogram; its time 0 is the header's start.

    Raises:
        DatasetError: damaged, no annotations, or annotations that are no complete hypnogram.
    """
    parsed, cut_off = _parsed(path)
    try:
        runs = [Run(float(a.onset), a.duration, str(a.text)) for a in parsed.annotations]
    except _EDFIO_ERRORS as error:
        raise _damaged(path, error) from error
    if not runs:
        refuse_hypnogram(
            str(path),
            "holds no annotations",
            expected="an EDF+ file with sleep stages as annotations",
            next_step="Name the file of the scorer, such as SC4001EC-Hypnogram.edf",
        )
    try:
        start = parsed.startdatetime.replace(tzinfo=timezone.utc).timestamp()
    except _EDFIO_ERRORS:  # anonymised: no date
        start = None
    return hypnogram_of_runs(
        str(path), runs, start_unix_s=start, other_events=other_events, notes=cut_off
    )


def _parsed(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return edfio's object, and what it warned of: a recording may lack its last records."""
    import edfio

    try:
        with path.open("rb") as file:
            bdf = file.read(8) == BDF_MAGIC
        read = edfio.read_bdf if bdf else edfio.read_edf
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            parsed = read(path, header_encoding="latin-1")
        if warned and not parsed.signals:
            raise _damaged(path, ValueError("the file is cut off"))
    except (*_EDFIO_ERRORS, OSError) as error:
        raise _damaged(path, error) from error
    return parsed, tuple(str(warning.message) for warning in warned)


def _damaged(path: Path, error: BaseException) -> DatasetError:
    return DatasetError(
        f"the annotations cannot be read: {error}",
        source=str(path),
        next_step="Copy the file again, or export it again from the scoring program",
    )
