"""Facial expressions over time as a person would look at them: tables, sentences, a JSON file."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from edge_app.counted import counted
from edge_app.expression_record import SUMMARY_FILE, ExpressionRecord
from edge_app.sinks.files import write_whole
from edge_app.sinks.jsonl import iso_utc

NOTE = (
    "Facial expression as a camera sees it, not what the person feels. Not a medical device, no"
    " diagnosis, no alarm."
)
UNSURE = "not sure which"
SHOWN_EPISODES = 20


def time_table(record: ExpressionRecord) -> list[tuple[str, str, str, str]]:
    """Return expression, time, share of covered time, change from the own rest, as text."""
    rows = []
    for label in (*record.labels, None):
        seconds_s = record.seconds.get(label, 0.0)
        share = 100 * seconds_s / record.covered_s if record.covered_s else 0.0
        change = None if label is None else record.mean_change(label)
        from_rest = "" if change is None else f"{change:+.2f}"
        rows.append((label or UNSURE, clock(seconds_s), f"{share:.1f} %", from_rest))
    return rows


def unusable_table(record: ExpressionRecord) -> list[tuple[str, str, str]]:
    """Return reason, time without a usable face, and how many times, as text."""
    rows = [
        (reason.replace("_", " "), clock(seconds_s), str(record.unusable_times[reason]))
        for reason, seconds_s in sorted(record.unusable_s.items(), key=lambda item: -item[1])
    ]
    if record.silent_s > 0.5:
        rows.append(("no picture came", clock(record.silent_s), ""))
    return rows


def episode_table(record: ExpressionRecord) -> list[tuple[str, str, str, str, str]]:
    """Return expression, start, duration, peak probability and its time, as text."""
    return [
        (
            episode.label,
            clock(episode.start_s),
            f"{episode.end_s - episode.start_s:.1f} s",
            f"{100 * episode.peak_probability:.0f} %",
            clock(episode.peak_s),
        )
        for episode in record.episodes
    ]


def in_short(record: ExpressionRecord) -> str:
    """Return the whole in one sentence."""
    ranked = sorted(record.labels, key=lambda label: -record.seconds.get(label, 0.0))
    most = [label for label in ranked if record.seconds.get(label, 0.0) > 0.0][:3]
    shares = ", ".join(
        f"{label} {100 * record.seconds[label] / record.covered_s:.0f} %" for label in most
    )
    return (
        f"facial expression: {shares or 'none'} of the {clock(record.covered_s)} with a usable"
        f" face, {100 * record.coverage:.0f} % of {clock(record.time.length_s)}"
    )


def lines(record: ExpressionRecord) -> list[str]:
    """Return what the tables do not say, in sentences."""
    told = [f"assumed: {assumption}" for assumption in record.assumed]
    if record.changes_per_min is not None:
        told.append(
            f"{counted(record.changes, 'change')} of expression,"
            f" {record.changes_per_min:.2f} a minute with a usable face"
        )
    if record.others_s > 0.0:
        told.append(f"more than one face in view for {clock(record.others_s)}; one is followed")
    if record.handovers:
        told.append(
            f"{counted(record.handovers, 'time')} the face followed may have become another"
            " person's"
        )
    if record.change_s > 0.0:
        told.append(
            "from rest: log-odds of the expression less those of the person's own resting face,"
            f" mean over {clock(record.change_s)}; 0 is as at rest, +0.69 twice the odds. It does"
            " not say whether the resting face itself is out of the ordinary"
        )
    elif record.baseline_s is not None:
        told.append(f"resting baseline: {record.baseline_s:.0f} s collected, not yet complete")
    if record.earlier:
        told.append(f"not shown: {counted(record.earlier, 'earlier recording')} in the same file")
    if record.damaged:
        told.append(f"{counted(record.damaged, 'line')} could not be read")
    return [*told, NOTE]


def clock(seconds_s: float) -> str:
    """Return a time as 4.5 s below a minute, 3:07 below an hour, else 1:02:03."""
    if seconds_s < 59.95:
        return f"{seconds_s:.1f} s"
    minutes, rest = divmod(round(seconds_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def write_report(record: ExpressionRecord, folder: Path, name: str = SUMMARY_FILE) -> Path:
    """Write ``expression.json``.

    Args:
        record: what to write.
        folder: where it goes.
        name: of the file.

    Returns:
        Its path.

    Raises:
        SinkError: it cannot be written; an earlier one is untouched.
    """
    text = json.dumps(to_document(record), indent=1, allow_nan=False)
    write_whole(folder / name, text + "\n")
    return folder / name


def to_document(record: ExpressionRecord) -> dict[str, Any]:
    """Return ``expression.json`` as plain values; times since the first answer."""
    start_unix_s, changes = record.time.start_unix_s, record.changes_per_min
    shares = {label: record.seconds.get(label, 0.0) for label in (*record.labels, None)}
    episodes: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for episode in record.episodes:
        episodes[episode.label].append(
            {
                "start_s": round(episode.start_s, 3),
                "end_s": round(episode.end_s, 3),
                "peak_s": round(episode.peak_s, 3),
                "peak_probability": episode.peak_probability,
            }
        )
    return {
        "stream": record.stream,
        "what": "facial expression",
        "model": record.model,
        "simulated": record.simulated,
        "assumed": list(record.assumed),
        "start": None if start_unix_s is None else iso_utc(start_unix_s),
        "length_s": round(record.time.length_s, 3),
        "covered_s": round(record.covered_s, 3),
        "coverage": round(record.coverage, 4),
        "seconds": {label or "unsure": round(s, 3) for label, s in shares.items()},
        "share_of_covered": {
            label or "unsure": round(s / record.covered_s, 4)
            for label, s in shares.items()
            if record.covered_s
        },
        "changes": record.changes,
        "changes_per_min": None if changes is None else round(changes, 3),
        "unusable_s": {reason: round(s, 3) for reason, s in record.unusable_s.items()},
        "unusable_times": dict(record.unusable_times),
        "silent_s": round(record.silent_s, 3),
        "more_than_one_face_s": round(record.others_s, 3),
        "handovers": record.handovers,
        "baseline_s": record.baseline_s,
        "mean_change_from_rest": {
            label: round(change, 4)
            for label in record.labels
            if (change := record.mean_change(label)) is not None
        },
        "episodes": dict(episodes),
        "note": NOTE,
    }
