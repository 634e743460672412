"""The picture of facial expressions over time: rolling distribution, episodes, coverage."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.expression_record import PICTURE_FILE, WINDOW_S, ExpressionRecord
from edge_app.expression_report import UNSURE
from edge_app.expression_timeline import Point
from edge_app.figure_file import new_figure, save_figure

_COLOURS = ("#c0392b", "#7f8c3a", "#7d3c98", "#f2b134", "#2e6da4", "#e67e22", "#bfc9ca", "#17a589")
_UNSURE_COLOUR = "#f0f0f0"
_BESIDE = {"fontsize": "small", "loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
"""A legend outside of its plot, on the right."""
_STEP: Any = "pre"
"""A point speaks for the time since the point before it, as an answer does."""


def draw_expressions(record: ExpressionRecord, folder: Path, name: str = PICTURE_FILE) -> Path:
    """Draw what was seen as ``expression.png``.

    Args:
        record: what to draw.
        folder: where the picture goes.
        name: of the file.

    Returns:
        The picture's path.

    Raises:
        ConfigError: matplotlib is not installed.
        SinkError: the picture cannot be written.
    """
    unit_s, unit = _time_unit(record.time.length_s)
    figure = new_figure((11, 7))
    shares, episodes, coverage = figure.subplots(3, 1, sharex=True, height_ratios=(4, 1.5, 1))
    points = _with_silences(record)
    times = np.array([point.at_s for point in points]) / unit_s
    cover = np.array([point.coverage for point in points])
    _distribution(shares, record.labels, points, times)
    _episodes(episodes, record, unit_s)
    coverage.fill_between(times, 100 * cover, color="0.45", step=_STEP)
    coverage.set(ylim=(0, 100), ylabel=f"% covered,\nlast {WINDOW_S:g} s")
    coverage.set_xlim(0.0, max(record.time.length_s, 1.0) / unit_s)
    coverage.set_xlabel(f"{unit} from the start{_start(record)}")
    simulated = "SIMULATED, " if record.simulated else ""
    figure.suptitle(
        f"{simulated}{record.stream}: facial expression. Not a medical device, no alarm.",
        fontsize="medium",
    )
    return save_figure(figure, folder / name)


def _time_unit(length_s: float) -> tuple[float, str]:
    """Return seconds a unit, and the unit that suits a recording so long."""
    if length_s >= 7200.0:
        return 3600.0, "hours"
    return (60.0, "minutes") if length_s >= 120.0 else (1.0, "seconds")


def _with_silences(record: ExpressionRecord) -> list[Point]:
    """Return the timeline with a point of no coverage at the end of every silence."""
    points: list[Point] = []
    longest_s = max(WINDOW_S, 3.0 * record.timeline.every_s)
    for point in record.timeline.points:
        if points and point.at_s - points[-1].at_s > longest_s:
            points.append(Point(point.at_s, 0.0, {}))
        points.append(point)
    return points


def _distribution(axes: Any, labels: tuple[str, ...], points: list[Point], times: Any) -> None:
    below = np.zeros(len(points))
    for label, colour in zip(labels, cycle(_COLOURS), strict=False):
        share = np.array([point.shares.get(label, 0.0) for point in points])
        filled = {"linewidth": 0, "label": label, "step": _STEP}
        axes.fill_between(times, below, below + share, color=colour, **filled)
        below = below + share
    seen = np.array([1.0 if point.shares else 0.0 for point in points])
    filled = {"linewidth": 0, "label": UNSURE, "step": _STEP}
    axes.fill_between(times, below, seen, color=_UNSURE_COLOUR, **filled)
    axes.set(ylim=(0.0, 1.0), ylabel=f"share of covered time,\nlast {WINDOW_S:g} s")
    if not seen.any():
        nothing = "no face usable for long enough to draw"
        axes.text(0.5, 0.5, nothing, ha="center", va="center", transform=axes.transAxes)
        return
    axes.legend(reverse=True, **_BESIDE)


def _episodes(axes: Any, record: ExpressionRecord, unit_s: float) -> None:
    """Draw a bar an episode, a row an expression, darker where its peak is higher."""
    told = [label for label in record.labels if any(e.label == label for e in record.episodes)]
    for episode in record.episodes:
        if episode.label not in told:
            continue
        least = record.time.length_s / 400.0  # or it could not be seen
        width_s = max(episode.end_s - episode.start_s, least)
        colour = _COLOURS[record.labels.index(episode.label) % len(_COLOURS)]
        axes.barh(
            told.index(episode.label),
            width_s / unit_s,
            left=episode.start_s / unit_s,
            height=0.6,
            color=colour,
            alpha=0.3 + 0.7 * episode.peak_probability,
        )
    axes.set_yticks(range(len(told)), told)
    axes.set_ylim(-0.6, max(len(told), 1) - 0.4)
    axes.set_ylabel("episodes")
    if not told:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes)


def _start(record: ExpressionRecord) -> str:
    unix_s = record.time.start_unix_s
    if unix_s is None:
        return ""
    return f", {datetime.fromtimestamp(unix_s, tz=timezone.utc):%Y-%m-%d %H:%M} UTC"
