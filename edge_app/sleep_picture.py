"""The picture of a night: hypnogram, hypnodensity and confidence over one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.errors import ConfigError
from edge_app.sinks.files import writing_to
from edge_app.sleep_record import Night
from edge_app.sleep_report import NOTE, SleepReport, unknown_stretches
from edge_app.sleep_statistics import REM, STAGES

PICTURE_FILE = "sleep.png"
LEVELS = ("N3", "N2", "N1", "R", "W")
"""From below; all five are there whether the night has them or not."""
COLOURS = {"W": "#f2b134", "R": "#c0392b", "N1": "#9ecae1", "N2": "#4292c6", "N3": "#08306b"}


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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "pictures need matplotlib",
            source="edge-app report",
            next_step="Install it with: pip install 'bedside[report]'",
        ) from error
    night = report.night
    figure = Figure(figsize=(11, 8), layout="constrained")
    stages, density, sureness = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    hours = np.arange(len(night.epochs) + 1) * night.epoch_s / 3600.0
    _hypnogram(stages, report, hours)
    _hypnodensity(density, night, hours)
    _confidence(sureness, night, hours)
    for axes in (stages, density, sureness):
        _hatch(axes, night, hours, named=axes is stages)
    sureness.set_xlim(0.0, max(hours[-1], night.epoch_s / 3600.0))
    sureness.set_xlabel(_time_axis(night))
    simulated = "SIMULATED, " if night.simulated else ""
    figure.suptitle(f"{simulated}{night.stream}: estimated sleep stages. {NOTE}", fontsize="medium")
    path = folder / name
    with writing_to(path):
        figure.savefig(path, dpi=110)
    return path


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
        if at_s is not None:
            axes.axvline(at_s / 3600.0, color="0.4", linestyle=":")
            note = axes.text(at_s / 3600.0, len(LEVELS) - 0.45, text, ha="center", clip_on=True)
            note.set(fontsize="small", in_layout=False)
    axes.set_yticks(range(len(LEVELS)), LEVELS)
    axes.set_ylim(-0.7, len(LEVELS) - 0.2)
    axes.set_ylabel("stage")
    axes.legend(fontsize="small", loc="lower right", ncols=2)


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
    axes.legend(fontsize="small", loc="lower right", ncols=len(STAGES))


def _confidence(axes: Any, night: Night, hours: Any) -> None:
    known = [None if a is None else a.confidence for a in night.epochs]
    values = [float("nan") if value is None else value for value in known]
    axes.stairs(values, hours, baseline=None, color="0.2")
    axes.set(ylim=(0.0, 1.0), ylabel="confidence")
    axes.grid(alpha=0.3)


def _hatch(axes: Any, night: Night, hours: Any, *, named: bool) -> None:
    """Hatch what is unknown; say why where there is room."""
    for first, end, reason in unknown_stretches(night):
        axes.axvspan(hours[first], hours[end], facecolor="none", edgecolor="0.6", hatch="///")
        if named and end - first >= max(4, len(night.epochs) // 40):
            middle = (hours[first] + hours[end]) / 2.0
            text = reason.replace("_", " ")
            axes.text(middle, 2.0, text, rotation=90, ha="center", va="center", fontsize="small")


def _time_axis(night: Night) -> str:
    if not night.dated:
        return "hours from the start of the recording"
    zone = None if night.live else timezone.utc
    start = datetime.fromtimestamp(night.start_unix_s, timezone.utc).astimezone(zone)
    return f"hours from {start:%Y-%m-%d %H:%M:%S}"
