"""FER-2013's original table: a csv with ``emotion``, ``pixels`` and, mostly, ``Usage``.

``pixels`` is 2,304 whole numbers 0-255 with spaces between, row by row; the columns may stand in
any order. Tables without ``Usage`` are an own split.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.face_files import ReadProgress
from trainer.datasets.face_labels import ClassNames
from trainer.datasets.face_picture import shrink
from trainer.datasets.face_set import OWN, FaceCollector
from trainer.datasets.fer2013_facts import LABELS, SIZE_PX, USAGES

LAYOUT = "FER-2013's csv: emotion, pixels, Usage"
_USAGES = {usage.casefold(): usage for usage in USAGES}


def read_header(path: Path) -> list[str]:
    """Return the names in a csv's first row, in lower case; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            line = file.readline(100_000).decode("utf-8-sig", errors="replace")
        row = next(csv.reader([line]), [])
    except (OSError, csv.Error):
        return []
    return [name.strip().casefold() for name in row]


def is_face_table(path: Path) -> bool:
    """Return whether a csv's header names emotion and pixels."""
    return {"emotion", "pixels"} <= set(read_header(path))


def read_csv(path: Path, into: FaceCollector) -> None:
    """Read a table.

    Args:
        path: the csv.
        into: takes the pictures, and the rows that cannot be used.

    Raises:
        DatasetError: the header lacks a column, or the file is no text.
    """
    columns = _columns(path)
    classes = ClassNames(into.labels)
    try:
        with warnings.catch_warnings(), path.open(encoding="utf-8-sig", newline="") as file:
            warnings.simplefilter("error", DeprecationWarning)  # of numbers that are none
            for number, row in enumerate(csv.reader(_lines(path, file)), start=1):
                if number > 1 and row:
                    _take(row, f"{path.name} row {number:05d}", columns, classes, into)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"the csv cannot be read: {error}",
            source=str(path),
            next_step="Get the file again; it is text in UTF-8 with commas",
        ) from error


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row things stand."""

    emotion: int
    pixels: int
    usage: int | None

    @property
    def least(self) -> int:
        return 1 + max(self.emotion, self.pixels, self.usage or 0)


def _columns(path: Path) -> _Columns:
    header = read_header(path)
    missing = [name for name in ("emotion", "pixels") if name not in header]
    if missing:
        raise DatasetError(
            f"the first row names no column {' and no '.join(missing)}",
            source=str(path),
            expected="emotion,pixels,Usage",
            got=",".join(header)[:80],
            next_step="Add the header, or name another file",
        )
    usage = header.index("usage") if "usage" in header else None
    return _Columns(header.index("emotion"), header.index("pixels"), usage)


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    progress = ReadProgress(str(path), path.stat().st_size)
    for line in file:
        yield line
        progress.advance(len(line))


def _take(
    row: list[str], name: str, columns: _Columns, classes: ClassNames, into: FaceCollector
) -> None:
    try:
        if len(row) < columns.least:
            raise _wrong(name, "cells are missing", f"{columns.least} cells", len(row))
        emotion = _emotion(row[columns.emotion], name)
        usage = OWN if columns.usage is None else _usage(row[columns.usage], name)
        pixels = _pixels(row[columns.pixels], name)
    except DatasetError as error:
        into.refuse(error)
        return
    label = classes.index(emotion)
    if label is None:
        into.leave_out(f"{emotion} is none of the classes")
        return
    into.add(name, label, usage, shrink(pixels, into.size_px))


def _emotion(cell: str, name: str) -> str:
    try:
        number = int(cell)
    except ValueError:
        number = -1
    if not 0 <= number < len(LABELS):
        known = ", ".join(f"{i} {label}" for i, label in enumerate(LABELS))
        raise _wrong(name, "unknown class in column emotion", known, cell[:40])
    return LABELS[number]


def _usage(cell: str, name: str) -> str:
    usage = _USAGES.get(cell.strip().casefold())
    if usage is None:
        raise _wrong(name, "unknown Usage", ", ".join(USAGES), cell[:40])
    return usage


def _pixels(cell: str, name: str) -> npt.NDArray[np.uint8]:
    try:
        values = np.fromstring(cell, dtype=np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        raise _wrong(name, "pixels that are no whole numbers", "0 to 255", cell[:40]) from None
    if len(values) != SIZE_PX * SIZE_PX:
        raise _wrong(name, "wrong number of pixels", SIZE_PX * SIZE_PX, len(values))
    if values.min() < 0 or values.max() > 255:
        got = f"{values.min()} to {values.max()}"
        raise _wrong(name, "pixels out of range", "0 to 255", got)
    return values.astype(np.uint8).reshape(SIZE_PX, SIZE_PX)


def _wrong(name: str, problem: str, expected: object, got: object) -> DatasetError:
    return DatasetError(
        problem,
        source=name,
        expected=expected,
        got=got,
        next_step="Correct or delete the row, or get an unaltered copy",
    )
