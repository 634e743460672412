"""How every picture and number of this package looks, and which parts are shown."""

from __future__ import annotations

from typing import Any

BLUE = "#1b3f73"
RED = "#c00000"
GREEN = "#2e7d32"
GREY = "#777777"
DPI = 110


def number(value: float | None) -> str:
    """Return a figure with three digits, or ``-`` where there is none."""
    return "-" if value is None else f"{value:.3f}"


def with_ends(value: float | None, ends: list[float] | None) -> str:
    """Return for instance ``0.643 [0.627, 0.658]``."""
    if value is None or ends is None:
        return number(value)
    return f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def scored_subsets(figures: dict[str, Any]) -> dict[str, Any]:
    """Return ``subsets`` that have examples: there are no figures of nothing to show."""
    return {name: part for name, part in figures["subsets"].items() if part["n"]}
