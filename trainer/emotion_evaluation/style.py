"""How every picture of this package looks."""

from __future__ import annotations

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
