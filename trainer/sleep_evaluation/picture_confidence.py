"""Calibration, and what is gained and lost by leaving unsure epochs unanswered, as a picture."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.sleep_evaluation.style import COLOURS, GREY, number


def confidence_picture(figures: dict[str, Any], title: str) -> Figure:
    """Draw reliability on the left, accuracy and every stage's coverage on the right.

    Args:
        figures: of one delay, as ``figures_of`` gave them.
        title: what is shown.

    Returns:
        The picture.
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _reliability(left, figures)
    _risk_coverage(right, figures)
    figure.suptitle(title, fontsize="medium")
    return figure


def _reliability(axes: Axes, figures: dict[str, Any]) -> None:
    rows = figures["reliability"]
    total = sum(row["n"] for row in rows)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle="--", label="calibrated")
    axes.bar(
        [row["said"] for row in rows],
        [row["n"] / total for row in rows],
        width=0.05,
        color=GREY,
        alpha=0.3,
        label="share of the epochs",
    )
    axes.plot(
        [row["said"] for row in rows],
        [row["true"] for row in rows],
        color=COLOURS["N3"],
        marker="o",
        label="model",
    )
    for row in rows:
        axes.annotate(
            f"{row['n']:,}",
            (row["said"], row["true"]),
            xytext=(5, -12),
            textcoords="offset points",
            fontsize="x-small",
            color=GREY,
        )
    axes.set(xlim=(0, 1.05), ylim=(0, 1.02))
    axes.set(xlabel="said: largest probability", ylabel="came true: share of right answers")
    axes.set_title(
        f"calibration: ECE {number(figures['ece'])}, Brier {number(figures['brier'])}",
        fontsize="medium",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")


def _risk_coverage(axes: Axes, figures: dict[str, Any]) -> None:
    rows = figures["risk_coverage"]
    coverage = [row["coverage"] for row in rows]
    axes.plot(
        coverage,
        [row["accuracy"] for row in rows],
        color="black",
        marker="o",
        linewidth=2,
        label="accuracy of what is answered",
    )
    for label in figures["labels"]:
        shares = [row["coverage_per_class"][label] for row in rows]
        if None not in shares:
            axes.plot(coverage, shares, color=COLOURS[label], label=f"{label} answered")
    axes.set(ylim=(0, 1.02), xlabel="share of all epochs answered, least sure left out first")
    axes.set_ylabel("share")
    axes.invert_xaxis()
    axes.set_title("risk and coverage, one threshold for all stages", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize="small")
