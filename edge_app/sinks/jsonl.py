"""``predictions.jsonl``: one JSON object a line.

The fields, always all of them and in this order: ``task``, ``time`` (ISO 8601 UTC), ``time_s``,
``window`` {``start_s``, ``end_s``}, ``label`` (null when abstained), ``probabilities`` {label: p},
``confidence``, ``quality``, ``abstained`` (reason or null), ``final``, ``revision``,
``passing`` (true: an estimate between two windows of the grid), ``evidence`` {name: value},
``latency_s`` (null in a replay), ``model`` (bundle name @ hash), ``stream``, ``simulated``.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from edge_app.contracts import Prediction
from edge_app.sinks.files import LineFile

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def iso_utc(unix_s: float) -> str:
    """Return a Unix time as ISO 8601 in UTC with milliseconds, such as 2026-01-31T22:05:00.000Z."""
    moment = _EPOCH + timedelta(milliseconds=round(unix_s * 1000.0))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def to_json(prediction: Prediction, unix_s: float) -> str:
    """Return a prediction as one line of JSON without the line end.

    Args:
        prediction: what is said.
        unix_s: its ``time_s`` on the wall clock.

    Returns:
        JSON that never holds NaN.
    """
    return json.dumps(
        {
            "task": prediction.task,
            "time": iso_utc(unix_s),
            "time_s": _rounded(prediction.time_s),
            "window": {
                "start_s": _rounded(prediction.start_s),
                "end_s": _rounded(prediction.end_s),
            },
            "label": prediction.label,
            "probabilities": {name: _rounded(p) for name, p in prediction.probabilities},
            "confidence": _rounded(prediction.confidence),
            "quality": _rounded(prediction.quality),
            "abstained": None if prediction.abstained is None else prediction.abstained.value,
            "final": prediction.final,
            "revision": prediction.revision,
            "passing": prediction.passing,
            "evidence": {name: _rounded(value) for name, value in prediction.evidence},
            "latency_s": _rounded(prediction.latency_s),
            "model": prediction.model,
            "stream": prediction.stream,
            "simulated": prediction.simulated,
        },
        allow_nan=False,
    )


class JsonlSink:
    """Appends predictions to a file, whole lines only.

    Args:
        path: the file; made when missing, never shortened.

    Raises:
        SinkError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)

    def emit(self, prediction: Prediction, unix_s: float) -> None:
        """Write a line; see ``Sink.emit``."""
        self._lines.append(to_json(prediction, unix_s))

    def close(self) -> None:
        """Write what is held and close the file; may be called twice."""
        self._lines.close()
