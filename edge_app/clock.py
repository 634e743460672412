"""The stream clock: monotonic seconds, passed in wherever time matters so that tests own it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that only ever grow."""

    def now_s(self) -> float:
        """Return the present moment."""

    async def sleep_until_s(self, time_s: float) -> None:
        """Return at ``time_s``, at once if it has passed."""


class MonotonicClock:
    """``time.monotonic`` (the LSL clock too on Linux), optionally faster for a demonstration.

    Args:
        speed: stream seconds a real second. At 1 stamps equal ``time.monotonic``.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._base_s = time.monotonic()

    def now_s(self) -> float:
        """Return the present moment in stream seconds."""
        return self._base_s + (time.monotonic() - self._base_s) * self.speed

    async def sleep_until_s(self, time_s: float) -> None:
        """Return at ``time_s`` of this clock, at once if it has passed."""
        await asyncio.sleep(max(0.0, (time_s - self.now_s()) / self.speed))
