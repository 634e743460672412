"""What a stream has been through: counted while it runs; read by console and health record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from edge_app.windowing import WindowingCounts

State = Literal["starting", "running", "waiting", "ended", "failed"]


@dataclass(slots=True)
class StreamHealth:
    """Counters of one stream; written by its thread, read by others (single values, so no lock).

    Attributes:
        stream: its name.
        state: ``waiting`` is the pause before a restart.
        chunks: chunks received since the start of the program, over all restarts.
        samples: samples (frames) received.
        windowing: what windowing met, over all restarts; the windowers count into it.
        dropped: frames dropped by the source's overflow rule.
        predictions: predictions made.
        abstained: how many of them had no label.
        restarts: times the stream was opened again after a failure.
        last_error: the newest failure, in words; empty when there was none.
        error_code: exit code of the newest failure, None when there was none or it is not known.
        last_data_s: clock time at which data last came.
        latency_s: data age of the newest prediction, None in a replay.
        max_latency_s: the largest data age so far, None in a replay.
        assumptions: what the source had to assume.
    """

    stream: str
    state: State = "starting"
    chunks: int = 0
    samples: int = 0
    windowing: WindowingCounts = field(default_factory=WindowingCounts)
    dropped: int = 0
    predictions: int = 0
    abstained: int = 0
    restarts: int = 0
    last_error: str = ""
    error_code: int | None = None
    last_data_s: float | None = None
    latency_s: float | None = None
    max_latency_s: float | None = None
    assumptions: list[str] = field(default_factory=list)

    @property
    def nothing_came(self) -> bool:
        """Whether the stream failed before its first sample and has never delivered since."""
        return self.samples == 0 and bool(self.last_error)

    def snapshot(self) -> dict[str, object]:
        """Return the counters as plain values for JSON."""
        return asdict(self)
