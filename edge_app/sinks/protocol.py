"""Where predictions go: the sink protocol and the fan-out in front of all sinks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from edge_app.contracts import Prediction
from edge_app.errors import SinkError

logger = logging.getLogger(__name__)


Origin = Callable[[], float]
"""Tells the Unix time of a stream's time 0; a live stream's moves when the clock is set."""
SILENCE_S = 60.0


class OncePerMinute:
    """Logs the errors of one writer, one a minute at most."""

    def __init__(self) -> None:
        self._silent_until_s = 0.0

    def log(self, error: SinkError) -> None:
        """Log an error, unless one was logged just now."""
        now_s = time.monotonic()
        if now_s >= self._silent_until_s:
            logger.error("%s", error)
            self._silent_until_s = now_s + SILENCE_S


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
    raised (a replay stops: its file must be complete); otherwise it is logged, once a minute and
    sink at most, and the sink is tried again with the next prediction.

    Args:
        sinks: where to write.
        strict: whether to raise.
    """

    def __init__(self, sinks: list[Sink], *, strict: bool) -> None:
        self._sinks = [(sink, OncePerMinute()) for sink in sinks]
        self._strict = strict
        self._lock = threading.Lock()
        self._origins: dict[str, Origin] = {}

    def add(self, sink: Sink) -> None:
        """Write to one sink more from now on."""
        with self._lock:
            self._sinks.append((sink, OncePerMinute()))

    def set_origin(self, stream: str, origin: Origin) -> None:
        """State the wall-clock time of a stream's time 0."""
        self._origins[stream] = origin

    def emit(self, prediction: Prediction) -> None:
        """Give a prediction to every sink; may be called from any thread; no more after closing.

        Args:
            prediction: what is said.

        Raises:
            SinkError: a sink failed and the fan-out is strict.
        """
        with self._lock:
            origin = self._origins.get(prediction.stream)
            unix_s = prediction.time_s + (0.0 if origin is None else origin())
            for sink, complaints in self._sinks:
                try:
                    sink.emit(prediction, unix_s)
                except SinkError as error:
                    if self._strict:
                        raise
                    complaints.log(error)

    def close(self) -> None:
        """Close every sink; may be called twice.

        Raises:
            SinkError: a sink could not write what it held; the others are closed all the same.
        """
        first: SinkError | None = None
        with self._lock:
            closing, self._sinks = self._sinks, []
            for sink, _ in closing:
                try:
                    sink.close()
                except SinkError as error:
                    first = first or error
        if first is not None:
            raise first
