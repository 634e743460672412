"""What a walk leaves on disk beside its predictions: every stride, and a summary of the person.

``strides.csv``: one line a stride, accepted or not, the fields of ``Stride`` (empty where a value
cannot be known). ``gait.json``: means and spreads of the whole recording and of every bout, what
was rejected and why, the last answer, and what each parameter added to it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from edge_app.contracts import Prediction
from edge_app.preprocess.gait.stride import Stride
from edge_app.preprocess.gait.summary import PARAMETERS, GaitStatistics
from edge_app.sinks.files import write_whole
from edge_app.tasks.frailty import FrailtyTask

STRIDES_FILE = "strides.csv"
SUMMARY_FILE = "gait.json"
_DERIVED = ("cadence_strides_per_min", "stride_speed_mps")
COLUMNS = (*(field.name for field in fields(Stride)), *_DERIVED)


def write_gait(
    folder: Path,
    recording: str,
    task: FrailtyTask,
    strides: Sequence[Stride],
    last: Prediction | None,
) -> None:
    """Write ``strides.csv`` and ``gait.json``.

    Args:
        folder: where they go.
        recording: what was analysed, in words.
        task: the task that walked through it, finished.
        strides: all strides in order.
        last: the answer to put down; None when there was none.

    Raises:
        SinkError: they cannot be written; earlier files are untouched.
    """
    write_whole(folder / STRIDES_FILE, to_csv(strides))
    document = summary(recording, task, strides, last)
    write_whole(folder / SUMMARY_FILE, json.dumps(document, indent=2, allow_nan=False) + "\n")


def to_csv(strides: Iterable[Stride]) -> str:
    """Return one line a stride under a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for stride in strides:
        writer.writerow([_cell(getattr(stride, name)) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return getattr(value, "value", value)


def summary(
    recording: str, task: FrailtyTask, strides: Sequence[Stride], last: Prediction | None
) -> dict[str, Any]:
    """Return ``gait.json`` as plain values; see the module's docstring.

    Args:
        recording: what was analysed, in words.
        task: the task that walked through it, finished.
        strides: all strides in order.
        last: the answer to put down; None when there was none.

    Returns:
        JSON values that hold no NaN.
    """
    accepted = [stride for stride in strides if stride.accepted]
    rejected = Counter(stride.rejected.value for stride in strides if stride.rejected is not None)
    return {
        "recording": recording,
        "simulated": None if last is None else last.simulated,
        "strides": {"accepted": len(accepted), "rejected": dict(sorted(rejected.items()))},
        "walking_s": round(task.person.walking_s, 3),
        "needed": task.least_walking,
        "parameters": _statistics(accepted),
        "bouts": [_bout(number, list(group)) for number, group in groupby(strides, _bout_of)],
        "answer": None if last is None else _answer(last),
        "contributions": task.contributions(),
        "unfamiliar": list(task.unfamiliar()),
        "note": "Not a medical device. Foot clearance and path depend on the method; gait speed is"
        " part of the definition of frailty.",
    }


def _bout_of(stride: Stride) -> int:
    return stride.bout


def _bout(number: int, strides: list[Stride]) -> dict[str, Any]:
    accepted = [stride for stride in strides if stride.accepted]
    return {
        "bout": number,
        "start_s": _rounded(strides[0].toe_off_s),
        "end_s": _rounded(strides[-1].next_heel_strike_s),
        "strides": len(strides),
        "accepted": len(accepted),
        "parameters": _statistics(accepted),
    }


def _statistics(strides: Sequence[Stride]) -> dict[str, dict[str, float | int | None]]:
    """Return mean, sample standard deviation and number by parameter; None where not known."""
    statistics = GaitStatistics()
    for stride in strides:
        statistics.add(stride)
    return {
        name: {
            "mean": _rounded(statistics.mean(name)),
            "sd": _rounded(statistics.sd(name)),
            "n": statistics.n_accepted,
        }
        for name in PARAMETERS
    }


def _rounded(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _answer(last: Prediction) -> dict[str, Any]:
    return {
        "label": last.label,
        "abstained": None if last.abstained is None else last.abstained.value,
        "probabilities": dict(last.probabilities),
        "evidence": dict(last.evidence),
        "model": last.model,
    }
