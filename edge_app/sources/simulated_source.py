"""What simulated sources share: exact stamps, pacing by a clock, truth, the rule for a late reader.

Sample i carries the stamp ``start + i / rate``, exactly. Paced sources run on a clock and start
now; the others start at 0 and go as fast as they are read. What is delivered does not depend on
chunk size or pace, only how it is cut. A late reader of a paced face gets the newest frame; EEG and
IMU are delivered whole, however late.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edge_app.clock import Clock, MonotonicClock
from edge_app.contracts import (
    Array,
    Chunk,
    Float32Array,
    Overflow,
    StreamInfo,
)
from edge_app.errors import ConfigError
from edge_app.simulation.face_video import HEIGHT_PX, WIDTH_PX, FaceVideo
from edge_app.sources.protocol import Source

Blocks = Iterator[tuple[Float32Array, str]]
HISTORY_BLOCKS = 240
"""Blocks whose truth is remembered: two hours of 30-s epochs."""
PACED_CHUNK_S, UNPACED_CHUNK_S, LONGEST_CHUNK_S = 0.1, 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a simulation is delivered; none of it changes the samples.

    Args:
        clock: of a paced source; ``MonotonicClock`` when None.
        paced: True to deliver samples when they are due by the clock, stamped from its now.
        duration_s: where it ends; None: never.
        chunk_samples: samples a chunk; None: a tenth of a second paced, a second otherwise.
    """

    clock: Clock | None
    paced: bool
    duration_s: float | None
    chunk_samples: int | None


class SimulatedSource(Source):
    """A simulated sensor: stamps, pacing and end; subclasses make the samples.

    Args:
        info: what it delivers.
        delivery: when and in what pieces.

    Raises:
        ConfigError: a chunk or duration that holds no sample.
    """

    def __init__(self, info: StreamInfo, delivery: Delivery) -> None:
        rate_hz, duration_s = info.rate_hz, delivery.duration_s
        usual_s = PACED_CHUNK_S if delivery.paced else UNPACED_CHUNK_S
        chunk = delivery.chunk_samples
        self._info = info
        self._clock = delivery.clock or MonotonicClock()
        self._duration_s = duration_s
        self._paced = delivery.paced
        self._chunk = max(1, round(rate_hz * usual_s)) if chunk is None else chunk
        self._total = None if duration_s is None else int(np.floor(duration_s * rate_hz + 1e-6))
        self._next = 0
        self._start_s = 0.0
        self._closed: asyncio.Event | None = None
        self.assumptions = ("simulated: no patient stands behind this signal",)
        if self._chunk < 1 or (self._total is not None and self._total < 1):
            raise ConfigError(
                "a simulation must deliver samples",
                source=info.name,
                expected="a chunk of 1 or more samples, a duration of 1 or more samples",
                got=f"chunk {chunk}, duration {duration_s} s",
                next_step="Leave them out, or make them larger",
            )

    @property
    def duration_s(self) -> float | None:
        """Length of what will be delivered, None when it has no end."""
        return self._duration_s

    async def open(self) -> StreamInfo:
        """Start the simulation from its beginning, stamped from now when paced, from 0 if not."""
        self._restart()
        self.dropped = 0
        self._next = 0
        self._start_s = self._clock.now_s() if self._paced else 0.0
        self._closed = asyncio.Event()
        return self._info

    async def close(self) -> None:
        """Stop; may be called twice."""
        if self._closed is not None:
            self._closed.set()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield chunks until the duration is over; nothing when the source is closed.

        Iterating again goes on where the last iteration stopped, as with a live sensor.
        """
        closed = self._closed
        if closed is None:
            return
        while not closed.is_set() and (self._total is None or self._next < self._total):
            first = self._next
            n = self._chunk if self._total is None else min(self._chunk, self._total - first)
            if self._paced:
                await self._until_due(first + n - 1, closed)
                if closed.is_set():
                    return
                first, n = self._choose(first, n, self._due())
            else:
                await asyncio.sleep(0)
            times_s = self._start_s + np.arange(first, first + n) / self._info.rate_hz
            self._next = first + n
            yield Chunk(times_s, self._make(first, n))

    async def _until_due(self, index: int, closed: asyncio.Event) -> None:
        """Return when sample ``index`` is due, or when the source is closed."""
        due_s = self._start_s + index / self._info.rate_hz
        waits = [
            asyncio.ensure_future(self._clock.sleep_until_s(due_s)),
            asyncio.ensure_future(closed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _due(self) -> int:
        """Return how many samples are due by now."""
        elapsed_s = self._clock.now_s() - self._start_s
        due = int(np.floor(elapsed_s * self._info.rate_hz + 1e-6)) + 1
        return due if self._total is None else min(due, self._total)

    @abstractmethod
    def _restart(self) -> None:
        """Begin the simulation anew."""

    @abstractmethod
    def _choose(self, first: int, n: int, due: int) -> tuple[int, int]:
        """Return first sample and count of the next chunk, ``due`` samples being due."""

    @abstractmethod
    def _make(self, first: int, n: int) -> Array:
        """Return the samples of a chunk."""


class SimulatedSignal(SimulatedSource):
    """EEG or IMU: every sample is delivered in order, late or not.

    Args:
        info: what it delivers.
        begin: returns blocks of samples, each with its truth, without end.
        delivery: when and in what pieces.
    """

    overflow = Overflow.BLOCK

    def __init__(self, info: StreamInfo, begin: Callable[[], Blocks], delivery: Delivery) -> None:
        super().__init__(info, delivery)
        self._begin = begin
        self._restart()

    def truth_at(self, time_s: float) -> str | None:
        """Return the true label; None before the start, too long ago, or not yet made."""
        index = int(np.floor((time_s - self._start_s) * self._info.rate_hz + 1e-6))
        return next((label for start, end, label in self._history if start <= index < end), None)

    def _restart(self) -> None:
        self._blocks = self._begin()
        self._rest: Float32Array = np.empty((0, len(self._info.channels)), np.float32)
        self._made = 0
        self._history: deque[tuple[int, int, str]] = deque(maxlen=HISTORY_BLOCKS)

    def _choose(self, first: int, n: int, due: int) -> tuple[int, int]:
        return first, max(n, min(due - first, round(LONGEST_CHUNK_S * self._info.rate_hz)))

    def _make(self, first: int, n: int) -> Array:
        parts = [self._rest]
        while self._made < first + n:
            samples, label = next(self._blocks)
            self._history.append((self._made, self._made + samples.shape[0], label))
            self._made += samples.shape[0]
            parts.append(samples)
        whole: Float32Array = np.concatenate(parts)
        self._rest = whole[n:].copy()
        taken: Float32Array = whole[:n].copy()
        return taken


class SimulatedFace(SimulatedSource):
    """Frames of a simulated face; paced, a late reader gets the newest one due.

    Args:
        info: what it delivers.
        video: makes the frames.
        delivery: when and in what pieces; single frames when paced or not said.
    """

    def __init__(self, info: StreamInfo, video: FaceVideo, delivery: Delivery) -> None:
        single = delivery.paced or delivery.chunk_samples is None
        super().__init__(info, replace(delivery, chunk_samples=1) if single else delivery)
        self.overflow = Overflow.NEWEST if delivery.paced else Overflow.BLOCK
        self._video = video

    def truth_at(self, time_s: float) -> str | None:
        """Return the expression shown, ``none`` while away, None between two of them."""
        since_s = time_s - self._start_s
        return None if since_s < 0 else self._video.label_at(since_s)

    def _restart(self) -> None:
        """Frames have no state."""

    def _choose(self, first: int, n: int, due: int) -> tuple[int, int]:
        newest = max(first, due - 1)
        self.dropped += newest - first
        return newest, n

    def _make(self, first: int, n: int) -> Array:
        frames = np.empty((n, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        for k in range(n):
            frames[k] = self._video.frame(first + k)
        return frames
