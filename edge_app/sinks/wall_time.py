"""The wall-clock time of the stream clock's 0, also when the machine's clock is set meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge_app.clock import Clock

logger = logging.getLogger(__name__)

MOVED_BY_S = 1.0
"""A wall clock that strays further than this from the steady one has been set."""


class WallTime:
    """Unix time of the stream clock's 0.

    A board without a clock battery starts in the past and is set from the network later: what is
    written from then on follows. Smaller corrections are left alone, so that times stay even.

    Args:
        clock: the stream clock.
        wall: Unix seconds, as the machine believes.
        steady: seconds that nobody sets.
    """

    def __init__(
        self,
        clock: Clock,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._offset_s = wall() - steady()
        self._origin_unix_s = wall() - clock.now_s()

    def origin_unix_s(self) -> float:
        """Return it; to be called from one thread at a time."""
        offset_s = self._wall() - self._steady()
        moved_s = offset_s - self._offset_s
        if abs(moved_s) > MOVED_BY_S:
            logger.warning("the machine's clock was set by %+.1f s; times follow it", moved_s)
            self._origin_unix_s += moved_s
            self._offset_s = offset_s
        return self._origin_unix_s
