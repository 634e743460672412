"""A replayed walk as a person would look at it: a table, and a picture of every stride."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_app.errors import ConfigError, SourceError
from edge_app.gait_record import STRIDES_FILE, SUMMARY_FILE
from edge_app.sinks.files import writing_to
from edge_app.tasks.person_gait import SHOWN_PARAMETERS

PICTURE_FILE = "gait.png"
ROWS = (
    ("stride_time_s", "stride time", "s", 1.0),
    ("cadence_strides_per_min", "cadence", "strides/min", 1.0),
    ("stride_length_m", "stride length", "m", 1.0),
    ("stride_speed_mps", "stride speed", "m/s", 1.0),
    ("load_fraction", "load", "% of the stride", 100.0),
    ("foot_flat_fraction", "foot flat", "% of the stride", 100.0),
    ("push_fraction", "push", "% of the stride", 100.0),
    ("swing_fraction", "swing", "% of the stride", 100.0),
    ("toe_off_angle_deg", "toe-off angle", "degrees", 1.0),
    ("heel_strike_angle_deg", "heel-strike angle", "degrees", 1.0),
    ("clearance_m", "clearance of the sensor", "m", 1.0),
    ("path_2d_m", "way seen from above", "m", 1.0),
    ("path_3d_m", "way", "m", 1.0),
)
"""Parameter, what people call it, unit shown, factor to it."""
_PHASES = ("load_fraction", "foot_flat_fraction", "push_fraction", "swing_fraction")


@dataclass(frozen=True, slots=True)
class GaitReport:
    """What a frailty replay left in its folder.

    Args:
        summary: ``gait.json``.
        strides: ``strides.csv``, one mapping a stride; empty text where not known.
    """

    summary: dict[str, Any]
    strides: tuple[dict[str, str], ...]

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Return parameter, unit, mean, standard deviation and number of strides, as text."""
        rows = []
        for name, title, unit, factor in ROWS:
            found = self.summary["parameters"].get(name)
            if found is None or found["mean"] is None:
                continue
            spread = "" if found["sd"] is None else f"{factor * found['sd']:.3g}"
            rows.append((title, unit, f"{factor * found['mean']:.3g}", spread, str(found["n"])))
        return rows

    def column(self, name: str, *, accepted: bool) -> tuple[list[float], list[float]]:
        """Return when strides ended and what they measured, those that are known."""
        times_s, values = [], []
        for stride in self.strides:
            if (stride["rejected"] == "") == accepted and stride[name]:
                times_s.append(float(stride["end_s"]))
                values.append(float(stride[name]))
        return times_s, values


def read_report(folder: Path) -> GaitReport:
    """Read what ``edge-app replay --task frailty`` wrote.

    Args:
        folder: its ``--out``.

    Returns:
        What both files hold; whatever is shown later can be read.

    Raises:
        SourceError: nothing of the kind there, or damaged.
    """
    try:
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        with (folder / STRIDES_FILE).open(encoding="utf-8", newline="") as file:
            strides = tuple(csv.DictReader(file))
        report = GaitReport(summary, strides)
        _read_all(report)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        csv.Error,
    ) as error:
        raise SourceError(
            f"no gait to report on: {error}",
            source=str(folder),
            expected=f"{SUMMARY_FILE} and {STRIDES_FILE}",
            next_step="Make them with: edge-app replay WALK --task frailty --out DIR",
        ) from error
    return report


def _read_all(report: GaitReport) -> None:
    """Touch whatever is shown later, so that a damaged file is told before anything is shown."""
    report.table()
    lines(report)
    for name in SHOWN_PARAMETERS:
        report.column(name, accepted=True)
    summary = report.summary
    for name in _PHASES:
        _mean(summary, name)
    for value in ((summary["answer"] or {}).get("probabilities") or {}).values():
        float(value)
    for row in summary["contributions"].values():
        _towards(row)
    str(summary["recording"])


def _mean(summary: dict[str, Any], name: str) -> float | None:
    mean = summary["parameters"][name]["mean"]
    return None if mean is None else float(mean)


def _towards(row: dict[str, float]) -> float:
    """Return what a parameter adds to the last label's logit beyond the first label's."""
    values = list(row.values())
    return float(values[-1]) - float(values[0])


def draw(report: GaitReport, folder: Path) -> Path:
    """Draw the walk as ``gait.png``.

    Args:
        report: what to draw.
        folder: where the picture goes.

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
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(3, 2)
    _over_time(axes[0, 0], report, "stride_time_s", "stride time, s")
    _over_time(axes[0, 1], report, "stride_speed_mps", "stride speed, m/s")
    _over_time(axes[1, 0], report, "stride_length_m", "stride length, m")
    _phases(axes[1, 1], report)
    _probabilities(axes[2, 0], report)
    _contributions(axes[2, 1], report)
    summary = report.summary
    simulated = "SIMULATED, " if summary.get("simulated") else ""
    figure.suptitle(
        f"{simulated}{summary['recording']}: {summary['strides']['accepted']} strides count, "
        f"{summary['walking_s']:.0f} s of walking. Not a medical device.",
        fontsize="medium",
    )
    path = folder / PICTURE_FILE
    with writing_to(path):
        figure.savefig(path, dpi=110)
    return path


def _over_time(axes: Any, report: GaitReport, name: str, title: str) -> None:
    times_s, values = report.column(name, accepted=True)
    axes.plot(times_s, values, "o", markersize=4, label="counts")
    times_s, values = report.column(name, accepted=False)
    axes.plot(times_s, values, "x", color="0.6", markersize=5, label="left out: turn, start, stop")
    axes.set(ylabel=title, xlabel="time, s", ylim=(0, None))
    axes.grid(alpha=0.3)
    if times_s:
        axes.legend(fontsize="small", loc="lower right")


def _phases(axes: Any, report: GaitReport) -> None:
    means = {name: _mean(report.summary, name) for name in _PHASES}
    known = {name: mean for name, mean in means.items() if mean is not None}
    if len(known) < len(means):
        _empty(axes, "phases: no stride counts yet")
        return
    left = 0.0
    for name, mean in known.items():
        title = name.removesuffix("_fraction").replace("_", " ")
        axes.barh([0], [100 * mean], height=0.5, left=left, label=title)
        axes.text(left + 50 * mean, 0, f"{100 * mean:.0f}", ha="center", va="center")
        left += 100 * mean
    axes.set(yticks=[], xlabel="% of the stride, from heel strike", ylim=(-0.5, 1.0))
    axes.legend(fontsize="small", ncols=4, loc="upper center")


def _probabilities(axes: Any, report: GaitReport) -> None:
    answer = report.summary["answer"] or {}
    probabilities = answer.get("probabilities") or {}
    if not probabilities:
        reason = (answer.get("abstained") or "no answer").replace("_", " ")
        _empty(axes, f"frailty: {reason}")
        return
    axes.bar(list(probabilities), list(probabilities.values()), color="0.5")
    label = answer.get("label") or "unsure"
    axes.set(ylim=(0, 1), title=f"frailty of the person: {label}")
    axes.set_ylabel("probability, were all classes as common")


def _contributions(axes: Any, report: GaitReport) -> None:
    added = report.summary["contributions"]
    if not added:
        _empty(axes, "what moved the answer: no answer yet")
        return
    towards = {name: _towards(row) for name, row in added.items()}
    first, *_, last = next(iter(added.values()))
    names = sorted(towards, key=lambda name: abs(towards[name]))
    values = [towards[name] for name in names]
    colours = ["tab:red" if value > 0 else "tab:blue" for value in values]
    axes.barh(names, values, color=colours)
    axes.axvline(0.0, color="0.3", linewidth=0.8)
    axes.tick_params(axis="y", labelsize="x-small")
    widest = max(map(abs, values)) or 1.0
    axes.set_xlim(-1.1 * widest, 1.1 * widest)
    axes.set(xlabel=f"towards {first}  |  towards {last} (logits)", title="what moved the answer")


def _empty(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()


def lines(report: GaitReport) -> Sequence[str]:
    """Return what the table does not say, in sentences."""
    summary, answer = report.summary, report.summary["answer"] or {}
    rejected = sum(summary["strides"]["rejected"].values())
    said = [
        f"{summary['strides']['accepted']} strides count, {rejected} do not; "
        f"{summary['walking_s']:.0f} s of walking in {len(summary['bouts'])} bout(s)"
    ]
    if answer.get("label"):
        said.append(f"frailty of the person: {answer['label']}")
    else:
        reason = (answer.get("abstained") or "no answer").replace("_", " ")
        said.append(f"frailty of the person: unknown, {reason}")
    return said
