"""``sleep.json``: everything that a report on a night says, as plain values, epoch by epoch too."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from edge_app.sinks.files import write_whole
from edge_app.sinks.jsonl import iso_utc
from edge_app.sleep_record import NO_DATA, EpochAnswer, Night
from edge_app.sleep_report import NOTE, SleepReport

SUMMARY_FILE = "sleep.json"


def write_report(report: SleepReport, folder: Path, name: str = SUMMARY_FILE) -> Path:
    """Write ``sleep.json``.

    Args:
        report: what to write.
        folder: where it goes.
        name: of the file.

    Returns:
        Its path.

    Raises:
        SinkError: it cannot be written; an earlier one is untouched.
    """
    document = json.dumps(to_document(report), indent=1, allow_nan=False)
    write_whole(folder / name, document + "\n")
    return folder / name


def to_document(report: SleepReport) -> dict[str, Any]:
    """Return ``sleep.json`` as plain values; raw answers and smoothed ones side by side.

    Figures are of the time between the lights; epochs, also how many are provisional, of all.
    """
    night, delays_s = report.night, report.delays_s()
    return {
        "stream": night.stream,
        "model": night.model,
        "simulated": night.simulated,
        "start": iso_utc(night.start_unix_s) if night.dated else None,
        "epoch_s": night.epoch_s,
        "lights_off_s": report.lights_off_s,
        "lights_on_s": report.lights_on_s,
        "statistics": _rounded(asdict(report.statistics)),
        "smoothed_statistics": _rounded(asdict(report.smoothed_statistics)),
        "coverage": _rounded(report.coverage()),
        "unknown_epochs": report.reasons(),
        "provisional_epochs": sum(not answer.final for answer in night.answers.values()),
        "warming_up_epochs": report.warming_up(),
        "revision_rate": _rounded(report.revision_rate()),
        "delay_to_final_s": None if delays_s is None else _rounded(list(delays_s)),
        "epochs": [
            _epoch(night, number, answer, calm)
            for number, (answer, calm) in enumerate(zip(night.epochs, report.smoothed, strict=True))
        ],
        "note": NOTE,
    }


def _epoch(
    night: Night, number: int, answer: EpochAnswer | None, calm: str | None
) -> dict[str, Any]:
    told = {} if answer is None else {f.name: getattr(answer, f.name) for f in fields(answer)}
    confidence = None if answer is None else answer.confidence
    row = {"start_s": number * night.epoch_s, **told, "confidence": confidence, "smoothed": calm}
    if answer is None:
        row |= {"stage": None, "reason": NO_DATA}
    return {name: _rounded(value) for name, value in row.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value
