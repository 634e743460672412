"""Where labelled faces lie, in which of the known layouts, and all of them in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets import clinical_faces
from trainer.datasets.clinical_table import find_table
from trainer.datasets.face_copies import difference_hashes, picture_hashes
from trainer.datasets.face_files import archive_files, folder_files, picture_paths
from trainer.datasets.face_folders import read_folders
from trainer.datasets.face_picture import SUFFIXES, decode
from trainer.datasets.face_set import FaceCollector, FaceData
from trainer.datasets.fer2013_csv import LAYOUT as CSV_LAYOUT
from trainer.datasets.fer2013_csv import is_face_table, read_csv
from trainer.datasets.fer2013_facts import ARCHIVE, LABELS, SIZE_PX

_BATCH = 1024


def read_face_data(
    path: Path,
    labels: tuple[str, ...] = LABELS,
    size_px: int = SIZE_PX,
    *,
    skip_unreadable: bool = False,
) -> FaceData:
    """Read every labelled picture at a place.

    Args:
        path: FER-2013's csv or archive, a folder that holds one of them (or ``fer2013/`` with it),
            a folder of pictures in folders named by class, or the clinical layout.
        labels: the classes in order, matched by name.
        size_px: side of the square pictures; others are resized by area.
        skip_unreadable: name what cannot be read in the result, instead of failing.

    Returns:
        Pictures by usage, and what there is to say about them.

    Raises:
        DatasetError: nothing there, no picture of a class, or what cannot be read.
    """
    place = locate(path)
    into = FaceCollector(path, labels, size_px, SIZE_PX)
    if place.kind == "csv":
        for table in place.paths:
            read_csv(table, into)
        layout = CSV_LAYOUT
    elif place.kind == "archive":
        layout = f"{read_folders(archive_files(place.root), into)}, in {place.root.name}"
    elif place.kind == "clinical":
        layout = clinical_faces.LAYOUT
        people = place.paths[0] if place.paths else None
        clinical_faces.read_clinical(folder_files(place.root), people, into)
    else:
        layout = read_folders(folder_files(place.root), into)
    data = into.finish(layout, from_csv=place.kind == "csv", skip=skip_unreadable)
    if not data.faces and not data.unreadable:
        raise DatasetError(
            "no labelled pictures",
            source=str(path),
            expected=f"{ARCHIVE}, a csv with emotion and pixels, or folders named "
            f"{', '.join(labels)}",
            got="; ".join(data.notes) or None,
            next_step="Point --data at the folder that holds them",
        )
    return data


@dataclass(frozen=True, slots=True)
class Hashes:
    """All pictures of a place, labelled or not, as hashes.

    Args:
        exact: (n,) of the pixels.
        difference: (n, 32) of ``face_copies.difference_hashes``.
        from_csv: whether pixels come from a table.
        unreadable: files that could not be read.
    """

    exact: npt.NDArray[np.str_]
    difference: npt.NDArray[np.uint8]
    from_csv: bool
    unreadable: int


def hash_pictures(path: Path, size_px: int = SIZE_PX, *, but: Path | None = None) -> Hashes:
    """Hash every picture at a place, in whatever folder, without keeping it.

    Args:
        path: as for ``read_face_data``; folders may have any names.
        size_px: side at which pictures are compared.
        but: a folder inside it, resolved, to leave out: what is compared with it.

    Returns:
        The hashes.

    Raises:
        DatasetError: nothing there.
    """
    place = locate(path)
    if place.kind == "csv":
        data = read_face_data(path, LABELS, size_px, skip_unreadable=True)
        pixels = [faces.pixels for faces in data.faces.values()]
        exact = [picture_hashes(one) for one in pixels]
        near = [difference_hashes(one) for one in pixels]
        return _hashes(exact, near, path, from_csv=True, unreadable=len(data.unreadable))
    packed = place.kind == "archive"
    unreadable = 0
    exact, near = [], []
    batch: list[npt.NDArray[np.uint8]] = []
    files = archive_files(place.root) if packed else folder_files(place.root, but)
    for name, content in files:
        try:
            batch.append(decode(content, name, size_px).pixels)
        except DatasetError:
            unreadable += 1
        if len(batch) == _BATCH:
            _flush(batch, exact, near)
    _flush(batch, exact, near)
    return _hashes(exact, near, path, from_csv=False, unreadable=unreadable)


def _flush(
    batch: list[npt.NDArray[np.uint8]],
    exact: list[npt.NDArray[np.str_]],
    near: list[npt.NDArray[np.uint8]],
) -> None:
    if batch:
        exact.append(picture_hashes(np.stack(batch)))
        near.append(difference_hashes(np.stack(batch)))
        batch.clear()


def _hashes(
    exact: list[npt.NDArray[np.str_]],
    near: list[npt.NDArray[np.uint8]],
    path: Path,
    *,
    from_csv: bool,
    unreadable: int,
) -> Hashes:
    if not exact:
        raise DatasetError(
            "no pictures to compare with",
            source=str(path),
            expected="image files, an archive of them, or FER-2013's csv",
            got=f"{unreadable} that cannot be read" if unreadable else None,
            next_step="Name the folder that holds the pictures learnt from",
        )
    return Hashes(np.concatenate(exact), np.concatenate(near), from_csv, unreadable)


@dataclass(frozen=True, slots=True)
class Place:
    """What to read.

    Args:
        kind: csv, archive, clinical or folders.
        root: the file or folder.
        paths: tables in it.
    """

    kind: Literal["csv", "archive", "clinical", "folders"]
    root: Path
    paths: tuple[Path, ...] = ()


def locate(path: Path) -> Place:
    """Find what there is to read at a place.

    Args:
        path: as for ``read_face_data``.

    Returns:
        What will be read; two ways to name the same give equal places.

    Raises:
        DatasetError: nothing there, or a single picture.
    """
    path = path.resolve()
    if path.is_file():
        return _file(path)
    for root in (path, path / "fer2013"):
        if (root / ARCHIVE).is_file():
            return Place("archive", root / ARCHIVE)
        tables = tuple(table for table in sorted(root.glob("*.csv")) if is_face_table(table))
        if tables:
            return Place("csv", root, tables)
    if not path.is_dir():
        raise DatasetError(
            "no such file or folder",
            source=str(path),
            next_step=f"Point --data at the folder that holds {ARCHIVE}, the csv, or folders named"
            " by class",
        )
    root = path / "fer2013" if (path / "fer2013").is_dir() else path
    table = find_table(root)
    if table is not None:
        return Place("clinical", root, (table,))
    pictures = picture_paths(root)
    others = tuple(sorted(root.glob("*.csv")))
    if others and not pictures:
        return Place("csv", root, others)  # which will say what their headers lack
    names = (file.relative_to(root.parent) for file in pictures)
    clinical = clinical_faces.is_clinical(name.as_posix() for name in names)
    return Place("clinical" if clinical else "folders", root)


def _file(path: Path) -> Place:
    if path.suffix.lower() == ".csv":
        return Place("csv", path, (path,))
    if path.suffix.lower() in SUFFIXES:
        raise DatasetError(
            "this is a single picture",
            source=str(path),
            expected="a folder of pictures in folders named by class, the csv or the archive",
            next_step="Name the folder above",
        )
    return Place("archive", path)
