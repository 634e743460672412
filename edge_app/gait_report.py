"""A replayed walk as a person would look at it: a table, and a picture of every stride."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_app.counted import counted
from edge_app.errors import SourceError, SourceNotFoundError
from edge_app.gait_record import STRIDES_FILE, SUMMARY_FILE
from edge_app.sleep_record import PREDICTIONS
from edge_app.tasks.person_gait import SHOWN_PARAMETERS

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
PHASES = ("load_fraction", "foot_flat_fraction", "push_fraction", "swing_fraction")


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
        SourceNotFoundError: no such folder, or nothing to report on in it, or not yet.
        SourceError: damaged, or cannot be read.
    """
    if not (folder / SUMMARY_FILE).is_file():
        raise _nothing(folder)
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
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise SourceError(
            f"damaged or incomplete, no gait to report on: {why}",
            source=str(folder),
            expected=f"{SUMMARY_FILE} and {STRIDES_FILE}",
            next_step="Replay the walk again: edge-app replay RECORDING --task frailty --out DIR",
        ) from error
    return report


def _nothing(folder: Path) -> SourceNotFoundError:
    """Return why a folder without a sleep epoch and without gait cannot be reported on."""
    if not folder.is_dir():
        return SourceNotFoundError(
            "this is a file, not a folder" if folder.exists() else "no such folder",
            source=str(folder),
            next_step="Name the --out of a replay, or the directory of a run's jsonl sink",
        )
    if any((folder / name).is_file() for name in PREDICTIONS):
        return SourceNotFoundError(
            "no sleep epoch yet: the first comes 30 s after the EEG",
            source=str(folder),
            next_step="Ask again later; if no EEG is meant to come, only a replay with"
            " --task sleep or --task frailty can be reported on",
        )
    return SourceNotFoundError(
        "neither sleep nor gait nor facial expression here",
        source=str(folder),
        expected=f"{PREDICTIONS[0]} with sleep or facial expression, or {SUMMARY_FILE}",
        next_step="Name the --out of: edge-app replay RECORDING --task sleep --out DIR,"
        " or --task frailty, or --task emotion",
    )


def _read_all(report: GaitReport) -> None:
    """Touch whatever is shown later, so that a damaged file is told before anything is shown."""
    report.table()
    lines(report)
    for name in SHOWN_PARAMETERS:
        report.column(name, accepted=True)
    summary = report.summary
    for name in PHASES:
        mean_of(summary, name)
    for value in ((summary["answer"] or {}).get("probabilities") or {}).values():
        float(value)
    for row in summary["contributions"].values():
        towards(row)
    str(summary["recording"])


def mean_of(summary: dict[str, Any], name: str) -> float | None:
    """Return a parameter's mean over the strides that count; None where there is none."""
    mean = summary["parameters"][name]["mean"]
    return None if mean is None else float(mean)


def towards(row: dict[str, float]) -> float:
    """Return what a parameter adds to the last label's logit beyond the first label's."""
    values = list(row.values())
    return float(values[-1]) - float(values[0])


def lines(report: GaitReport) -> Sequence[str]:
    """Return what the table does not say, in sentences."""
    summary, answer = report.summary, report.summary["answer"] or {}
    rejected = sum(summary["strides"]["rejected"].values())
    bouts = len(summary["bouts"])
    said = [
        f"{counted(summary['strides']['accepted'], 'stride')} accepted, {rejected} left out; "
        f"{summary['walking_s']:.0f} s of walking in {counted(bouts, 'bout')}"
    ]
    shares = ", ".join(
        f"{label} {100 * float(p):.0f} %"
        for label, p in (answer.get("probabilities") or {}).items()
    )
    if answer.get("label"):
        said.append(f"frailty of the person: {answer['label']} ({shares}, were all as common)")
    else:
        said.append(f"frailty of the person: unknown, {lacking(report)}")
    if summary.get("unfamiliar"):
        odd = ", ".join(plain_name(name) for name in summary["unfamiliar"])
        said.append(f"outside everything the model has learnt from: {odd}")
    said.append(
        "Not a medical device: a hint, learnt from older people (see the model card), to be"
        " confirmed by a clinician."
    )
    return said


def lacking(report: GaitReport) -> str:
    """Return why there is no answer, in words."""
    summary, answer = report.summary, report.summary["answer"] or {}
    needed = summary.get("needed") or {}
    if answer.get("abstained") == "insufficient_walking" and needed:
        return (
            f"{summary['strides']['accepted']} of {float(needed['strides']):.0f} strides, "
            f"{float(summary['walking_s']):.0f} of {float(needed['walking_s']):.0f} s of walking"
        )
    return (answer.get("abstained") or "no answer").replace("_", " ")


def plain_name(name: str) -> str:
    """Return what people call a parameter's mean or spread, such as ``stride time, SD``."""
    titles = {parameter: title for parameter, title, _, _ in ROWS}
    for ending, what in (("_mean", ""), ("_sd", ", SD")):
        if name.endswith(ending):
            return titles.get(name.removesuffix(ending), name.removesuffix(ending)) + what
    return name
