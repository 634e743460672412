"""Names of expressions as people write them: classes are matched by name, never by order."""

from __future__ import annotations

import re
from collections.abc import Sequence

SPELLINGS = (
    ("angry", "anger"),
    ("contempt", "contemptuous"),
    ("disgust", "disgusted"),
    ("fear", "fearful", "afraid"),
    ("happy", "happiness"),
    ("neutral", "neutrality"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
)
"""Words for one expression; which one a class is called by is the user's choice."""
_NOT_LETTERS = re.compile("[^a-z]")
_EXPRESSION = {word: group[0] for group in SPELLINGS for word in group}


def expression(name: str) -> str | None:
    """Return the first spelling of a known expression, or None.

    Args:
        name: of a folder or a file without its suffix: case, digits and signs do not count.

    Returns:
        The word.
    """
    return _EXPRESSION.get(_letters(name))


def class_key(name: str) -> str:
    """Return what two spellings of one class have in common, empty for a name without letters."""
    return expression(name) or _letters(name)


def same_classes(some: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether two lists name the same classes in the same order, in any spelling."""
    return [class_key(name) for name in some] == [class_key(name) for name in others]


class ClassNames:
    """Finds the class that a name means.

    Args:
        labels: the classes in the order of their numbers, in any spelling.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._index = {class_key(label): index for index, label in enumerate(labels)}

    def index(self, name: str) -> int | None:
        """Return the class's number, or None where the name means none of these classes."""
        return self._index.get(class_key(name))


def _letters(name: str) -> str:
    return _NOT_LETTERS.sub("", name.casefold())
