"""Reads a live source as the supervisor does, in a thread, and notes what happened when."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Chunk, StreamInfo, Window
from edge_app.errors import SourceError
from edge_app.sources.protocol import Source
from edge_app.windowing import SlidingWindows, WindowingCounts

AGAIN_AFTER_S = 0.3


@dataclass(frozen=True)
class Noted:
    """Something that happened.

    Args:
        at_s: ``time.monotonic``.
        text: a trouble as told, or an error.
        error: None for a trouble.
    """

    at_s: float
    text: str
    error: SourceError | None = None


class Feed:
    """Opens a source, reads it, opens it again after each error, until ``stop``.

    Args:
        make: returns a closed source, a new one each time.

    Attributes:
        chunks: what came, with the moment it came.
        noted: troubles and errors in order.
        info: of the newest opening.
    """

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self.chunks: list[tuple[float, Chunk]] = []
        self.noted: list[Noted] = []
        self.info: StreamInfo | None = None
        self.source: Source | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feed:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the reading and wait for it."""
        self._stopping.set()
        with self._lock:
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        self.thread.join(10.0)
        assert not self.thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._attempt())
            self._stopping.wait(AGAIN_AFTER_S)

    async def _attempt(self) -> None:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        source = self.source = self._make()
        source.on_trouble = lambda text: self.noted.append(Noted(time.monotonic(), text))
        try:
            if not self._stopping.is_set():
                self.info = await source.open()
                async for chunk in source:
                    self.chunks.append((time.monotonic(), chunk))
        except SourceError as error:
            self.noted.append(Noted(time.monotonic(), str(error), error))
        finally:
            await source.close()
            with self._lock:
                self._loop = self._task = None

    @property
    def errors(self) -> list[SourceError]:
        """Errors so far."""
        return [note.error for note in self.noted if note.error is not None]

    @property
    def times_s(self) -> np.ndarray:
        """Stamps of all samples so far."""
        return np.concatenate([np.empty(0), *(chunk.times_s for _, chunk in self.chunks)])

    @property
    def samples(self) -> np.ndarray:
        """All samples so far."""
        return np.concatenate([chunk.samples for _, chunk in self.chunks])

    def told_since(self, since_s: float) -> str:
        """What was told since then, troubles and errors, joined."""
        return " | ".join(note.text for note in self.noted if note.at_s >= since_s and note.text)

    def came_since(self, since_s: float) -> int:
        """Number of samples whose stamps lie after a moment."""
        return int((self.times_s > since_s).sum())

    def largest_pause_s(self, since_s: float, until_s: float) -> float:
        """The longest time without a chunk between two moments."""
        arrived = [at_s for at_s, _ in self.chunks if since_s <= at_s <= until_s]
        return float(np.diff([since_s, *arrived, until_s]).max())

    def windows(self, length: int = 50) -> tuple[list[Window], WindowingCounts]:
        """Cut everything that came into windows, as one stream."""
        assert self.info is not None
        windower = SlidingWindows(self.info, length_samples=length, hop_samples=length)
        windows = [w for _, chunk in list(self.chunks) for w in windower.push(chunk)]
        return windows, windower.counts
