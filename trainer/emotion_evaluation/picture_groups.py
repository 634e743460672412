"""Accuracy of every group with its interval, as a picture; few examples are marked."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from trainer.emotion_evaluation.style import BLUE, GREY


def groups_picture(found: dict[str, Any], overall: float, title: str) -> Figure:
    """Draw one line a group.

    Args:
        found: attribute to what ``subgroups`` gave.
        overall: accuracy of all, drawn as a line.
        title: what is shown.

    Returns:
        The picture; groups with few examples are grey and marked with ``!``.
    """
    rows = [
        (f"{attribute}: {value}", row)
        for attribute, groups in found.items()
        for value, row in groups["groups"].items()
    ]
    figure = Figure(figsize=(8, 0.42 * len(rows) + 1.8), layout="constrained")
    axes = figure.subplots()
    for height, (_, row) in enumerate(rows):
        low, high = row["accuracy_wilson"]
        colour = GREY if row["few"] else BLUE
        axes.plot([low, high], [height, height], color=colour)
        axes.plot([row["accuracy"]], [height], color=colour, marker="o")
    names = [f"{name} (n {row['n']:,}{'!' if row['few'] else ''})" for name, row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.axvline(overall, color=GREY, linestyle=":", label=f"all: {overall:.3f}")
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="accuracy, 95 % Wilson interval")
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(loc="lower left", fontsize="small")
    return figure
