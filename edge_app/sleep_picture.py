"""The picture of a night: hypnogram, hypnodensity and confidence over one time axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.figure_file import new_figure, save_figure
from edge_app.sleep_lights import clock_time
from edge_app.sleep_record import Night
from edge_app.sleep_report import NOTE, SleepReport, unknown_stretches, warm_up_stretches
from edge_app.sleep_statistics import REM

PICTURE_FILE = "sleep.png"
LEVELS = ("N3", "N2", "N1", "R", "W")
"""From below; all five are there whether the night has them or not."""
COLOURS = {"W": "#f2b134", "R": "#c0392b", "N1": "#9ecae1", "N2": "#4292c6", "N3": "#08306b"}
TICK_STEPS_H = (1 / 120, 1 / 60, 1 / 30, 1 / 12, 1 / 6, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0)
MAX_TICKS = 13
_WARM_UP_COLOUR = "#fff3d6"
_BESIDE = {"fontsize": "small", "loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
"""A legend outside of its plot, on the right."""


def draw_night(report: SleepReport, folder: Path, name: str = PICTURE_FILE) -> Path:
    """Draw a night as ``sleep.png``.

    Args:
        report: what to draw.
        folder: where the picture goes.
        name: of the file.

    Returns:
        The picture's path.

    Raises:
        ConfigError: matplotlib is not installed.
        SinkError: the picture cannot be written.
    """
    night = report.night
    figure = new_figure((11, 8))
    stages, density, sureness = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    hours = np.arange(len(night.epochs) + 1) * night.epoch_s / 3600.0
    _hypnogram(stages, report, hours)
    _hypnodensity(density, night, hours)
    _confidence(sureness, night, hours)
    for axes in (stages, density, sureness):
        _hatch(axes, night, hours, named=axes is stages)
        _mark_warm_up(axes, night, hours)
    stages.legend(**_BESIDE)
    sureness.set_xlim(0.0, max(hours[-1], night.epoch_s / 3600.0))
    _time_axis(sureness, night)
    simulated = "SIMULATED, " if night.simulated else ""
    figure.suptitle(f"{simulated}{night.stream}: estimated sleep stages. {NOTE}", fontsize="medium")
    return save_figure(figure, folder / name)


def _hypnogram(axes: Any, report: SleepReport, hours: Any) -> None:
    """Draw the raw stages, R apart as a thick red line, the smoothed ones faintly behind."""
    raw = report.night.stages
    axes.stairs(
        _levels(report.smoothed), hours, baseline=None, color="0.75", linewidth=4, label="smoothed"
    )
    axes.stairs(_levels(raw), hours, baseline=None, color="0.1", linewidth=1, label="estimated")
    rem = np.flatnonzero([stage == REM for stage in raw])
    axes.hlines(
        [LEVELS.index(REM)] * len(rem), hours[rem], hours[rem + 1], color=COLOURS[REM], linewidth=5
    )
    for at_s, text in ((report.lights_off_s, "lights off"), (report.lights_on_s, "lights on")):
        if at_s is not None and 0.0 <= at_s / 3600.0 <= hours[-1]:
            axes.axvline(at_s / 3600.0, color="0.4", linestyle=":")
            inwards = (4, "left") if at_s / 3600.0 < hours[-1] / 2.0 else (-4, "right")
            axes.annotate(
                text,
                (at_s / 3600.0, len(LEVELS) - 0.5),
                xytext=(inwards[0], 0),
                textcoords="offset points",
                ha=inwards[1],
                fontsize="small",
            )
    axes.set_yticks(range(len(LEVELS)), LEVELS)
    axes.set_ylim(-0.7, len(LEVELS) - 0.2)
    axes.set_ylabel("stage")


def _levels(stages: Sequence[str | None]) -> list[float]:
    return [float("nan") if stage is None else LEVELS.index(stage) for stage in stages]


def _hypnodensity(axes: Any, night: Night, hours: Any) -> None:
    answers = [{} if a is None else a.probabilities for a in night.epochs]
    below = np.zeros(len(answers))
    for stage in LEVELS:
        share = np.array([p.get(stage, 0.0) for p in answers])
        axes.stairs(
            below + share, hours, baseline=below, fill=True, color=COLOURS[stage], label=stage
        )
        below = below + share
    axes.set(ylim=(0.0, 1.0), ylabel="probability")
    axes.legend(reverse=True, **_BESIDE)


def _confidence(axes: Any, night: Night, hours: Any) -> None:
    known = [None if a is None else a.confidence for a in night.epochs]
    values = [float("nan") if value is None else value for value in known]
    axes.stairs(values, hours, baseline=None, color="0.2")
    axes.set(ylim=(0.0, 1.0), ylabel="confidence")
    axes.grid(alpha=0.3)


def _hatch(axes: Any, night: Night, hours: Any, *, named: bool) -> None:
    """Hatch what is unknown; say why where there is room."""
    for number, (first, end, reason) in enumerate(unknown_stretches(night)):
        patch = axes.axvspan(hours[first], hours[end], facecolor="none", edgecolor="0.6")
        patch.set(hatch="///", label="unknown" if number == 0 else None)
        if named and end - first >= max(4, len(night.epochs) // 40):
            middle = (hours[first] + hours[end]) / 2.0
            text = reason.replace("_", " ")
            axes.text(middle, 2.0, text, rotation=90, ha="center", va="center", fontsize="small")


def _mark_warm_up(axes: Any, night: Night, hours: Any) -> None:
    """Tint, behind everything, where the answers rest on little history."""
    for number, (first, end) in enumerate(warm_up_stretches(night)):
        tint = axes.axvspan(hours[first], hours[end], color=_WARM_UP_COLOUR, zorder=0)
        tint.set_label("warming up" if number == 0 else None)


def _time_axis(axes: Any, night: Night) -> None:
    if not night.dated:
        axes.set_xlabel("hours from the start of the recording")
        return
    axes.set_xticks(*clock_ticks(night))
    first = f"{clock_time(night, 0.0):%Y-%m-%d}"
    last = f"{clock_time(night, len(night.epochs) * night.epoch_s):%Y-%m-%d}"
    axes.set_xlabel(f"time of day, {first}" + ("" if first == last else f" to {last}"))


def clock_ticks(night: Night) -> tuple[list[float], list[str]]:
    """Return where round times of day lie on the time axis.

    Args:
        night: dated.

    Returns:
        Hours from the first epoch, and the times of day such as ``23:30``; at most ``MAX_TICKS``.
    """
    length_h = len(night.epochs) * night.epoch_s / 3600.0
    step_h = next(
        (s for s in TICK_STEPS_H if length_h / s < MAX_TICKS), math.ceil(length_h / 24.0) * 24.0
    )
    start = clock_time(night, 0.0)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    start_h = (start - midnight) / timedelta(hours=1)
    numbers = range(
        math.ceil(start_h / step_h - 1e-9), math.floor((start_h + length_h) / step_h) + 1
    )
    hours = [number * step_h - start_h for number in numbers]
    form = "%H:%M" if step_h >= 1 / 60 else "%H:%M:%S"
    half_second = timedelta(seconds=0.5)  # so that rounding errors show no 22:59
    return hours, [(clock_time(night, 3600.0 * h) + half_second).strftime(form) for h in hours]
