"""Look through a set of pictures: blank, unreadable, nearly the same, flat or badly exposed ones.

Everything is measured on the picture made grey and 48 x 48, whatever its size was, so limits mean
the same everywhere. Nothing is changed or deleted: what is found is for a person to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from edge_app.preprocess.segmentation.histogram import entropy_bits
from trainer.datasets.face_copies import difference_hashes
from trainer.datasets.face_files import archive_files, folder_files, picture_paths
from trainer.datasets.face_picture import decode

SIZE_PX = 48
KINDS = ("blank", "near_duplicate", "low_entropy", "dark", "bright", "clipped")
_ROWS = 512
Count = Callable[[int, int], None]
"""Told how much is done, and of how much."""


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """What counts as bad.

    Args:
        blank_range: a picture is blank where its levels span no more.
        near_bits: of the 256 bits of their difference hashes two pictures may differ in so many.
        min_entropy_bits: less a pixel is low. Of FER-2013 one in a thousand has less than 5.2.
        dark_level: a lower mean is dark.
        bright_level: a higher mean is bright.
        clipped_share: a larger share of pixels at 0 or 255 is clipped.
    """

    blank_range: int = 8
    near_bits: int = 8
    min_entropy_bits: float = 5.0
    dark_level: float = 40.0
    bright_level: float = 215.0
    clipped_share: float = 0.3


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Args:
        names: (n,) of the pictures that could be read.
        pixels: (n, 48, 48) uint8 grey.
        found: kind to indices, the worst first; of near duplicates group after group.
        values: kind to one figure for each index: range of levels, size of the group, bits a
            pixel, mean level twice, share of pixels.
        groups: indices of pictures that are nearly the same, chained pair by pair.
        unreadable: name and why.
    """

    names: list[str]
    pixels: npt.NDArray[np.uint8]
    found: dict[str, npt.NDArray[np.int64]]
    values: dict[str, npt.NDArray[np.float64]]
    groups: list[list[int]]
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def figures(self, limits: AuditLimits) -> dict[str, Any]:
        """Return all of it but the pixels, ready for JSON.

        Args:
            limits: by which it was found.

        Returns:
            Counts, limits, and for each kind names with their figures.
        """
        rows = {
            kind: [
                {"picture": self.names[index], "value": round(float(value), 4)}
                for index, value in zip(self.found[kind], self.values[kind], strict=True)
            ]
            for kind in KINDS
        }
        return {
            "pictures": len(self.names) + len(self.unreadable),
            "counts": {
                "unreadable": len(self.unreadable),
                **{kind: len(listed) for kind, listed in rows.items()},
                "near_duplicate_groups": len(self.groups),
            },
            "limits": asdict(limits),
            "measured_on": f"grey, {SIZE_PX}x{SIZE_PX}",
            "unreadable": [{"picture": name, "why": why} for name, why in self.unreadable],
            **rows,
            "near_duplicate_groups": [[self.names[i] for i in group] for group in self.groups],
        }


def audit(
    path: Path,
    limits: AuditLimits,
    tell: Callable[[str], None] = lambda _: None,
    count: Count = lambda *_: None,
) -> Audit:
    """Look through a data set.

    Args:
        path: a folder of pictures at any depth, a tar archive of them, or FER-2013 in any of its
            forms.
        limits: what counts as bad.
        tell: told what is being done.
        count: told how much of it is done, and of how much.

    Returns:
        What was found.

    Raises:
        DatasetError: no picture there that can be read.
    """
    tell(f"reading {path}")
    names, pictures, unreadable = [], [], []
    for name, content in _pictures(path):
        if isinstance(content, str):
            unreadable.append((name, content))
        else:
            names.append(name)
            pictures.append(content)
    if not names:
        raise DatasetError(
            "no picture that can be read",
            source=str(path),
            expected="a folder or a tar archive of JPEG, PNG, BMP or WebP pictures, or FER-2013",
            got=f"{len(unreadable)} that cannot",
            next_step="Check the spelling, or get the data again",
        )
    tell("measuring pictures")
    entropies = []
    for picture in pictures:
        entropies.append(entropy_bits(picture))
        count(len(entropies), len(pictures))
    pixels = np.stack(pictures)
    tell("comparing pictures with each other")
    full = np.ptp(pixels, axis=(1, 2)) > limits.blank_range
    groups = near_groups(difference_hashes(pixels), full, limits.near_bits, count)
    found, values = _sorted_out(pixels, np.array(entropies), groups, limits)
    return Audit(names, pixels, found, values, groups, unreadable)


def _pictures(path: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8] | str]]:
    """Yield name and pixels, or why there are none."""
    if path.is_dir() and picture_paths(path):
        files = folder_files(path)
    elif path.is_file() and ".tar" in path.suffixes:
        files = archive_files(path)
    else:
        from trainer.datasets.fer2013 import read_faces

        for faces in read_faces(path).values():
            yield from zip(faces.names.tolist(), faces.pixels, strict=True)
        return
    for name, content in files:
        try:
            yield name, decode(content, name, SIZE_PX).pixels
        except DatasetError as error:
            yield name, error.problem


def _sorted_out(
    pixels: npt.NDArray[np.uint8],
    entropy: npt.NDArray[np.float64],
    groups: list[list[int]],
    limits: AuditLimits,
) -> tuple[dict[str, npt.NDArray[np.int64]], dict[str, npt.NDArray[np.float64]]]:
    """Return indices and figures of each kind, the worst first."""
    span = np.ptp(pixels, axis=(1, 2)).astype(np.float64)
    mean = pixels.mean(axis=(1, 2))
    clipped = np.isin(pixels, (0, 255)).mean(axis=(1, 2))
    full = span > limits.blank_range
    in_groups = np.array([index for group in groups for index in group], np.int64)
    bad = {
        "blank": (~full, span),
        "low_entropy": (full & (entropy < limits.min_entropy_bits), entropy),
        "dark": (full & (mean < limits.dark_level), mean),
        "bright": (full & (mean > limits.bright_level), -mean),
        "clipped": (full & (clipped > limits.clipped_share), -clipped),
    }
    found = {"near_duplicate": in_groups}
    values = {"near_duplicate": np.array([len(g) for g in groups for _ in g], np.float64)}
    for kind, (where, worst_first) in bad.items():
        indices = np.flatnonzero(where)
        found[kind] = indices[np.argsort(worst_first[indices], kind="stable")]
        values[kind] = np.abs(worst_first[found[kind]])
    return found, values


def near_groups(
    bits: npt.NDArray[np.uint8],
    look_at: npt.NDArray[np.bool_],
    near_bits: int,
    count: Count = lambda *_: None,
) -> list[list[int]]:
    """Return pictures that are nearly the same, the largest groups first.

    Args:
        bits: (n, 32) of ``difference_hashes``.
        look_at: (n,) which pictures to compare; blank ones are all alike.
        near_bits: two that differ in no more belong together, and whoever belongs to either.
        count: told how many are compared, and of how many.

    Returns:
        Groups of two or more indices.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    indices = np.flatnonzero(look_at)
    signs = 2.0 * np.unpackbits(bits[indices], axis=1).astype(np.float32) - 1.0
    n_bits = signs.shape[1]
    first, second = [], []
    for start in range(0, len(indices), _ROWS):
        alike = signs[start : start + _ROWS] @ signs[start:].T  # equal bits less unequal ones
        rows, columns = np.nonzero(alike >= n_bits - 2 * near_bits)
        first.append(rows + start)
        second.append(columns + start)
        count(min(start + _ROWS, len(indices)), len(indices))
    none = np.zeros(0, np.int64)
    pairs = np.concatenate([none, *first]), np.concatenate([none, *second])
    joined = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(indices), len(indices)))
    _, of = connected_components(joined, directed=False)
    order = np.argsort(of, kind="stable")
    groups = np.split(indices[order], np.flatnonzero(np.diff(of[order])) + 1)
    several = [[int(index) for index in group] for group in groups if len(group) > 1]
    return sorted(several, key=len, reverse=True)
