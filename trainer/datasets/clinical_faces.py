"""The clinical layout: a folder per person, ``<root>/<set_id>/<Emotion>.jpg``, and a table.

As in "A Clinical Perspective for Monitoring PTSD-Related Emotional Responses". The class is the
file's name, matched by name; the FOLDER is a person. (Reading those folders as classes would make
person ids into labels.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from edge_app.errors import DatasetError
from trainer.datasets.clinical_table import UNKNOWN, person_id, read_people
from trainer.datasets.face_folders import own_side
from trainer.datasets.face_labels import ClassNames, expression
from trainer.datasets.face_picture import decode
from trainer.datasets.face_set import FaceCollector

LABELS = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprised")
"""The eight classes of the paper, alphabetical; any spelling is recognised."""
LAYOUT = "clinical: a folder per person, pictures named by expression"


def is_clinical(names: Iterable[str]) -> bool:
    """Return whether pictures are named by expression in folders that are not.

    Args:
        names: of pictures, with their folders.

    Returns:
        True where more are so than are in folders named by expression.
    """
    by_name = by_folder = 0
    for name in names:
        path = PurePosixPath(name)
        in_folder = any(expression(folder) is not None for folder in path.parent.parts)
        by_folder += in_folder
        by_name += not in_folder and expression(path.stem) is not None
    return by_name > by_folder


def read_clinical(
    files: Iterable[tuple[str, bytes]], table: Path | None, into: FaceCollector
) -> None:
    """Read pictures, persons and what the table tells of them.

    Args:
        files: name with its folders, and content.
        table: the csv of people; None: persons are known by their folders alone.
        into: takes the pictures.

    Raises:
        DatasetError: the table cannot be used.
    """
    people, odd = read_people(table) if table is not None else ({}, [])
    for sentence in odd:
        into.note(sentence)
    seen: dict[str, set[int]] = defaultdict(set)
    classes = ClassNames(into.labels)
    for name, data in files:
        path = PurePosixPath(name)
        label = classes.index(path.stem)
        if label is None:
            known = expression(path.stem) is not None
            why = f"{path.stem.lower()} is none of the classes" if known else "named by no class"
            into.leave_out(why)
            continue
        person = person_id(path.parent.name)
        try:
            picture = decode(data, name, into.size_px)
        except DatasetError as error:
            into.refuse(error)
            continue
        seen[person].add(label)
        into.add(name, label, own_side(path.parent.parts[1:]), picture, person)
    _describe(people, seen, len(classes.labels), into)


def _describe(
    people: dict[str, dict[str, str]], seen: dict[str, set[int]], n_labels: int, into: FaceCollector
) -> None:
    without_row = sorted(set(seen) - set(people))
    if not people:
        into.note("no csv with a column set_id: age, gender and country are not known")
    else:
        if without_row:
            into.note(f"persons without a row in the table: {', '.join(without_row)}")
        without_folder = sorted(set(people) - set(seen))
        if without_folder:
            into.note(f"persons of the table without a picture: {', '.join(without_folder)}")
        nothing = dict.fromkeys(next(iter(people.values())), UNKNOWN)
        into.describe_people({person: people.get(person, nothing) for person in seen})
    incomplete = sum(len(labels) < n_labels for labels in seen.values())
    if incomplete:
        into.note(f"{incomplete} of {len(seen)} persons lack a picture of some class")
