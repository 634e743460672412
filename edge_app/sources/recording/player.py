"""A recording played as a source: in real time, faster, or as fast as the reader can take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from edge_app.clock import Clock, MonotonicClock
from edge_app.contracts import Chunk, Kind, Overflow, StreamInfo
from edge_app.errors import ConfigError
from edge_app.sources.protocol import Source
from edge_app.sources.recording.formats import open_recording
from edge_app.sources.recording.protocol import Recording, check_chunk_samples

_WORK_S = 0.01
"""At full speed other tasks get a turn this often."""
_NAP_S = 0.2
"""Waiting is cut into naps, so that ``close`` is obeyed within a second."""


class RecordingSource(Source):
    """A recording as a source. Nothing is ever dropped: speed does not change what is delivered.

    Iterating again starts the recording again.

    Args:
        path: file, or folder of pictures.
        kind: the kind of stream wanted of it.
        channel: EEG channel by name (in XDF also STREAM/CHANNEL); XDF with several IMUs: STREAM.
        unit: unit of the EEG or of acceleration, where the file does not say.
        gyr_unit: unit of the angular rate, where the file does not say.
        rate_hz: rate, where the file does not say.
        name: the stream's name; None: the file's.
        speed: stream seconds a second; 1 is real time, None as fast as possible.
        chunk_samples: samples (frames) a chunk; None: one second of signal, or one frame.
        clock: paces the replay; None: the monotonic clock.
        opening: of a recorded live stream that was opened several times: which one, from 0.

    Raises:
        ConfigError: a speed that is not positive.
        SourceError: a chunk of less than one sample.
    """

    overflow = Overflow.BLOCK

    def __init__(
        self,
        path: Path,
        *,
        kind: Kind,
        channel: str | None = None,
        unit: str | None = None,
        gyr_unit: str | None = None,
        rate_hz: float | None = None,
        name: str | None = None,
        speed: float | None = None,
        chunk_samples: int | None = None,
        clock: Clock | None = None,
        opening: int = 0,
    ) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise ConfigError(
                "the replay speed must be positive",
                source=str(path),
                got=speed,
                next_step="Give 1 for real time, more for faster, or max",
            )
        self._open_file = partial(
            open_recording,
            path,
            kind=kind,
            channel=channel,
            unit=unit,
            gyr_unit=gyr_unit,
            rate_hz=rate_hz,
            name=name,
            opening=opening,
        )
        self._speed = speed
        self._chunk_samples = check_chunk_samples(chunk_samples)
        self._clock = MonotonicClock() if clock is None else clock
        self._recording: Recording | None = None
        self._duration_s: float | None = None

    @property
    def duration_s(self) -> float | None:
        """Length of the recording, None before it was opened."""
        return self._duration_s

    async def open(self) -> StreamInfo:
        """Open the file in a thread: finding the units of a long text file takes seconds."""
        await self.close()
        opening = asyncio.get_running_loop().run_in_executor(None, self._open_file)
        try:
            recording = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        self._recording = recording
        self._duration_s = recording.duration_s
        self.assumptions = recording.assumptions
        return recording.info

    async def close(self) -> None:
        """Let go of the file; a pending iteration ends."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield the recording from its start; nothing when it is closed."""
        return self._at_once() if self._speed is None else self._paced(self._speed)

    async def _at_once(self) -> AsyncIterator[Chunk]:
        recording = self._recording
        if recording is None:
            return
        turn_s = time.perf_counter() + _WORK_S
        for chunk in recording.chunks(self._chunk_samples):
            yield chunk
            if time.perf_counter() >= turn_s:
                await asyncio.sleep(0)
                turn_s = time.perf_counter() + _WORK_S
            if self._recording is not recording:
                return

    async def _paced(self, speed: float) -> AsyncIterator[Chunk]:
        """Yield each chunk when a live source would have its last sample."""
        recording, clock = self._recording, self._clock
        if recording is None:
            return
        start_s, first_s = clock.now_s(), None
        sample_s = 1.0 / recording.info.rate_hz
        for chunk in recording.chunks(self._chunk_samples):
            if chunk.times_s.size == 0:
                continue
            # Of a recorded live stream the first stamp is when it was recorded, not 0.
            first_s = float(chunk.times_s[0]) if first_s is None else first_s
            due_s = start_s + (float(chunk.times_s[-1]) - first_s + sample_s) / speed
            await asyncio.sleep(0)
            while (now_s := clock.now_s()) < due_s:
                await clock.sleep_until_s(min(due_s, now_s + _NAP_S))
                if self._recording is not recording:
                    return
            if self._recording is not recording:
                return
            yield chunk


def _close_unwanted(opening: asyncio.Future[Recording]) -> None:
    """Close what was opened after nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
