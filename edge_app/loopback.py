"""A simulated EEG sensor over the real transport: an LSL outlet and inlet on this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from edge_app.clock import Clock
from edge_app.contracts import Chunk, Overflow, StreamInfo
from edge_app.sources.lsl_eeg import LslEegSource, configure_liblsl, load_pylsl
from edge_app.sources.protocol import Source


class LslLoopbackSource(Source):
    """Sends a simulated EEG through an LSL outlet and reads it back through ``LslEegSource``.

    Args:
        name: the stream's name.
        sensor: the simulated sensor, paced by ``clock``.
        clock: the stream clock; a stop of the outlet is noticed as with a real headset.
    """

    overflow = Overflow.BLOCK

    def __init__(self, *, name: str, sensor: Source, clock: Clock) -> None:
        self._sensor = sensor
        self._clock = clock
        self._source_id = f"bedside-simulated-{name}-{os.getpid()}"
        self._session = f"bedside-{os.getpid()}"
        self._inlet = LslEegSource(
            name=name, source_id=self._source_id, jitter_s=0.0, session=self._session
        )
        self._feeder: asyncio.Task[None] | None = None

    async def open(self) -> StreamInfo:
        """Start the outlet, then open the inlet on it."""
        configure_liblsl(self._session)
        outlet = _outlet(await self._sensor.open(), self._source_id)
        self._feeder = asyncio.create_task(self._feed(outlet))
        try:
            return await self._inlet.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop inlet, outlet and sensor; may be called twice."""
        await self._inlet.close()
        if self._feeder is not None:
            self._feeder.cancel()
            with suppress(asyncio.CancelledError):
                await self._feeder
            self._feeder = None
        await self._sensor.close()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield what came back through LSL."""
        return self._inlet.__aiter__()

    def truth_at(self, time_s: float) -> str | None:
        """Return the simulated sleeper's true stage at a stream time."""
        return self._sensor.truth_at(time_s)

    async def _feed(self, outlet: Any) -> None:
        async for chunk in self._sensor:
            if chunk.times_s.shape[0]:
                outlet.push_chunk(chunk.samples, chunk.times_s.tolist())


def _outlet(info: StreamInfo, source_id: str) -> Any:
    pylsl = load_pylsl()
    described = pylsl.StreamInfo(
        info.device, "EEG", len(info.channels), info.rate_hz, "float32", source_id
    )
    described.set_channel_labels(list(info.channels))
    described.set_channel_units(["microvolts"] * len(info.channels))
    described.desc().append_child("acquisition").append_child_value("simulated", "true")
    return pylsl.StreamOutlet(described)
