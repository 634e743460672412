"""Does an outlet push in bursts, and how long before its stamps were the samples taken?

A sample is taken before it is pushed. Where pushing makes the stamps, the samples' own times are
therefore on the lower edge of the stamps, while a line fitted to them runs through their middle.
Jitter that is independent from stamp to stamp has no such edge: it lies around the true time.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

BLOCK_S = 0.5
"""Long enough to hold a push that was on time."""
_BLOCKS = 9
_SPREADS = 6.0
_REGULAR = 0.45
"""Share of steps of nothing or of one interval: in bursts most, with independent jitter few."""


class Bursts:
    """Measures the lower edge of the stamps, block by block; the median of blocks counts.

    Args:
        rate_hz: the declared rate.

    Attributes:
        depth_s: how far the edge is before the line.
        shift_s: by how much the line through the stamps is too late: the depth, or 0 where they
            come singly, or where it is less than half an interval.
        regular: most stamps follow the one before at once, or by one interval.
        lost: samples that must have been lost before the next stamp, because the edge has come to
            lie later for two blocks; single ones only where the pushes are rarely late.
    """

    def __init__(self, rate_hz: float) -> None:
        self.depth_s = self.shift_s = 0.0
        self.lost = 0
        self.regular = False
        self._interval_s = 1.0 / rate_hz
        self._per_block = max(10, round(BLOCK_S * rate_hz))
        self._depths_s: deque[float] = deque(maxlen=_BLOCKS)
        self._shares: deque[float] = deque(maxlen=_BLOCKS)
        self._later_s = 0.0  # by how much the edge of the last block was late
        self._begin()

    def _begin(self) -> None:
        self._seen = self._regular = 0
        self._least_s = math.inf

    def see(self, step_s: float, error_s: float) -> None:
        """Look at one more stamp.

        Args:
            step_s: from the stamp before it.
            error_s: how far it is after the line.
        """
        self.lost = 0
        self._seen += 1
        intervals = step_s / self._interval_s
        self._regular += 0.0 <= intervals < 0.25 or abs(intervals - 1.0) < 0.1
        self._least_s = min(self._least_s, error_s)
        if self._seen >= self._per_block:
            self._end_block()
            self._begin()

    def _end_block(self) -> None:
        self._look_for_loss()
        self._depths_s.append(-self._least_s)
        self._shares.append(self._regular / self._seen)
        self.depth_s = median(self._depths_s)
        self.regular = median(self._shares) >= _REGULAR
        bursts = self.regular and self.depth_s > 0.5 * self._interval_s
        self.shift_s = self.depth_s if bursts else 0.0

    def _look_for_loss(self) -> None:
        if len(self._depths_s) < _BLOCKS:
            return
        spread_s = median(abs(depth_s - self.depth_s) for depth_s in self._depths_s)
        later_s = self._least_s + self.depth_s
        latest_s = self.depth_s - min(self._depths_s)
        if later_s <= max(0.75 * self._interval_s, _SPREADS * spread_s, 2.0 * latest_s):
            later_s = 0.0
        behind_s, self._later_s = min(later_s, self._later_s), later_s
        self.lost = round(behind_s / self._interval_s)
        if self.lost:
            self._later_s = 0.0
            self._depths_s.pop()  # of the line before the loss
            self._least_s -= self.lost * self._interval_s
