"""A count and its noun agree."""

from __future__ import annotations

import pytest

from edge_app.counted import counted


@pytest.mark.parametrize(
    ("n", "words"), [(0, "0 windows"), (1, "1 window"), (2, "2 windows"), (12345, "12,345 windows")]
)
def test_an_s_for_all_but_one(n: int, words: str) -> None:
    assert counted(n, "window") == words


def test_a_plural_of_its_own() -> None:
    assert [counted(n, "person", "people") for n in (1, 3)] == ["1 person", "3 people"]
