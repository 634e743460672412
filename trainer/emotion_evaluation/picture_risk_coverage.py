"""What is gained when unsure pictures get no answer, as a picture."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from trainer.emotion_evaluation.style import BLUE, GREEN, GREY


def risk_coverage_picture(figures: dict[str, Any], title: str) -> Figure:
    """Draw the share of wrong answers against the share of pictures answered.

    Args:
        figures: as ``examine_faces`` gave them.
        title: what is shown.

    Returns:
        The picture, the threshold for the stated accuracy marked where there is one.
    """
    found = figures["risk_coverage"]
    curve, at = found["curve"], found["at_accuracy"]
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [row["coverage"] for row in curve],
        [row["risk"] for row in curve],
        color=BLUE,
        label=f"model, area {found['aurc']:.3f} (best possible {found['aurc_best']:.3f})",
    )
    wanted = 1.0 - at["wanted"]
    axes.axhline(wanted, color=GREY, linestyle=":", label=f"{at['wanted']:.0%} right, as wanted")
    if at["threshold"] is not None:
        axes.plot(
            [at["coverage"]],
            [1.0 - at["accuracy"]],
            color=GREEN,
            marker="o",
            linestyle="none",
            label=f"confidence from {at['threshold']:.3f}: {at['coverage']:.1%} answered",
        )
    axes.set(xlim=(0, 1), ylim=(0, None), xlabel="coverage: share of pictures answered")
    axes.set_ylabel("risk: share of wrong answers among them")
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")
    return figure
