"""A count and its noun in words."""

from __future__ import annotations


def counted(n: int, one: str, many: str = "") -> str:
    """Write a count with its noun, such as ``1 window`` or ``2,000 windows``.

    Args:
        n: how many.
        one: the noun for 1.
        many: the noun for any other number; empty: ``one`` and an s.

    Returns:
        The words.
    """
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
