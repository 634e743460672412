"""What streams go through, kept: ``health.jsonl`` now and then, ``events.jsonl`` at once."""

from __future__ import annotations

import json
import time
from pathlib import Path

from edge_app.errors import SinkError
from edge_app.health import StreamHealth
from edge_app.sinks.files import LineFile
from edge_app.sinks.jsonl import iso_utc
from edge_app.sinks.protocol import FanOut, OncePerMinute


class HealthRecord:
    """The counters of all streams.

    Args:
        path: the file; appended to.
        healths: what to record; may still be filled after construction.
    """

    def __init__(self, path: Path, healths: list[StreamHealth]) -> None:
        self._lines = LineFile(path)
        self._healths = healths
        self._complaints = OncePerMinute()

    def write(self) -> None:
        """Write the counters as they are; a disk that refuses is told once a minute."""
        streams = [health.snapshot() for health in self._healths]
        try:
            self._lines.append(json.dumps({"time": iso_utc(time.time()), "streams": streams}))
        except SinkError as error:
            self._complaints.log(error)

    def close(self) -> SinkError | None:
        """Write the last counters; return what could not be written."""
        self.write()
        return closed(self._lines)


class EventRecord:
    """Every opening, trouble and failure of all streams, a line each.

    Args:
        path: the file; appended to.
        healths: what to record; may still be filled after construction.
    """

    def __init__(self, path: Path, healths: list[StreamHealth]) -> None:
        self._lines = LineFile(path)
        self._healths = healths
        self._written: dict[str, int] = {}
        self._complaints = OncePerMinute()

    def write(self) -> None:
        """Write what has happened since the last call; a disk that refuses is told."""
        for health in self._healths:
            for event in health.events_after(self._written.get(health.stream, 0)):
                self._written[health.stream] = event.number
                line = {"time": iso_utc(event.unix_s), "stream": health.stream}
                try:
                    self._lines.append(json.dumps(line | {"event": event.kind, "text": event.text}))
                except SinkError as error:
                    self._complaints.log(error)

    def close(self) -> SinkError | None:
        """Write the last events; return what could not be written."""
        self.write()
        return closed(self._lines)


def closed(writer: FanOut | LineFile) -> SinkError | None:
    """Close a writer and return what it lost, None when nothing.

    Args:
        writer: of results.
    """
    try:
        writer.close()
    except SinkError as error:
        return error
    return None
