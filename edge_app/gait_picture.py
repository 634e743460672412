"""The picture of a replayed walk: every stride, the phases, the answer and what moved it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_app.counted import counted
from edge_app.figure_file import new_figure, save_figure
from edge_app.gait_report import PHASES, GaitReport, lacking, mean_of, plain_name, towards

PICTURE_FILE = "gait.png"


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
    figure = new_figure((11, 8))
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
        f"{simulated}{summary['recording']}: "
        f"{counted(summary['strides']['accepted'], 'stride')} accepted, "
        f"{summary['walking_s']:.0f} s of walking. Not a medical device.",
        fontsize="medium",
    )
    return save_figure(figure, folder / PICTURE_FILE)


def _over_time(axes: Any, report: GaitReport, name: str, title: str) -> None:
    times_s, values = report.column(name, accepted=True)
    axes.plot(times_s, values, "o", markersize=4, label="counts")
    times_s, values = report.column(name, accepted=False)
    axes.plot(times_s, values, "x", color="0.6", markersize=5, label="left out (see strides.csv)")
    if not report.strides:
        _empty(axes, f"{title}: no strides")
        return
    axes.set(ylabel=title, xlabel="time, s", xlim=_span_s(report))
    axes.set_ylim(0.0, 1.1 * axes.get_ylim()[1])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")


def _phases(axes: Any, report: GaitReport) -> None:
    means = {name: mean_of(report.summary, name) for name in PHASES}
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
        _empty(axes, f"frailty: {lacking(report)}")
        return
    axes.bar(list(probabilities), list(probabilities.values()), color="0.5")
    label = answer.get("label") or "unsure"
    axes.set(ylim=(0, 1), title=f"frailty of the person: {label}")
    axes.set_ylabel("probability*")
    axes.set_xlabel("* were all classes as common")


def _contributions(axes: Any, report: GaitReport) -> None:
    added = report.summary["contributions"]
    if not added:
        _empty(axes, "what moved the answer: no answer yet")
        return
    added_by = {plain_name(name): towards(row) for name, row in added.items()}
    first, *_, last = next(iter(added.values()))
    names = sorted(added_by, key=lambda name: abs(added_by[name]))
    values = [added_by[name] for name in names]
    colours = ["tab:red" if value > 0 else "tab:blue" for value in values]
    axes.barh(names, values, color=colours)
    axes.axvline(0.0, color="0.3", linewidth=0.8)
    axes.tick_params(axis="y", labelsize="small")
    widest = max(map(abs, values)) or 1.0
    axes.set_xlim(-1.1 * widest, 1.1 * widest)
    axes.set(xlabel=f"towards {first}  |  towards {last} (log-odds)", title="what moved the answer")


def _empty(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()


def _span_s(report: GaitReport) -> tuple[float, float]:
    """Return the time that all panels show."""
    ends_s = [float(stride["end_s"]) for stride in report.strides if stride["end_s"]]
    margin_s = 0.05 * (max(ends_s) - min(ends_s)) + 1.0
    return min(ends_s) - margin_s, max(ends_s) + margin_s
