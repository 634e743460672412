"""Pictures in folders named by class, at any depth, on sides told by prefix or folder.

FER-2013's own: ``train/<class>/Training_<id>.jpg``, ``test/<class>/PublicTest_<id>.jpg`` and
``PrivateTest_<id>.jpg`` mixed; the prefix says the side. Without prefixes a split is somebody's
own, and its sides are the folders train, validation and test where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from edge_app.errors import DatasetError
from trainer.datasets.face_labels import ClassNames, expression
from trainer.datasets.face_picture import decode
from trainer.datasets.face_set import OWN, OWN_TEST, OWN_TRAIN, OWN_VALIDATION, FaceCollector
from trainer.datasets.fer2013_facts import USAGES

FER_LAYOUT = "FER-2013's folders: <class>/<Usage>_<id>.jpg"
LAYOUT = "folders named by class"
_SIDES = {
    OWN_TRAIN: re.compile("train(ing)?", re.IGNORECASE),
    OWN_VALIDATION: re.compile("val(id|idation)?|dev(elopment)?", re.IGNORECASE),
    OWN_TEST: re.compile("test(ing)?", re.IGNORECASE),
}


def own_side(folders: Iterable[str]) -> str:
    """Return the side of an own split that folders' names tell; the innermost one counts."""
    for folder in reversed(tuple(folders)):
        for side, pattern in _SIDES.items():
            if pattern.fullmatch(folder):
                return side
    return OWN


def read_folders(files: Iterable[tuple[str, bytes]], into: FaceCollector) -> str:
    """Read pictures whose class is the nearest folder named by one.

    Args:
        files: name with its folders, and content.
        into: takes the pictures.

    Returns:
        The layout in words.

    Raises:
        DatasetError: folders are numbered: which number means which class is not known.
    """
    classes = ClassNames(into.labels)
    prefixed = False
    for name, data in files:
        path = PurePosixPath(name)
        folders = path.parent.parts
        word = next((folder for folder in reversed(folders) if _is_class(folder, classes)), None)
        if word is None:
            if path.parent.name.isdecimal():
                raise _numbered(path)
            into.leave_out(f"folder {path.parent.name or '.'} is named by no class")
            continue
        label = classes.index(word)
        if label is None:
            into.leave_out(f"{word.lower()} is none of the classes")
            continue
        usage = path.name.split("_")[0]
        prefixed |= usage in USAGES
        usage = usage if usage in USAGES else own_side(folders[1:])
        try:
            picture = decode(data, name, into.size_px)
        except DatasetError as error:
            into.refuse(error)
            continue
        into.add(name, label, usage, picture)
    return FER_LAYOUT if prefixed else LAYOUT


def _is_class(folder: str, classes: ClassNames) -> bool:
    return expression(folder) is not None or classes.index(folder) is not None


def _numbered(path: PurePosixPath) -> DatasetError:
    return DatasetError(
        "folders are numbered: some copies count in the order of the csv, some alphabetically,"
        " which swaps neutral, sad and surprise",
        source=str(path.parent),
        expected="folders named by class, such as angry or happy",
        got=path.parent.name,
        next_step="Look at the pictures of a few folders, and rename each by what it shows",
    )
