"""A source that plays a script: chunks, silences and faults as data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from edge_app.contracts import Chunk, Prediction, StreamInfo, Window
from edge_app.sources.protocol import Source

INFO = StreamInfo("scripted", "eeg", 10.0, ("c",), ("uV",), "test", True)


def seconds(start_s: float, stop_s: float) -> Chunk:
    """All samples at 10 Hz from start (included) to stop."""
    index = np.arange(round(start_s * 10), round(stop_s * 10))
    return Chunk(index / 10.0, index.astype(np.float32)[:, None])


class ScriptedSource(Source):
    """Yields chunks, raises exceptions, hangs where the script says None."""

    def __init__(
        self, *script: Chunk | Exception | None, fail_open: Exception | None = None
    ) -> None:
        self._script = script
        self._fail_open = fail_open
        self.opened = self.closed = 0
        self.hanging = asyncio.Event()

    async def open(self) -> StreamInfo:
        self.opened += 1
        if self._fail_open is not None:
            raise self._fail_open
        return INFO

    async def close(self) -> None:
        self.closed += 1

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        for entry in self._script:
            if isinstance(entry, Exception):
                raise entry
            if entry is None:
                self.hanging.set()
                await asyncio.Event().wait()
            else:
                yield entry


class EchoTask:
    """Says the first sample of each window; remembers resets; has one open answer to finish."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._open: Window | None = None

    def push(self, window: Window) -> list[Prediction]:
        self.calls.append(f"push {window.samples[0, 0]:g}")
        self._open = window
        return [self._say(window, final=False)]

    def finish(self) -> list[Prediction]:
        self.calls.append("finish")
        window, self._open = self._open, None
        return [] if window is None else [self._say(window, final=True)]

    def forget(self) -> None:
        self.calls.append("forget")

    def adopt(self, info: StreamInfo) -> None:
        self.calls.append(f"adopt {info.name}")

    def _say(self, window: Window, *, final: bool) -> Prediction:
        return Prediction(
            task="sleep",
            stream="scripted",
            time_s=window.end_s,
            start_s=window.start_s,
            end_s=window.end_s,
            label="W",
            probabilities=(("W", 1.0),),
            quality=1.0,
            abstained=None,
            final=final,
            revision=int(final),
            model="echo",
            simulated=True,
        )
