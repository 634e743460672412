"""What a stream has been through: counted while it runs; read by console and health record."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

from edge_app.windowing import WindowingCounts

State = Literal["starting", "running", "waiting", "ended", "failed"]
EventKind = Literal["start", "open", "trouble", "over", "error", "end"]
KEPT_EVENTS = 1000
"""Events kept for whoever writes them down; a stream that changes more often loses the oldest."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a stream.

    Args:
        number: 1, 2, 3 ... within the stream.
        unix_s: when.
        kind: ``start`` (of the program), ``open`` (it delivers), ``trouble``, ``over`` (the trouble
            is), ``error`` (it is closed and looked for again), ``end``.
        text: in words.
    """

    number: int
    unix_s: float
    kind: EventKind
    text: str


@dataclass(slots=True)
class StreamHealth:
    """Counters of one stream; written by its thread, read by others (single values, so no lock).

    A source may tell trouble from a thread of its own; each such note is one append.

    Attributes:
        stream: its name.
        backend: what runs its model, such as ``onnxruntime-cpu`` or ``tensorrt-fp16``.
        state: ``waiting`` is the pause before a restart.
        chunks: chunks received since the start of the program, over all restarts.
        samples: samples (frames) received.
        windowing: what windowing met, over all restarts; the windowers count into it.
        dropped: frames dropped by the source's overflow rule.
        predictions: predictions made.
        abstained: how many of them had no label.
        restarts: times the stream went on after a failure, once it had run.
        away_s: seconds in all between such a failure and going on.
        last_error: the newest failure, in words; empty when there was none.
        error_code: exit code of the newest failure, None when there was none or it is not known.
        last_data_s: clock time at which data last came.
        latency_s: data age of the newest prediction, None in a replay.
        max_latency_s: the largest data age so far, None in a replay.
        assumptions: what the source had to assume.
        trouble: what is wrong at present though the stream runs, in words; empty when nothing is.
        figures: what the source itself counts or measures, units in the names.
    """

    stream: str
    backend: str = ""
    state: State = "starting"
    chunks: int = 0
    samples: int = 0
    windowing: WindowingCounts = field(default_factory=WindowingCounts)
    dropped: int = 0
    predictions: int = 0
    abstained: int = 0
    restarts: int = 0
    away_s: float = 0.0
    last_error: str = ""
    error_code: int | None = None
    last_data_s: float | None = None
    latency_s: float | None = None
    max_latency_s: float | None = None
    assumptions: list[str] = field(default_factory=list)
    trouble: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    _events: deque[Event] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    _n_events: int = 0
    _ran: bool = False
    _broken_since_s: float | None = None

    @property
    def broken(self) -> bool:
        """Whether the newest failure has not been got over."""
        return self._broken_since_s is not None

    def started(self, model: str) -> None:
        """Note that the program begins to look for the stream.

        Args:
            model: name and hash of the bundle that reads it.
        """
        self._note("start", f"{model} on {self.backend}" if self.backend else model)

    def ended(self, state: State) -> None:
        """Note that the stream is not looked for any more.

        Args:
            state: ``ended`` or ``failed``.
        """
        self.troubled("")
        self.state = state
        self._note("end", state)

    def opened(self, device: str) -> None:
        """Note that the stream delivers, for the first time or again."""
        if self._broken_since_s is not None and self._ran:
            self.restarts += 1
            self.away_s += time.monotonic() - self._broken_since_s
        self._broken_since_s, self._ran = None, True
        self.state = "running"
        self._note("open", device)

    def failed(self, said: str, error_code: int) -> None:
        """Note that the stream cannot go on; the same failure again is one event.

        Args:
            said: the error in words.
            error_code: exit code that belongs to it.
        """
        again = self.broken and said == self.last_error
        if not self.broken:
            self._broken_since_s = time.monotonic()
        self.last_error, self.error_code = said, error_code
        self.troubled("")
        if not again:
            self._note("error", said)

    def troubled(self, trouble: str) -> None:
        """Note what is wrong though the stream runs, or with an empty text that it is over."""
        before, self.trouble = self.trouble, trouble
        if trouble != before:
            self._note("trouble" if trouble else "over", trouble or before)

    def events_after(self, number: int) -> list[Event]:
        """Return the events that came after the one with this number, oldest first."""
        return [event for event in tuple(self._events) if event.number > number]

    def _note(self, kind: EventKind, text: str) -> None:
        self._n_events += 1
        self._events.append(Event(self._n_events, time.time(), kind, text))

    @property
    def nothing_came(self) -> bool:
        """Whether the stream failed before its first sample and has never delivered since."""
        return self.samples == 0 and bool(self.last_error)

    def snapshot(self) -> dict[str, object]:
        """Return the counters as plain values for JSON; events are written down apart."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}
        return told | {"windowing": asdict(self.windowing)}
