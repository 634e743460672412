"""Labelled pictures of faces in memory, and the collector that readers fill."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.counted import counted
from edge_app.errors import DatasetError
from trainer.datasets.face_copies import picture_hashes
from trainer.datasets.face_picture import Picture

BLANK_RANGE = 8
"""Grey levels from the darkest to the brightest pixel: blank ones span up to 3, others 47 on."""
OWN = "own split"
OWN_TRAIN, OWN_VALIDATION, OWN_TEST = f"{OWN}, train", f"{OWN}, validation", f"{OWN}, test"
_SHOWN = 5
Attributes = dict[str, npt.NDArray[np.str_]]


@dataclass(frozen=True, slots=True)
class Faces:
    """Pictures with their labels.

    Args:
        pixels: (n, size, size) uint8, grey levels.
        labels: (n,) int64, index of the class.
        groups: (n,) person; hash of the pixels where persons are not known.
        usage: Training, PublicTest, PrivateTest, or one of the own splits.
        n_labels: number of classes.
        names: (n,) file or row.
        attributes: (n,) words about the person of each picture, such as ``gender``.
        original: whether every file held 48x48 grey pixels.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    usage: str
    n_labels: int
    names: npt.NDArray[np.str_]
    attributes: Attributes | None = None
    original: bool = True

    def take(self, keep: npt.NDArray[np.bool_]) -> Faces:
        """Return the pictures where ``keep`` is True."""
        attributes = self.attributes
        return replace(
            self,
            pixels=self.pixels[keep],
            labels=self.labels[keep],
            groups=self.groups[keep],
            names=self.names[keep],
            attributes=attributes and {name: words[keep] for name, words in attributes.items()},
        )

    @property
    def blank(self) -> npt.NDArray[np.bool_]:
        """True where all pixels have one grey level, give or take what JPEG does to it."""
        flat = self.pixels.reshape(len(self.pixels), -1)
        same: npt.NDArray[np.bool_] = flat.max(axis=1) - flat.min(axis=1) <= BLANK_RANGE
        return same

    @property
    def counts(self) -> tuple[int, ...]:
        """Pictures by label."""
        return tuple(int(n) for n in np.bincount(self.labels, minlength=self.n_labels))

    @property
    def hashes(self) -> npt.NDArray[np.str_]:
        """Hash of each picture's pixels."""
        return picture_hashes(self.pixels)


@dataclass(frozen=True, slots=True)
class FaceData:
    """What lies at a place.

    Args:
        layout: how it lies there, in words.
        faces: usage to pictures.
        notes: what was done to the pictures and what was left out, a sentence each.
        unreadable: what could not be read, a sentence each.
        from_csv: whether pixels come from a table; they are not bit-equal to the JPEG files.
    """

    layout: str
    faces: dict[str, Faces]
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]
    from_csv: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash of all pictures with their labels, whatever their names and order."""
        rows = sorted(
            f"{usage} {label} {digest}"
            for usage, faces in self.faces.items()
            for label, digest in zip(faces.labels, faces.hashes, strict=True)
        )
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


@dataclass(slots=True)
class _Rows:
    """What is known of one usage so far."""

    names: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    pixels: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    persons: list[str | None] = field(default_factory=list)
    original: bool = True


class FaceCollector:
    """Takes pictures from a reader and makes them into sets.

    Args:
        source: the place, for errors.
        labels: the classes in order.
        size_px: side of every picture.
        original_px: side of unaltered pictures.
    """

    def __init__(
        self, source: Path, labels: tuple[str, ...], size_px: int, original_px: int
    ) -> None:
        self.source, self.labels, self.size_px = source, labels, size_px
        self._original = (original_px, original_px)
        self._usages: dict[str, _Rows] = {}
        self._changes: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._notes: list[str] = []
        self._errors: list[DatasetError] = []
        self._people: dict[str, dict[str, str]] = {}

    def add(
        self, name: str, label: int, usage: str, picture: Picture, person: str | None = None
    ) -> None:
        """Take a picture.

        Args:
            name: its file or row.
            label: its class.
            usage: its side of the split.
            picture: decoded.
            person: who is on it, where known.
        """
        rows = self._usages.setdefault(usage, _Rows())
        rows.names.append(name)
        rows.labels.append(label)
        rows.pixels.append(picture.pixels)
        rows.persons.append(person)
        unaltered = [change for change in picture.changes if change != "resized"] == []
        rows.original &= unaltered and picture.source_px == self._original
        self._changes.update(picture.changes)

    def describe_people(self, people: dict[str, dict[str, str]]) -> None:
        """Take attribute to word of each person, all persons with the same attributes."""
        self._people = people

    def refuse(self, error: DatasetError) -> None:
        """Take note of what cannot be read."""
        self._errors.append(error)

    def leave_out(self, why: str) -> None:
        """Count a picture that is left out."""
        self._left_out[why] += 1

    def note(self, sentence: str) -> None:
        """Take note of something the user should know."""
        self._notes.append(sentence)

    def finish(self, layout: str, *, from_csv: bool = False, skip: bool = False) -> FaceData:
        """Make the sets.

        Args:
            layout: how the data lie there.
            from_csv: whether pixels come from a table.
            skip: go on without what cannot be read.

        Returns:
            All that was taken.

        Raises:
            DatasetError: something could not be read, and ``skip`` is False.
        """
        if self._errors and not skip:
            raise self._combined()
        notes = [f"{counted(n, 'picture')} {change}" for change, n in sorted(self._changes.items())]
        notes += [
            f"{counted(n, 'picture')} left out: {why}" for why, n in sorted(self._left_out.items())
        ]
        faces = {usage: self._faces(usage) for usage in sorted(self._usages)}
        errors = tuple(str(error) for error in self._errors)
        return FaceData(layout, faces, (*self._notes, *notes), errors, from_csv)

    def _faces(self, usage: str) -> Faces:
        rows = self._usages.pop(usage)
        names = np.array(rows.names)
        order = np.argsort(names, kind="stable")
        pixels = np.stack([rows.pixels[i] for i in order])
        rows.pixels.clear()
        hashes = picture_hashes(pixels)
        persons = [rows.persons[i] for i in order]
        known = all(person is not None for person in persons)
        return Faces(
            pixels=pixels,
            labels=np.array(rows.labels, dtype=np.int64)[order],
            groups=np.array([str(person) for person in persons]) if known else hashes,
            usage=usage,
            n_labels=len(self.labels),
            names=names[order],
            attributes=self._attributes(persons) if known and self._people else None,
            original=rows.original,
        )

    def _attributes(self, persons: list[str | None]) -> Attributes:
        names = next(iter(self._people.values()))
        return {
            name: np.array([self._people[str(person)][name] for person in persons])
            for name in names
        }

    def _combined(self) -> DatasetError:
        if len(self._errors) == 1:
            return self._errors[0]
        shown = "; ".join(f"{error.source}: {error.problem}" for error in self._errors[:_SHOWN])
        return DatasetError(
            f"{len(self._errors)} pictures cannot be used",
            source=str(self.source),
            got=shown + ("; ..." if len(self._errors) > _SHOWN else ""),
            next_step="`trainer prepare faces` names them all: mend or delete them",
        )
