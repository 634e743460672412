"""What there is to learn facial expressions from: counts, copies, leaks, what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_app.counted import counted
from trainer.datasets.clinical_faces import LABELS as CLINICAL_LABELS
from trainer.datasets.clinical_table import BALANCED
from trainer.datasets.face_copies import (
    count_other_labels,
    difference_hashes,
    near_copies,
    picture_hashes,
)
from trainer.datasets.face_reading import locate, read_face_data
from trainer.datasets.face_set import FaceData, Faces
from trainer.datasets.fer2013 import conflicting_mask, is_published
from trainer.datasets.fer2013_facts import COUNTS, LABELS, SIZE_PX, USAGES


@dataclass(frozen=True, slots=True)
class Within:
    """Copies inside one usage, on decoded pixels.

    Args:
        pictures: all.
        unique: different ones.
        groups: of two or more identical pictures.
        conflicting: groups with more than one label.
        blank: pictures of one grey level.
    """

    pictures: int
    unique: int
    groups: int
    conflicting: int
    blank: int


@dataclass(frozen=True, slots=True)
class Between:
    """Copies across two usages.

    Args:
        identical: pictures of the second that are in the first to the pixel.
        other_label: of those, how many have a copy with another label.
        near: pictures of the second within 8 bits of a difference hash of one of the first.
        persons: in both, where persons are known.
    """

    identical: int
    other_label: int
    near: int
    persons: int


def copies_within(faces: Faces) -> Within:
    """Count identical pictures of one usage.

    Args:
        faces: its pictures.

    Returns:
        The counts.
    """
    hashes, counts = np.unique(faces.hashes, return_counts=True)
    conflicting = np.unique(faces.hashes[conflicting_mask(faces)])
    return Within(
        len(faces.labels),
        len(hashes),
        int((counts > 1).sum()),
        len(conflicting),
        int(faces.blank.sum()),
    )


def copies_between(first: Faces, second: Faces) -> Between:
    """Count pictures and persons of one usage that are in another.

    Args:
        first: such as Training.
        second: such as PublicTest.

    Returns:
        The counts.
    """
    ours, theirs = picture_hashes(first.pixels), picture_hashes(second.pixels)
    other_label = count_other_labels(ours, first.labels, theirs, second.labels)
    known = not any(np.array_equal(one.groups, h) for one, h in ((first, ours), (second, theirs)))
    persons = len(np.intersect1d(first.groups, second.groups)) if known else 0
    near = near_copies(difference_hashes(second.pixels), difference_hashes(first.pixels))
    return Between(int(np.isin(theirs, ours).sum()), other_label, int(near.sum()), persons)


def describe_faces(
    path: Path,
    console: Console,
    labels: tuple[str, ...] = (),
    size_px: int = SIZE_PX,
) -> bool:
    """Print layout, counts, copies and what is wrong.

    Args:
        path: as for ``face_reading.read_face_data``.
        console: where to print.
        labels: the classes; empty: the clinical layout's eight or FER-2013's seven.
        size_px: side at which pictures are compared.

    Returns:
        True when every class has a picture that can be used.

    Raises:
        DatasetError: nothing there.
    """
    if not labels:
        labels = CLINICAL_LABELS if locate(path).kind == "clinical" else LABELS
    data = read_face_data(path, labels, size_px, skip_unreadable=True)
    for line in _said(path, data):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(_counts(data, labels), highlight=False)
    for line in (*_copies(data), *_people(data), *_missing(data, labels)):
        console.print(line, highlight=False, soft_wrap=True)
    counts = np.zeros(len(labels)) + [list(faces.counts) for faces in data.faces.values()]
    return bool(counts.sum(axis=0).all()) if data.faces else False


def _said(path: Path, data: FaceData) -> Iterator[str]:
    yield f"{path}: {data.layout}; fingerprint {data.fingerprint}"
    yield from data.notes
    if data.unreadable:
        yield f"{len(data.unreadable)} cannot be used:"
    for sentence in data.unreadable:
        yield f"  {sentence}"


def _counts(data: FaceData, labels: tuple[str, ...]) -> Table:
    table = Table(title="pictures", title_justify="left")
    table.add_column("class")
    compared = labels == LABELS
    usages = _in_order(data)
    for usage in usages:
        table.add_column(usage, justify="right")
        if compared and usage in COUNTS:
            table.add_column("published", justify="right", style="dim")
    for index, label in enumerate((*labels, "all")):
        cells = []
        for usage in usages:
            published = (COUNTS[usage],) if compared and usage in COUNTS else ()
            for counts in (data.faces[usage].counts, *published):
                cells.append(f"{(*counts, sum(counts))[index]:,}")
        table.add_row(label, *cells)
    return table


def _copies(data: FaceData) -> Iterator[str]:
    for usage, faces in data.faces.items():
        found = copies_within(faces)
        yield (
            f"{usage}: {counted(found.unique, 'different picture')} among {found.pictures:,};"
            f" {counted(found.groups, 'group')} of copies, {found.conflicting:,} with conflicting"
            f" labels; {found.blank:,} blank"
        )
        if usage in USAGES:
            same = is_published(faces)
            yield f"{usage}: {'FER-2013, unaltered' if same else 'NOT what FER-2013 published'}"
    for one, other in combinations(_in_order(data), 2):
        between = copies_between(data.faces[one], data.faces[other])
        yield (
            f"{other} in {one}: {counted(between.identical, 'identical picture')},"
            f" {between.other_label:,} of them with another label;"
            f" {counted(between.near, 'near copy', 'near copies')} (256-bit difference hash,"
            " at most 8 bits)"
            + (": a LEAK unless they are cleaned away" if between.identical else "")
        )
        if between.persons:
            yield f"LEAK: {counted(between.persons, 'person')} in both {one} and {other}"


def _in_order(data: FaceData) -> list[str]:
    first = [usage for usage in USAGES if usage in data.faces]
    others = sorted(set(data.faces) - set(first), key=lambda usage: ("train" not in usage, usage))
    return first + others


def _people(data: FaceData) -> Iterator[str]:
    for usage, faces in data.faces.items():
        if faces.attributes is None:
            continue
        persons, first = np.unique(faces.groups, return_index=True)
        yield f"{usage}: {counted(len(persons), 'person')}"
        for name in BALANCED:
            words, counts = np.unique(faces.attributes[name][first], return_counts=True)
            shares = (f"{word or 'not known'} {n}" for word, n in zip(words, counts, strict=True))
            yield f"  {name}: {', '.join(shares)}"


def _missing(data: FaceData, labels: tuple[str, ...]) -> Iterator[str]:
    for usage, faces in data.faces.items():
        missing = [label for label, n in zip(labels, faces.counts, strict=True) if not n]
        if missing:
            yield f"{usage}: no picture of {', '.join(missing)}"
