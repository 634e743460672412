"""FER-2013: 48x48 grey faces in seven expressions, from the archive or from unpacked folders.

Goodfellow et al. 2013, arXiv 1307.0414. Layout: ``<any>/<class>/<Usage>_<id>.jpg`` with Usage
Training, PublicTest or PrivateTest. Labels go by folder NAME into the csv's order: alphabetical
folder order swaps neutral, sad and surprise. There are no person ids; the group of a picture is the
hash of its pixels, so that identical pictures stay on one side of a split.
"""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIZE_PX = 48
USAGES = ("Training", "PublicTest", "PrivateTest")
OWN = "own"
COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
"""Pictures by usage and label, in the order of ``LABELS``."""
BLANK_RANGE = 8
"""Grey levels from the darkest to the brightest pixel: blank ones span up to 3, others 47 on."""
ARCHIVE = "fer2013.tar.xz"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, slots=True)
class Faces:
    """Pictures with their labels.

    Args:
        pixels: (n, 48, 48) uint8, grey levels.
        labels: (n,) int64, index into ``LABELS``.
        groups: (n,) hash of the pixels.
        usage: Training, PublicTest, PrivateTest or own.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    usage: str

    def take(self, keep: npt.NDArray[np.bool_]) -> Faces:
        """Return the pictures where ``keep`` is True."""
        return Faces(self.pixels[keep], self.labels[keep], self.groups[keep], self.usage)

    @property
    def blank(self) -> npt.NDArray[np.bool_]:
        """True where all pixels have one grey level, give or take what JPEG does to it."""
        flat = self.pixels.reshape(len(self.pixels), -1)
        same: npt.NDArray[np.bool_] = flat.max(axis=1) - flat.min(axis=1) <= BLANK_RANGE
        return same

    @property
    def counts(self) -> tuple[int, ...]:
        """Pictures by label."""
        return tuple(int(n) for n in np.bincount(self.labels, minlength=len(LABELS)))


def read_faces(path: Path) -> dict[str, Faces]:
    """Read every labelled picture under ``path``.

    Args:
        path: the archive, a folder that holds it (or ``fer2013/`` with it), or a folder of
            pictures in folders named by class.

    Returns:
        Usage to faces, ordered by file name; pictures without a usage in their name are ``own``.

    Raises:
        DatasetError: nothing there, an unreadable picture, or a FER-2013 picture that is not 48x48.
    """
    place = _locate(path)
    found: dict[str, list[tuple[str, int, npt.NDArray[np.uint8]]]] = {}
    for name, data in _archive_files(place) if place.is_file() else _folder_files(place):
        parts = PurePosixPath(name)
        label = parts.parent.name.lower()
        if label not in LABELS or parts.suffix.lower() not in SUFFIXES:
            continue
        usage = parts.name.split("_")[0]
        usage = usage if usage in USAGES else OWN
        picture = _decode(data, name, resize=usage == OWN)
        found.setdefault(usage, []).append((name, LABELS.index(label), picture))
    if not found:
        raise DatasetError(
            "no labelled pictures",
            source=str(path),
            expected=f"{ARCHIVE}, or folders named {', '.join(LABELS)}",
            next_step="Point --data at the folder that holds them",
        )
    return {usage: _faces(items, usage) for usage, items in sorted(found.items())}


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
    train: Faces, held_out: Faces, *, drop_conflicting: bool, drop_blank: bool
) -> tuple[Faces, Cleaning]:
    """Leave out what leaks or misleads.

    Args:
        train: the split to clean.
        held_out: its pixel-identical copies always go, or they would leak.
        drop_conflicting: drop identical pictures with different labels, all of them.
        drop_blank: drop pictures of one grey level.

    Returns:
        The cleaned split, and how many pictures went for each reason, each counted once.
    """
    copies = np.isin(train.groups, held_out.groups)
    conflicting = conflicting_mask(train) & ~copies & drop_conflicting
    blank = train.blank & ~copies & ~conflicting & drop_blank
    cleaning = Cleaning(int(copies.sum()), int(conflicting.sum()), int(blank.sum()))
    return train.take(~(copies | conflicting | blank)), cleaning


def conflicting_mask(faces: Faces) -> npt.NDArray[np.bool_]:
    """Return True for each picture that has an identical one with another label."""
    _, group = np.unique(faces.groups, return_inverse=True)
    lowest = np.full(group.max() + 1, len(LABELS))
    highest = np.full(group.max() + 1, -1)
    np.minimum.at(lowest, group, faces.labels)
    np.maximum.at(highest, group, faces.labels)
    mask: npt.NDArray[np.bool_] = (lowest != highest)[group]
    return mask


def _locate(path: Path) -> Path:
    for place in (path, path / ARCHIVE, path / "fer2013" / ARCHIVE):
        if place.is_file():
            return place
    if (path / "fer2013").is_dir():
        return path / "fer2013"
    if path.is_dir():
        return path
    raise DatasetError(
        "no such file or folder",
        source=str(path),
        next_step=f"Point --data at the folder that holds {ARCHIVE} or its unpacked folders",
    )


def _archive_files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError) as error:
        raise DatasetError(
            f"the archive cannot be read: {error}",
            source=str(path),
            next_step="Get the file again and compare its checksum",
        ) from error


def _folder_files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        for file in path.rglob("*"):
            if file.suffix.lower() in SUFFIXES and file.is_file():
                yield file.relative_to(path.parent).as_posix(), file.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"a picture cannot be read: {error}",
            source=str(path),
            next_step="Check the permissions of the pictures and the disk they are on",
        ) from error


def _decode(data: bytes, name: str, *, resize: bool) -> npt.NDArray[np.uint8]:
    import cv2

    try:  # an empty file, or a header that claims an absurd size, raises
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        picture = None
    if picture is not None and resize and picture.shape != (SIZE_PX, SIZE_PX):
        picture = cv2.resize(picture, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    if picture is None or picture.shape != (SIZE_PX, SIZE_PX):
        raise DatasetError(
            "not a readable picture" if picture is None else "wrong size for FER-2013",
            source=name,
            expected=f"{SIZE_PX}x{SIZE_PX} grey pixels",
            got=None if picture is None else picture.shape,
            next_step="Get an unaltered copy of the data set",
        )
    return np.asarray(picture, dtype=np.uint8)


def _faces(items: list[tuple[str, int, npt.NDArray[np.uint8]]], usage: str) -> Faces:
    items.sort(key=lambda item: item[0])
    pixels = np.stack([picture for _, _, picture in items])
    return Faces(
        pixels=pixels,
        labels=np.array([label for _, label, _ in items], dtype=np.int64),
        groups=np.array([hashlib.sha256(picture.tobytes()).hexdigest()[:32] for picture in pixels]),
        usage=usage,
    )
