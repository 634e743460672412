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


class ClassNames:
    """Finds the class that a name means.

    Args:
        labels: the classes in the order of their numbers, in any spelling.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._index = {self._key(label): index for index, label in enumerate(labels)}

    @staticmethod
    def _key(name: str) -> str:
        return expression(name) or _letters(name)

    def index(self, name: str) -> int | None:
        """Return the class's number, or None where the name means none of these classes."""
        return self._index.get(self._key(name))


def _letters(name: str) -> str:
    return _NOT_LETTERS.sub("", name.casefold())
