"""``predictions.jsonl``: one JSON object a line, whole lines only, nothing lost to a full disk.

The fields, always all of them and in this order: ``task``, ``time`` (ISO 8601 UTC), ``time_s``,
``window`` {``start_s``, ``end_s``}, ``label`` (null when abstained), ``probabilities`` {label: p},
``confidence``, ``quality``, ``abstained`` (reason or null), ``final``, ``revision``,
``latency_s`` (null in a replay), ``model`` (bundle name @ hash), ``stream``, ``simulated``.
"""

from __future__ import annotations

import json
import os
from collections import deque
from datetime import datetime, timedelta, timezone
from errno import ENOSPC
from pathlib import Path

from edge_app.contracts import Prediction
from edge_app.errors import SinkError

MAX_HELD = 100_000
"""Lines held in memory while the disk refuses them; then the oldest are dropped and counted."""
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
            "latency_s": _rounded(prediction.latency_s),
            "model": prediction.model,
            "stream": prediction.stream,
            "simulated": prediction.simulated,
        },
        allow_nan=False,
    )


def _write_whole(file: int, line: bytes) -> None:
    """Write a line, or nothing of it."""
    written = os.write(file, line)
    if written < len(line):  # the disk filled up in the middle of the line: take it back
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError(ENOSPC, os.strerror(ENOSPC))


def make_writable_dir(path: Path) -> Path:
    """Make a directory for results and prove that it can be written to.

    Args:
        path: the directory; made with its parents when missing.

    Raises:
        SinkError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".write-test"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise SinkError(
            f"results cannot be written there: {error.strerror or error}",
            source=str(path),
            next_step="Choose another --out directory, or make this one writable",
        ) from error
    return path


class JsonlSink:
    """Appends to a file, whole lines only.

    Args:
        path: the file; made when missing, never shortened.

    Raises:
        SinkError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: deque[bytes] = deque()
        self.dropped = 0
        self._file: int | None = self._open()

    def emit(self, prediction: Prediction, unix_s: float) -> None:
        """Write a line, and first whatever is still held; see ``Sink.emit``."""
        self._held.append(to_json(prediction, unix_s).encode() + b"\n")
        if len(self._held) > MAX_HELD:
            self._held.popleft()
            self.dropped += 1
        self._write_held()

    def close(self) -> None:
        """Write what is held and close the file; may be called twice."""
        if self._file is None:
            return
        try:
            self._write_held()
        finally:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._error(error) from error

    def _write_held(self) -> None:
        if self._file is None:
            self._file = self._open()
        while self._held:
            line = self._held[0]
            try:
                _write_whole(self._file, line)
            except OSError as error:
                raise self._error(error) from error
            self._held.popleft()

    def _error(self, error: OSError) -> SinkError:
        held = len(self._held)
        return SinkError(
            f"results cannot be written: {error.strerror or error}; {held} line(s) held in memory, "
            "earlier ones are safe",
            source=str(self._path),
            next_step="Free space on the disk or choose another place",
        )
