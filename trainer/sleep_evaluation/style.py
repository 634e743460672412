"""How stages look in every picture."""

from __future__ import annotations

from trainer.datasets.sleep_stages import STAGES

COLOURS = {"W": "#e0a030", "N1": "#9ecae1", "N2": "#4a90c2", "N3": "#1b3f73", "R": "#b5446e"}
"""Apart in lightness too; waking warm, deeper sleep darker."""
TOP_DOWN = ("W", "R", "N1", "N2", "N3")
"""A hypnogram's axis from the top, always all five."""
HEIGHT = {STAGES.index(stage): -float(row) for row, stage in enumerate(TOP_DOWN)}
"""Stage index to its height in a hypnogram."""
WRONG = "#c00000"
GREY = "#777777"
HUMAN = "#2e7d32"
DPI = 110


def number(value: float | None) -> str:
    """Return a figure with three digits, or ``-`` where there is none."""
    return "-" if value is None else f"{value:.3f}"
