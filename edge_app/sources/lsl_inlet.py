"""One LSL inlet: every call bounded, so that a stop never waits for it; used in threads."""

from __future__ import annotations

import logging
import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.errors import SourceLostError
from edge_app.sources.liblsl import load_pylsl

logger = logging.getLogger(__name__)

SLICE_S = 0.25
"""No call into liblsl blocks for longer; liblsl goes on connecting between two calls."""
CORRECT_EVERY_S = 5.0
"""Two hosts drift by up to 0.1 ms a second; liblsl measures it every 2 s in the background."""
PLACE_WITHIN_S = 0.5
OWN_CLOCK_S = 1.0
"""Stamps that are further from their arrival are of another clock, or were never corrected."""
_BUFFER_S = 60
_MAX_CHUNK = 4096
_DTYPES = ("", "f4", "f8", "", "i4", "i2", "i1", "i8")  # by LSL's number of the format


@dataclass(frozen=True, slots=True)
class Pulled:
    """Samples as they came.

    Args:
        times_s: (n,) raw stamps on the sender's clock, finite.
        values: (n,) float64, the chosen channel in the sender's unit.
        arrived_s: when they were taken, on this machine's monotonic clock.
        offset_s: what takes the sender's clock to this machine's, as known then.
    """

    times_s: Float64Array
    values: Float64Array
    arrived_s: float
    offset_s: float


class LslInlet:
    """A connected LSL inlet that never recovers silently.

    Args:
        found: what the resolver found.
        name: the stream's name, for errors.
        timeout_s: how long each step of connecting may take.
        cancelled: set from another thread to give up connecting.

    Attributes:
        described: pylsl's full description of the outlet.
        offset_s: what takes the sender's clock to this machine's.
        shift_s: added to it, where the stamps are on no clock of LSL's.
        index: the channel that ``pull`` returns.
        unstamped: samples without a time, skipped.

    Raises:
        SourceLostError: no answer, or cancelled.
    """

    def __init__(
        self, found: Any, *, name: str, timeout_s: float, cancelled: threading.Event
    ) -> None:
        self.index = 0
        self.unstamped = 0
        self.shift_s = 0.0
        self._gone = False
        self._name = name
        self._pylsl = load_pylsl()
        self._inlet = self._pylsl.StreamInlet(found, max_buflen=_BUFFER_S, recover=False)

        try:
            with suppress(self._pylsl.util.TimeoutError, self._pylsl.util.LostError):
                self._inlet.time_correction(timeout=0.0)  # begins to compare the clocks meanwhile
            self._wait_for("open_stream", timeout_s, cancelled)
            self.described = self._wait_for("info", timeout_s, cancelled)
            self.offset_s = float(self._wait_for("time_correction", timeout_s, cancelled))
        except SourceLostError:
            self.close()
            raise
        self._correct_at_s = time.monotonic() + CORRECT_EVERY_S
        n_channels = self.described.channel_count()
        self._dtype = np.dtype(_DTYPES[self.described.channel_format()] or "f4")
        self._rows = np.empty((_MAX_CHUNK, n_channels), self._dtype)

    def _wait_for(self, call: str, timeout_s: float, cancelled: threading.Event) -> Any:
        """Return what a call of liblsl's inlet answers, asked slice by slice.

        By name, and with the error raised outside every handler: a traceback that holds the inlet
        keeps its sockets and threads for as long as the error is kept.
        """
        deadline_s = time.monotonic() + timeout_s
        problem = "the LSL outlet has gone while connecting"
        with suppress(self._pylsl.util.LostError):
            while not cancelled.is_set():
                with suppress(self._pylsl.util.TimeoutError):
                    return getattr(self._inlet, call)(timeout=SLICE_S)
                if time.monotonic() >= deadline_s:
                    break
            problem = "the LSL outlet was found but does not answer"
        raise self._lost(problem)

    def close(self) -> None:
        """Disconnect, and let go of liblsl's sockets and threads now, not when memory is tidied."""
        self._inlet.close_stream()
        self._inlet = None
        if self.unstamped:
            logger.warning("%s: %d samples without a time in all", self._name, self.unstamped)

    def flush(self) -> int:
        """Throw away what has come since the connection, up to half a second old; how many."""
        return int(self._inlet.flush())

    def pull(self) -> Pulled | None:
        """Wait up to ``SLICE_S`` for a sample, then take what else is there.

        Returns:
            Samples, or None when none came.

        Raises:
            SourceLostError: the outlet has gone.
        """
        first, first_s, later_s = None, 0.0, []
        with suppress(self._pylsl.util.LostError):
            if not self._gone:
                self._gone = True
                first, first_s = self._inlet.pull_sample(timeout=SLICE_S)
                if first is not None:
                    # Into memory of our own: lists of all channels cost more than the rest.
                    _, later_s = self._inlet.pull_chunk(
                        timeout=0.0, max_samples=_MAX_CHUNK, dest_obj=self._rows
                    )
                    self._correct()
                self._gone = False
        if self._gone and first is None:  # what came before is given on first
            raise self._lost("the LSL outlet has gone")
        if first is None:
            return None
        n = len(later_s)
        times_s, values = np.empty(n + 1), np.empty(n + 1)
        times_s[0], values[0] = first_s, first[self.index]
        times_s[1:], values[1:] = later_s, self._rows[:n, self.index]
        timed = np.isfinite(times_s)
        if not timed.all():
            if not self.unstamped:
                logger.warning("%s: samples without a time are skipped", self._name)
            self.unstamped += int((~timed).sum())
            times_s, values = times_s[timed], values[timed]
            if not times_s.shape[0]:
                return None
        return Pulled(times_s, values, time.monotonic(), self.offset_s + self.shift_s)

    def place(self) -> float | None:
        """Take the stamps to their arrival where they are not on LSL's clock, such as Unix time.

        Returns:
            ``shift_s``, 0 where they are; None: nothing came within ``PLACE_WITHIN_S``.

        Raises:
            SourceLostError: the outlet has gone.
        """
        ends_s = time.monotonic() + PLACE_WITHIN_S
        least_s = math.inf
        while time.monotonic() < ends_s:
            pulled = self.pull()
            if pulled is None:
                continue
            age_s = pulled.arrived_s - pulled.offset_s - float(pulled.times_s.max())
            least_s = min(least_s, age_s)
            if abs(least_s) <= OWN_CLOCK_S:
                break
        if least_s == math.inf:
            return None
        self.shift_s = least_s if abs(least_s) > OWN_CLOCK_S else 0.0
        return self.shift_s

    def _correct(self) -> None:
        if time.monotonic() >= self._correct_at_s:
            self._correct_at_s = time.monotonic() + CORRECT_EVERY_S
            with suppress(self._pylsl.util.TimeoutError):  # no new estimate: the last one stays
                self.offset_s = float(self._inlet.time_correction(timeout=0.0))

    def _lost(self, problem: str) -> SourceLostError:
        return SourceLostError(
            problem,
            source=self._name,
            next_step="Check the headset and that nothing blocks its ports; it is looked for again",
        )
