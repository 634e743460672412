"""What was said against what came true, before and after the temperature, as a picture."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.emotion_evaluation.style import BLUE, GREY, RED, number


def reliability_picture(figures: dict[str, Any], title: str) -> Figure:
    """Draw two reliability diagrams.

    Args:
        figures: as ``examine_faces`` gave them.
        title: what is shown.

    Returns:
        The picture: the model without its temperature on the left, as shipped on the right.
    """
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _diagram(left, figures["calibration_before"], "before temperature scaling", RED)
    _diagram(right, figures["calibration_after"], "after, as shipped", BLUE)
    left.set_ylabel("came true: share of right answers")
    figure.suptitle(title, fontsize="medium")
    return figure


def _diagram(axes: Axes, found: dict[str, Any], name: str, colour: str) -> None:
    rows = found["reliability"]
    total = sum(row["n"] for row in rows)
    said, true = [row["said"] for row in rows], [row["true"] for row in rows]
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle="--", label="calibrated")
    shares = [row["n"] / total for row in rows]
    axes.bar(said, shares, width=0.04, color=GREY, alpha=0.3, label="share of the pictures")
    axes.plot(said, true, color=colour, marker="o", label="model")
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="said: largest probability")
    axes.set_title(
        f"{name}: ECE {number(found['ece'])}, Brier {number(found['brier'])}", fontsize="medium"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")
