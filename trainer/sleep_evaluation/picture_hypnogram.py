"""One night as a picture: expert, model with what differs marked, and the hypnodensity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.datasets.sleep_stages import EPOCH_S, STAGES
from trainer.metrics import IGNORE
from trainer.sleep_evaluation.agreement import confusion, headline, none_if_nan
from trainer.sleep_evaluation.night_answers import NO_ANSWER, NightAnswers
from trainer.sleep_evaluation.style import COLOURS, GREY, HEIGHT, TOP_DOWN, WRONG, number

WRONG_HEIGHT = -4.75
"""Where epochs that differ are marked, below N3."""


def hypnogram_picture(night: NightAnswers, said: str) -> Figure:
    """Draw a night: the expert above, the model below it, the probabilities as a stacked area.

    All five stages have their place on the axes whether they occur or not. Epochs that nobody
    scored, or that got no answer, are grey.

    Args:
        night: answered with one delay.
        said: how long answers waited, in words.

    Returns:
        The picture.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.15, 1.1))
    step = EPOCH_S / 3600.0 if night.contiguous else 1.0
    edges = np.arange(len(night.stages) + 1, dtype=np.float64) * np.float64(step)
    _steps(top, edges, night.stages, "expert", unknown=IGNORE)
    _steps(middle, edges, night.answers, f"model, {said}", unknown=NO_ANSWER)
    wrong = night.scored & night.answered & (night.answers != night.stages)
    middle.vlines(
        ((edges[:-1] + edges[1:]) / 2)[wrong],
        WRONG_HEIGHT - 0.3,
        WRONG_HEIGHT + 0.3,
        color=WRONG,
        linewidth=0.9,
    )
    middle.set_yticks(
        [*(HEIGHT[STAGES.index(stage)] for stage in TOP_DOWN), WRONG_HEIGHT],
        [*TOP_DOWN, "differs"],
    )
    middle.get_yticklabels()[-1].set_color(WRONG)
    middle.set_ylim(WRONG_HEIGHT - 0.5, 0.5)
    _density(bottom, edges, night)
    unit = "hours since the first epoch shown"
    unit = unit if night.contiguous else "rows; epochs are missing between them"
    bottom.set_xlabel(f"{unit}; grey: not scored, or no answer")
    bottom.set_xlim(edges[0], max(edges[-1], edges[0] + 1e-3))
    figures = headline(confusion(night))
    shown = {name: number(none_if_nan(value)) for name, value in figures.items()}
    figure.suptitle(
        f"{night.night} (subject {night.subject}): accuracy {shown['accuracy']}, kappa "
        f"{shown['kappa']}, macro-F1 {shown['macro_f1']}; {int(wrong.sum())} of "
        f"{int((night.scored & night.answered).sum())} epochs differ",
        fontsize="medium",
    )
    return figure


def _steps(
    axes: Axes,
    edges: npt.NDArray[np.float64],
    stages: npt.NDArray[np.int64],
    title: str,
    *,
    unknown: int,
) -> None:
    heights = np.array([HEIGHT.get(int(stage), np.nan) for stage in stages])
    axes.stairs(heights, edges, baseline=None, color="0.15", linewidth=1.0)
    rem = np.where(stages == STAGES.index("R"), heights, np.nan)
    axes.stairs(rem, edges, baseline=None, color=COLOURS["R"], linewidth=4.0)
    _grey(axes, edges, stages == unknown)
    axes.set_yticks([HEIGHT[STAGES.index(stage)] for stage in TOP_DOWN], TOP_DOWN)
    axes.set_ylim(-4.5, 0.5)
    axes.set_title(title, loc="left", fontsize="medium")
    axes.grid(axis="y", alpha=0.3)


def _density(axes: Axes, edges: npt.NDArray[np.float64], night: NightAnswers) -> None:
    below = np.zeros(len(night.stages))
    for stage in reversed(TOP_DOWN):
        share = np.nan_to_num(night.probabilities[:, STAGES.index(stage)].astype(np.float64))
        axes.stairs(
            below + share, edges, baseline=below, fill=True, color=COLOURS[stage], label=stage
        )
        below = below + share
    _grey(axes, edges, ~night.answered)
    axes.set(ylim=(0, 1), ylabel="probability")
    axes.set_title("hypnodensity of the model", loc="left", fontsize="medium")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small"
    )


def _grey(axes: Axes, edges: npt.NDArray[np.float64], lacking: npt.NDArray[np.bool_]) -> None:
    """Shade runs of epochs of which nothing is known."""
    steps = np.diff(np.concatenate([[False], lacking, [False]]).astype(np.int64))
    for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        axes.axvspan(edges[start], edges[stop], color=GREY, alpha=0.35, linewidth=0)
