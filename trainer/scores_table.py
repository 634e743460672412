"""What ``evaluate`` found, as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from trainer.emotion_evaluation.style import scored_subsets
from trainer.emotion_evaluation.tables import face_tables
from trainer.metrics import FEW, HEADINGS, HEADLINE
from trainer.sleep_evaluation.tables import sleep_tables


def scores_table(figures: dict[str, Any]) -> RenderableType:
    """Return the headline figures of ``evaluate``, small groups and those without a class marked.

    Args:
        figures: as ``evaluate`` returned them.

    Returns:
        A table ready to be printed; of staged nights several, see ``sleep_tables``, of examined
        faces too, see ``face_tables``.
    """
    if "delays" in figures:
        return sleep_tables(figures)
    table = Table(title=f"{figures['bundle']} on {figures['data']}")
    table.add_column("examples", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for name in HEADINGS:
        table.add_column(name, justify="right")
    rows = {"all": figures, **scored_subsets(figures)}
    few = {name for name, scores in rows.items() if scores["n"] < FEW}
    lacking = {
        name
        for name, scores in rows.items()
        if any(row["support"] == 0 for row in scores["per_class"].values())
    }
    for name, scores in rows.items():
        marks = ("*" if name in lacking else "") + ("!" if name in few else "")
        values = [f"{scores[key]:.3f}" for key in HEADLINE]
        table.add_row(name.replace("_", " "), f"{scores['n']}{marks}", *values)
    legend = [f"! fewer than {FEW}: says little."] if few else []
    legend += ["* nobody of a class: macro-F1 and ECE do not compare."] if lacking else []
    table.caption = " ".join(legend) or None
    return Group(table, *face_tables(figures)) if "calibration_after" in figures else table
