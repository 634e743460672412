"""A simulated EEG sensor over the real transport: an LSL outlet and inlet on this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from edge_app.contracts import Chunk, Overflow, StreamInfo
from edge_app.sources.liblsl import LslNetwork, configure_liblsl, load_pylsl
from edge_app.sources.lsl_eeg import LslEegSource
from edge_app.sources.protocol import Source

T = TypeVar("T")


class LslLoopbackSource(Source):
    """Sends a simulated EEG through an LSL outlet and reads it back through ``LslEegSource``.

    A stop of the outlet is noticed as with a real headset.

    Args:
        name: the stream's name.
        sensor: the simulated sensor, paced by a clock.
    """

    overflow = Overflow.BLOCK

    def __init__(self, *, name: str, sensor: Source) -> None:
        self._sensor = sensor
        self._source_id = f"bedside-simulated-{name}-{os.getpid()}"
        # Of its own and on this machine only, so that nobody takes it for a patient.
        self._network = LslNetwork(f"bedside-{os.getpid()}", resolve_scope="machine")
        self._inlet = LslEegSource(
            name=name, source_id=self._source_id, jitter_s=0.0, network=self._network
        )
        self._inlet.on_trouble = self.tell_trouble
        self._outlet: Any = None  # held here alone: it is on the network for as long as it is held
        self._feeder: asyncio.Task[None] | None = None

    async def open(self) -> StreamInfo:
        """Start the outlet, then open the inlet on it."""
        configure_liblsl(self._network)
        await self.close()
        try:
            self._outlet = _outlet(await self._sensor.open(), self._source_id)
            self._feeder = asyncio.create_task(self._feed())
            return await _unless_failed(self._feeder, self._inlet.open())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop inlet, outlet and sensor, each even if another fails; may be called twice."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._sensor.close)
            stack.push_async_callback(self._stop_feeder)
            stack.push_async_callback(self._inlet.close)

    async def _stop_feeder(self) -> None:
        feeder, self._feeder = self._feeder, None
        if feeder is not None:
            feeder.cancel()
            await asyncio.wait({feeder})
            if not feeder.cancelled():
                feeder.exception()  # seen where the stream is read
        self._outlet = None

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield what came back through LSL."""
        feeder, chunks = self._feeder, aiter(self._inlet)
        while feeder is not None and feeder is self._feeder:
            try:
                chunk = await _unless_failed(feeder, anext(chunks))
            except StopAsyncIteration:
                return
            self.figures = self._inlet.figures
            yield chunk

    def truth_at(self, time_s: float) -> str | None:
        """Return the simulated sleeper's true stage at a stream time."""
        return self._sensor.truth_at(time_s)

    async def _feed(self) -> None:
        async for chunk in self._sensor:
            if chunk.times_s.shape[0] and self._outlet is not None:
                self._outlet.push_chunk(chunk.samples, chunk.times_s.tolist())


async def _unless_failed(feeder: asyncio.Task[None], wanted: Awaitable[T]) -> T:
    """Await ``wanted``, but raise the feeder's error as soon as it has one."""
    waiting = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait({feeder, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if feeder.done() and not feeder.cancelled():
            feeder.result()
        return await waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def _outlet(info: StreamInfo, source_id: str) -> Any:
    pylsl = load_pylsl()
    described = pylsl.StreamInfo(
        info.device, "EEG", len(info.channels), info.rate_hz, "float32", source_id
    )
    described.set_channel_labels(list(info.channels))
    described.set_channel_units(["microvolts"] * len(info.channels))
    described.desc().append_child("acquisition").append_child_value("simulated", "true")
    return pylsl.StreamOutlet(described)
