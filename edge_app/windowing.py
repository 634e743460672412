"""Chunks in, windows out: exact counts, gaps found on stamps, the same result for any chunk size.

Samples lie on a grid that starts at the stream's first sample; window k covers samples ``k *
hop`` to ``k * hop + length``. A step between two stamps of more than 1.5 sample intervals (plus
the stream's stated jitter) is a gap: the samples that never came are put on the grid as NaN, so
later windows keep their place (30-s epochs stay 30-s epochs) and each window knows the share it
lacks. Time that runs backwards, or a gap longer than ``MAX_GAP_WINDOWS`` windows, is a
discontinuity: the unfinished window is given up, the grid starts again, and the next window says
so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Array, Chunk, Float64Array, StreamInfo, Window
from edge_app.errors import ConfigError

MAX_RATE_ERROR = 0.02
"""Windows whose samples span this much more or less time than the nominal rate says are marked."""
MAX_GAP_WINDOWS = 120
"""An hour of 30-s epochs: longer silences start a new grid instead of a list of empty windows."""


def n_samples(duration_s: float, rate_hz: float) -> int:
    """Return how many samples a duration holds.

    Args:
        duration_s: seconds, positive.
        rate_hz: samples a second, positive.

    Returns:
        A positive whole number.

    Raises:
        ConfigError: the duration is no whole number of samples; nothing is ever truncated
            (``int(0.29 * 100)`` is 28).
    """
    exact = duration_s * rate_hz
    count = round(exact) if np.isfinite(exact) else 0
    if count < 1 or abs(exact - count) > 1e-6 * count:
        raise ConfigError(
            f"{duration_s:g} s at {rate_hz:g} Hz is no whole number of samples",
            expected="a whole number above 0",
            got=f"{exact:g}",
            next_step="Choose another duration, or let the sensor send at another rate",
        )
    return count


@dataclass(slots=True)
class WindowingCounts:
    """What windowing met so far.

    Attributes:
        windows: windows made.
        gaps: gaps found on the stamps.
        missing_samples: samples that never came, from the lengths of the gaps.
        discontinuities: times the grid had to start again.
        abandoned_samples: samples of unfinished windows given up at a discontinuity.
        off_rate: windows whose samples did not come at the nominal rate.
    """

    windows: int = 0
    gaps: int = 0
    missing_samples: int = 0
    discontinuities: int = 0
    abandoned_samples: int = 0
    off_rate: int = 0


class Windower(Protocol):
    """Turns one stream's chunks into windows.

    Attributes:
        counts: counted into; may be replaced, so that several windowers count together.
    """

    counts: WindowingCounts

    def push(self, chunk: Chunk) -> list[Window]:
        """Take a chunk, return the windows that it completes, oldest first."""

    def flush(self) -> list[Window]:
        """Return complete windows not yet returned: the stream has ended."""


class SlidingWindows:
    """Windows of a regularly sampled signal.

    Args:
        info: the stream; its rate and jitter are used.
        length_samples: samples in a window.
        hop_samples: samples between two window starts.

    Raises:
        ConfigError: a length or hop below 1, or a hop longer than the window.
    """

    def __init__(self, info: StreamInfo, *, length_samples: int, hop_samples: int) -> None:
        if not 1 <= hop_samples <= length_samples:
            raise ConfigError(
                "a window needs 1 <= hop <= length",
                got=f"length {length_samples}, hop {hop_samples} samples",
                next_step="Correct the window in the bundle or recipe",
            )
        self.counts = WindowingCounts()
        self._rate_hz = info.rate_hz
        self._length = length_samples
        self._hop = hop_samples
        self._gap_step_s = 1.5 / info.rate_hz + info.jitter_s
        self._back_step_s = -(0.5 / info.rate_hz + info.jitter_s)
        self._span_s = (length_samples - 1) / info.rate_hz
        self._span_tolerance_s = (
            MAX_RATE_ERROR * self._span_s + 2.0 * info.jitter_s + 0.5 / info.rate_hz
        )
        self._max_gap_s = MAX_GAP_WINDOWS * length_samples / info.rate_hz
        self._pending: list[Chunk] = []  # as they came, not yet looked at
        self._n_pending = 0
        self._jumped = False
        self._restart()
        self._last_s: float | None = None  # stamp of the newest sample on the grid

    def _restart(self) -> None:
        self._index = 0
        self._times_s: Float64Array = np.empty(0, np.float64)
        self._samples: Array | None = None
        self._missing: npt.NDArray[np.bool_] | None = None  # None: nothing held is missing
        self._due_s = -np.inf  # earliest stamp that can complete a window; -inf: look at once

    def push(self, chunk: Chunk) -> list[Window]:
        """Take a chunk, return the windows that it completes, oldest first.

        Args:
            chunk: (n_samples, n_channels) float32 with stamps; may be empty.

        Returns:
            Windows whose samples are read-only views.
        """
        n = chunk.times_s.shape[0]
        if n == 0:
            return []
        self._pending.append(chunk)
        self._n_pending += n
        # Most chunks complete no window: only look at the stamps when one can be complete.
        if (
            self._times_s.shape[0] + self._n_pending < self._length
            and float(chunk.times_s[-1]) < self._due_s
        ):
            return []
        return self._take_pending()

    def flush(self) -> list[Window]:
        """Return complete windows not yet returned: the stream has ended."""
        return self._take_pending() if self._pending else []

    def _take_pending(self) -> list[Window]:
        pending, self._pending, self._n_pending = self._pending, [], 0
        times_s = np.concatenate([chunk.times_s for chunk in pending])
        before_s = times_s[0] - 1.0 / self._rate_hz if self._last_s is None else self._last_s
        steps_s = np.empty_like(times_s)
        steps_s[0] = times_s[0] - before_s
        np.subtract(times_s[1:], times_s[:-1], out=steps_s[1:])
        newest_s = float(times_s[-1])
        windows: list[Window] = []
        if steps_s.max() <= self._gap_step_s and steps_s.min() >= self._back_step_s:
            self._append([times_s], [chunk.samples for chunk in pending])
            windows = self._cut()
        else:
            samples = np.concatenate([chunk.samples for chunk in pending])
            odd = np.flatnonzero((steps_s > self._gap_step_s) | (steps_s < self._back_step_s))
            start = 0
            for position in odd.tolist():
                self._append([times_s[start:position]], [samples[start:position]])
                windows += self._cut()
                self._bridge(float(times_s[position]), float(steps_s[position]), samples)
                start = position
            self._append([times_s[start:]], [samples[start:]])
            windows += self._cut()
        lacking = self._length - self._times_s.shape[0]
        # A little early: a fast clock and a gap together complete a window before its nominal end.
        self._due_s = newest_s + (lacking * (1.0 - MAX_RATE_ERROR) - 1.0) / self._rate_hz
        return windows

    def _bridge(self, resumed_s: float, step_s: float, like: Array) -> None:
        """Fill a gap with NaN, or start again when it cannot be filled."""
        if step_s < 0 or step_s > self._max_gap_s:
            self.counts.discontinuities += 1
            self.counts.abandoned_samples += self._times_s.shape[0]
            self._restart()
            self._jumped = True
            return
        n_missing = max(1, round(step_s * self._rate_hz) - 1)
        self.counts.gaps += 1
        self.counts.missing_samples += n_missing
        filled_s = np.linspace(resumed_s - step_s, resumed_s, n_missing + 2)[1:-1]
        blank = np.full((n_missing, like.shape[1]), np.nan, np.float32)
        self._append([filled_s], [blank], missing=True)

    def _append(
        self, times_s: list[Float64Array], samples: list[Array], *, missing: bool = False
    ) -> None:
        n = sum(part.shape[0] for part in times_s)
        if n == 0:
            return
        held = self._times_s.shape[0]
        self._times_s = np.concatenate([self._times_s, *times_s])
        if self._samples is not None:
            samples = [self._samples, *samples]
        self._samples = np.concatenate(samples)
        if missing or self._missing is not None:
            before = np.zeros(held, np.bool_) if self._missing is None else self._missing
            self._missing = np.concatenate([before, np.full(n, missing)])
        self._last_s = float(times_s[-1][-1])

    def _cut(self) -> list[Window]:
        """Cut every complete window off the front of the grid."""
        windows: list[Window] = []
        if self._samples is None:
            return windows
        start, n = 0, self._times_s.shape[0]
        while start + self._length <= n:
            windows.append(self._window(slice(start, start + self._length)))
            start += self._hop
        if start:
            self._times_s = self._times_s[start:]
            self._samples = self._samples[start:]
            if self._missing is not None:
                self._missing = self._missing[start:] if self._missing[start:].any() else None
        self.counts.windows += len(windows)
        return windows

    def _window(self, part: slice) -> Window:
        assert self._samples is not None  # noqa: S101 - for the type checker; _cut has looked
        samples = self._samples[part]
        samples.flags.writeable = False
        missing_fraction = invalid_fraction = 0.0
        # A NaN passes through min and max; only then is every sample looked at.
        if not (math.isfinite(samples.min()) and math.isfinite(samples.max())):
            missing = np.zeros(self._length, np.bool_)
            if self._missing is not None:
                missing = self._missing[part]
            unusable = ~np.isfinite(samples).all(axis=1)
            missing_fraction = float(missing.mean())
            invalid_fraction = float((unusable & ~missing).mean())
        start_s = float(self._times_s[part.start])
        span_s = float(self._times_s[part.stop - 1]) - start_s
        off_rate = abs(span_s - self._span_s) > self._span_tolerance_s
        self.counts.off_rate += off_rate
        window = Window(
            index=self._index,
            start_s=start_s,
            end_s=start_s + self._length / self._rate_hz,
            rate_hz=self._rate_hz,
            samples=samples,
            missing_fraction=missing_fraction,
            invalid_fraction=invalid_fraction,
            off_rate=off_rate,
            discontinuity=self._jumped,
        )
        self._index += 1
        self._jumped = False
        return window


class SingleFrames:
    """One window a video frame; frames may come at any pace, and a dropped frame spoils nothing.

    Args:
        info: the stream; a frame is taken to last one nominal frame interval.
    """

    def __init__(self, info: StreamInfo) -> None:
        self.counts = WindowingCounts()
        self._rate_hz = info.rate_hz
        self._index = 0
        self._last_s = -np.inf
        self._jumped = False

    def push(self, chunk: Chunk) -> list[Window]:
        """Take frames, return one window each.

        Args:
            chunk: (n_frames, height, width, 3) uint8 with stamps; may be empty.

        Returns:
            Windows of one frame; one whose stamp lies before the last is marked a discontinuity.
        """
        windows = []
        for position, time_s in enumerate(chunk.times_s.tolist()):
            jumped = time_s < self._last_s
            if jumped:
                self.counts.discontinuities += 1
                self._index = 0
            frame = chunk.samples[position : position + 1]
            frame.flags.writeable = False
            windows.append(
                Window(
                    index=self._index,
                    start_s=time_s,
                    end_s=time_s + 1.0 / self._rate_hz,
                    rate_hz=self._rate_hz,
                    samples=frame,
                    discontinuity=jumped,
                )
            )
            self._index += 1
            self._last_s = time_s
        self.counts.windows += len(windows)
        return windows

    def flush(self) -> list[Window]:
        """Return nothing: a frame is a window at once."""
        return []
