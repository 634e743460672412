"""One stream's road: source -> windows -> task -> predictions, once, from open to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from edge_app.clock import Clock
from edge_app.contracts import Chunk, Prediction, StreamInfo, Window
from edge_app.health import StreamHealth
from edge_app.sources.protocol import Source
from edge_app.tasks.protocol import Task
from edge_app.windowing import Windower

logger = logging.getLogger(__name__)

Emit = Callable[[Prediction], None]
Prepare = Callable[[StreamInfo], tuple[Windower, Task]]


class Pipeline:
    """Runs one source through one task.

    Args:
        source: closed; ``run`` opens and closes it.
        prepare: from the opened stream to its windower and task.
        emit: called with every prediction, in order.
        health: counted into.
        clock: for the data age of live predictions; None in a replay, where ``latency_s`` stays
            None.
        on_open: called with the stream's info and the source once it is open.
    """

    def __init__(
        self,
        source: Source,
        prepare: Prepare,
        emit: Emit,
        health: StreamHealth,
        *,
        clock: Clock | None,
        on_open: Callable[[StreamInfo, Source], None] | None = None,
    ) -> None:
        self._source = source
        self._prepare = prepare
        self._emit = emit
        self._health = health
        self._clock = clock
        self._on_open = on_open
        self._newest_s = 0.0

    async def run(self) -> None:
        """Open the source, run until it ends or fails, finish open answers, close it.

        Raises:
            EdgeAppError: whatever the source, the task or the sinks met.
        """
        health, source = self._health, self._source
        source.on_trouble = self._troubled
        try:
            info = await source.open()
            health.assumptions = list(source.assumptions)
            windower, task = self._prepare(info)
            if self._on_open is not None:
                self._on_open(info, source)
            windower.counts = health.windowing
            earlier_dropped = health.dropped
            if health.broken:
                logger.warning("%s: delivers again", health.stream)
            health.opened(info.device)
            try:
                async for chunk in source:
                    self._arrived(chunk)
                    windows = windower.push(chunk)
                    if windows:
                        health.dropped = earlier_dropped + source.dropped
                        health.figures = dict(source.figures)
                        self._take(windows, task)
                    if len(windows) > 1:
                        await asyncio.sleep(0)  # a burst must not keep others from running
            finally:
                health.dropped = earlier_dropped + source.dropped
                health.figures = dict(source.figures)
                self._take(windower.flush(), task)
                self._emit_all(task.finish(), finishing=True)
        finally:
            await source.close()

    def _troubled(self, trouble: str) -> None:
        """Take what a source tells, from any of its threads."""
        self._health.figures = dict(self._source.figures)
        if trouble:
            logger.warning("%s: %s", self._health.stream, trouble)
        elif self._health.trouble:
            logger.warning("%s: over: %s", self._health.stream, self._health.trouble)
        self._health.troubled(trouble)

    def _arrived(self, chunk: Chunk) -> None:
        health = self._health
        n = chunk.times_s.shape[0]
        health.chunks += 1
        health.samples += n
        if n and self._clock is not None:
            health.last_data_s = self._clock.now_s()

    def _take(self, windows: list[Window], task: Task) -> None:
        for window in windows:
            if window.discontinuity:
                self._emit_all(task.finish(), finishing=True)
                task.forget()
            self._newest_s = window.newest_s
            self._emit_all(task.push(window))

    def _emit_all(self, predictions: list[Prediction], *, finishing: bool = False) -> None:
        health = self._health
        for prediction in predictions:
            said = prediction
            if self._clock is not None:
                latency_s = max(0.0, self._clock.now_s() - self._newest_s)
                said = replace(prediction, latency_s=latency_s)
                if not finishing:  # answers closed at the end are old because data ceased
                    health.latency_s = latency_s
                    health.max_latency_s = max(health.max_latency_s or 0.0, latency_s)
            health.predictions += 1
            health.abstained += prediction.label is None
            self._emit(said)
