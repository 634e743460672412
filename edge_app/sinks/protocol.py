"""Where predictions go: the sink protocol and the fan-out in front of all sinks."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from edge_app.contracts import Prediction
from edge_app.errors import SinkError

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes predictions; called from one thread at a time."""

    def emit(self, prediction: Prediction, unix_s: float) -> None:
        """Take one prediction.

        Args:
            prediction: what is said.
            unix_s: its ``time_s`` on the wall clock (in a replay: on the recording's own).

        Raises:
            SinkError: it cannot be written; nothing written before is lost.
        """

    def close(self) -> None:
        """Write out everything held; may be called twice."""


class FanOut:
    """Gives every prediction to every sink, and the wall time with it.

    A sink that fails never keeps a prediction from the others. With ``strict`` the first failure is
    raised (a replay stops: its file must be complete); otherwise it is logged, once a minute at
    most, and the sink is tried again with the next prediction.

    Args:
        sinks: where to write.
        strict: whether to raise.
    """

    def __init__(self, sinks: list[Sink], *, strict: bool) -> None:
        self._sinks = sinks
        self._strict = strict
        self._lock = threading.Lock()
        self._origins_unix_s: dict[str, float] = {}
        self._silent_until_unix_s = 0.0
        self.failures = 0

    def set_origin(self, stream: str, unix_s: float) -> None:
        """State the wall-clock time of a stream's time 0."""
        self._origins_unix_s[stream] = unix_s

    def emit(self, prediction: Prediction) -> None:
        """Give a prediction to every sink; may be called from any thread.

        Raises:
            SinkError: a sink failed and the fan-out is strict.
        """
        unix_s = self._origins_unix_s.get(prediction.stream, 0.0) + prediction.time_s
        with self._lock:
            for sink in self._sinks:
                try:
                    sink.emit(prediction, unix_s)
                except SinkError as error:
                    self.failures += 1
                    if self._strict:
                        raise
                    if unix_s >= self._silent_until_unix_s:
                        logger.error("%s", error)
                        self._silent_until_unix_s = unix_s + 60.0

    def close(self) -> None:
        """Close every sink.

        Raises:
            SinkError: a sink could not write what it held; the others are closed all the same.
        """
        first: SinkError | None = None
        with self._lock:
            for sink in self._sinks:
                try:
                    sink.close()
                except SinkError as error:
                    first = first or error
        if first is not None:
            raise first
