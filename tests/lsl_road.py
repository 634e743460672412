"""One LSL stream through the real supervisor and pipeline, with everything seen on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_app.clock import MonotonicClock
from edge_app.contracts import Prediction, StreamInfo, Window
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sources.liblsl import LslNetwork
from edge_app.sources.lsl_eeg import LslEegSource
from edge_app.supervisor import StreamJob, Supervisor
from edge_app.tasks.protocol import Task
from edge_app.windowing import SlidingWindows, Windower

WINDOW = 50


class LslRoad:
    """Runs from ``start`` to ``stop``; windows of 50 samples, answered by nothing.

    Attributes:
        opened: the StreamInfo of every opening.
        windows: every window, with the number of the opening it belongs to.
        sources: the source of every attempt.
    """

    def __init__(self, network: LslNetwork, **given: Any) -> None:
        self.health = StreamHealth("eeg")
        self.opened: list[StreamInfo] = []
        self.windows: list[tuple[int, Window]] = []
        self.sources: list[LslEegSource] = []
        self._given = {"name": "eeg", "network": network} | given
        self._supervisor = Supervisor([StreamJob(self.health, self._build)])

    def _build(self) -> Pipeline:
        self.sources.append(LslEegSource(**self._given))
        return Pipeline(
            self.sources[-1], self._prepare, lambda _: None, self.health, clock=MonotonicClock()
        )

    def _prepare(self, info: StreamInfo) -> tuple[Windower, Task]:
        self.opened.append(info)
        return SlidingWindows(info, length_samples=WINDOW, hop_samples=WINDOW), self

    def start(self) -> None:
        self._supervisor.start()

    def stop(self) -> None:
        assert self._supervisor.stop() == []

    def push(self, window: Window) -> list[Prediction]:
        self.windows.append((len(self.opened), window))
        return []

    def finish(self) -> list[Prediction]:
        return []

    def forget(self) -> None:
        pass

    def adopt(self, info: StreamInfo) -> None:
        pass

    def told(self, kind: str) -> list[str]:
        """What was told so far, of one kind of event."""
        return [event.text for event in self.health.events_after(0) if event.kind == kind]

    def wait_for(self, what: Callable[[], object], within_s: float = 30.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not what():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"waited in vain; events: {self.health.events_after(0)}")
            time.sleep(0.02)

    def wait_for_windows(self, n: int = 2) -> None:
        """Wait for n further windows."""
        wanted = len(self.windows) + n
        self.wait_for(lambda: len(self.windows) >= wanted)

    def check_clean_windows_are_whole(self, step: float = 1.0) -> int:
        """Assert that windows without a missing sample hold consecutive ones; return how many."""
        clean = [w for _, w in self.windows if w.usable_fraction == 1.0]
        for window in clean:
            np.testing.assert_allclose(np.diff(window.samples[:, 0]), step)
        return len(clean)
