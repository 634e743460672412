"""One LSL inlet: every call bounded, so that a stop never waits for it; used in threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.errors import SourceLostError
from edge_app.sources.liblsl import load_pylsl

logger = logging.getLogger(__name__)

T = TypeVar("T")

SLICE_S = 0.25
"""No call into liblsl blocks for longer; liblsl goes on connecting between two calls."""
CORRECT_EVERY_S = 60.0
_MAX_CHUNK = 4096


class LslInlet:
    """A connected LSL inlet that never recovers silently.

    Args:
        found: what the resolver found.
        name: the stream's name, for errors.
        timeout_s: how long each step of connecting may take.
        cancelled: set from another thread to give up connecting.

    Raises:
        SourceLostError: no answer, or cancelled.
    """

    def __init__(
        self, found: Any, *, name: str, timeout_s: float, cancelled: threading.Event
    ) -> None:
        self._name = name
        self._pylsl = load_pylsl()
        self._inlet = self._pylsl.StreamInlet(found, max_buflen=60, recover=False)
        self._n_unstamped = 0

        def patiently(call: Callable[..., T]) -> T:
            deadline_s = time.monotonic() + timeout_s
            while not cancelled.is_set():
                with suppress(self._pylsl.util.TimeoutError):
                    return call(timeout=SLICE_S)
                if time.monotonic() >= deadline_s:
                    break
            raise self._lost("the LSL outlet was found but does not answer")

        try:
            patiently(self._inlet.open_stream)
            self.described = patiently(self._inlet.info)
            self._correction_s = float(patiently(self._inlet.time_correction))
        except self._pylsl.util.LostError as error:
            self.close()
            raise self._lost("the LSL outlet has gone while connecting") from error
        except SourceLostError:
            self.close()
            raise
        self._correct_at_s = time.monotonic() + CORRECT_EVERY_S

    def close(self) -> None:
        """Disconnect."""
        self._inlet.close_stream()
        if self._n_unstamped:
            logger.warning("%s: %d samples without a time in all", self._name, self._n_unstamped)

    def flush(self) -> None:
        """Throw away what was held since before the connection, up to half a second old."""
        self._inlet.flush()

    def pull(self) -> tuple[Float64Array, Float64Array] | None:
        """Wait up to ``SLICE_S`` for a sample, then take what else is there.

        Returns:
            (n,) stamps on this machine's clock and (n, n_channels) samples, or None.

        Raises:
            SourceLostError: the outlet has gone.
        """
        try:
            first, stamp_s = self._inlet.pull_sample(timeout=SLICE_S)
            if first is None:
                return None
            rows, stamps_s = self._inlet.pull_chunk(timeout=0.0, max_samples=_MAX_CHUNK)
            self._correct()
        except self._pylsl.util.LostError as error:
            raise self._lost("the LSL outlet has gone") from error
        samples = np.array([first, *rows], np.float64)
        times_s = np.array([stamp_s, *stamps_s], np.float64) + self._correction_s
        timed = np.isfinite(times_s)
        if not timed.all():
            if not self._n_unstamped:
                logger.warning("%s: samples without a time are skipped", self._name)
            self._n_unstamped += int((~timed).sum())
            times_s, samples = times_s[timed], samples[timed]
        return (times_s, samples) if times_s.shape[0] else None

    def _correct(self) -> None:
        """Read the clocks' offset anew once a minute: two hosts drift by milliseconds an hour."""
        if time.monotonic() >= self._correct_at_s:
            self._correct_at_s = time.monotonic() + CORRECT_EVERY_S
            with suppress(self._pylsl.util.TimeoutError):  # no new estimate: the last one stays
                self._correction_s = float(self._inlet.time_correction(timeout=0.0))

    def _lost(self, problem: str) -> SourceLostError:
        return SourceLostError(
            problem,
            source=self._name,
            next_step="Check the headset and that nothing blocks its ports; it is looked for again",
        )
