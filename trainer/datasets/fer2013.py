"""FER-2013: 48x48 grey faces in seven expressions, and what is wrong with its splits.

Goodfellow et al. 2013, arXiv 1307.0414. Read from the csv, the archive or folders, see
``face_reading``. Labels go by NAME into the csv's order: alphabetical folder order swaps neutral,
sad and surprise. There are no person ids; the group of a picture is the hash of its pixels, so that
identical pictures stay on one side of a split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.face_reading import read_face_data
from trainer.datasets.face_set import OWN, Faces
from trainer.datasets.fer2013_facts import ARCHIVE, COUNTS, LABELS, SIZE_PX, USAGES

__all__ = ["ARCHIVE", "COUNTS", "LABELS", "OWN", "SIZE_PX", "USAGES", "Cleaning", "Faces"]
__all__ += ["check_counts", "clean", "conflicting_mask", "is_published", "read_faces"]


def read_faces(path: Path) -> dict[str, Faces]:
    """Read every labelled picture under ``path`` at FER-2013's size.

    Args:
        path: the archive or the csv, a folder that holds it (or ``fer2013/`` with it), or a folder
            of pictures in folders named by class.

    Returns:
        Usage to faces, ordered by name; pictures without a usage are of an own split.

    Raises:
        DatasetError: nothing there, or an unreadable picture or row.
    """
    return read_face_data(path, LABELS, SIZE_PX).faces


def is_published(faces: Faces) -> bool:
    """Return whether the pictures may be called FER-2013's: its counts, its size, nothing done."""
    return faces.original and COUNTS.get(faces.usage) == faces.counts


def check_counts(faces: Faces) -> None:
    """Refuse a spoiled copy: its figures would not compare with anyone's.

    Args:
        faces: one usage's pictures.

    Raises:
        DatasetError: the counts by class differ from the published table.
    """
    if faces.counts != COUNTS[faces.usage]:
        raise DatasetError(
            "the counts differ from FER-2013's",
            source=faces.usage,
            expected=dict(zip(LABELS, COUNTS[faces.usage], strict=True)),
            got=dict(zip(LABELS, faces.counts, strict=True)),
            next_step="Get an unaltered copy; several in circulation are augmented or cut",
        )


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was left out of the training split, in pictures."""

    copies: int
    conflicting: int
    blank: int


def clean(
    train: Faces,
    held_out: Faces,
    *,
    drop_copies: bool = True,
    drop_conflicting: bool,
    drop_blank: bool,
) -> tuple[Faces, Cleaning]:
    """Leave out what leaks or misleads.

    Args:
        train: the split to clean.
        held_out: what is kept for validation.
        drop_copies: drop pixel-identical copies of held-out pictures; kept, they leak.
        drop_conflicting: drop identical pictures with different labels, all of them.
        drop_blank: drop pictures of one grey level.

    Returns:
        The cleaned split, and how many pictures went for each reason, each counted once.
    """
    hashes = train.hashes
    copies = np.isin(hashes, held_out.hashes) & drop_copies
    conflicting = _conflicting(hashes, train.labels) & ~copies & drop_conflicting
    blank = train.blank & ~copies & ~conflicting & drop_blank
    cleaning = Cleaning(int(copies.sum()), int(conflicting.sum()), int(blank.sum()))
    return train.take(~(copies | conflicting | blank)), cleaning


def conflicting_mask(faces: Faces) -> npt.NDArray[np.bool_]:
    """Return True for each picture that has an identical one with another label."""
    return _conflicting(faces.hashes, faces.labels)


def _conflicting(
    hashes: npt.NDArray[np.str_], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    _, group = np.unique(hashes, return_inverse=True)
    lowest = np.full(len(hashes), np.iinfo(np.int64).max)
    highest = np.full(len(hashes), -1)
    np.minimum.at(lowest, group, labels)
    np.maximum.at(highest, group, labels)
    mask: npt.NDArray[np.bool_] = (lowest != highest)[group]
    return mask
