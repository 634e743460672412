"""What an IMU stream counts, and the share of samples lost of late."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

LOSS_STRETCH_S = 5.0
TOLD_SHARE = 0.02
"""Loss, or bad packets, from which on it is told."""
TOLD_STEPS = ((TOLD_SHARE, "2 % or more"), (0.1, "10 % or more"), (0.5, "half or more"))
"""Told in steps, so that what goes on is told once, and again when it grows."""
SOON_STRETCH_S = 1.5
SOON_SHARE = 0.03
"""More than this is told before five seconds of it have gone by."""
_BIN_S = 0.5
_SHORTEST_S = 2.0


@dataclass(slots=True)
class ImuCounters:
    """Counted since the link was made.

    Attributes:
        packets: notifications of characteristics that carry samples.
        bad_packets: of these, those that could not be decoded.
        lost: samples lost, from the device clock or counter: exact.
        lost_estimated: samples lost, from the rate alone.
        repeated: samples that came again and were dropped.
        reordered: packets that came late and were put in their place.
        late: packets that came too late for that; their samples are in ``lost`` already.
        device_restarts: times that the device clock or counter began anew.
        resyncs: times that a piece of a packet was given up.
    """

    packets: int = 0
    bad_packets: int = 0
    lost: int = 0
    lost_estimated: int = 0
    repeated: int = 0
    reordered: int = 0
    late: int = 0
    device_restarts: int = 0
    resyncs: int = 0

    def figures(self) -> tuple[tuple[str, float], ...]:
        """Return (name, value) of all of them."""
        return tuple((field.name, float(getattr(self, field.name))) for field in fields(self))


def told_step(share: float, before: int) -> int:
    """Return the step of ``TOLD_STEPS`` to tell, from 1; 0: nothing.

    Args:
        share: that went wrong.
        before: the step told until now; it stays until the share is half of what is told at all.
    """
    step = sum(share > least for least, _ in TOLD_STEPS)
    return max(step, before) if share > 0.5 * TOLD_SHARE else 0


class RecentShare:
    """What share of things went wrong of late."""

    def __init__(self) -> None:
        self._bins: deque[list[float]] = deque()  # [start_s, good, wrong]

    def add(self, now_s: float, good: float, wrong: float) -> None:
        """Count.

        Args:
            now_s: when, never earlier than before.
            good: things that went well.
            wrong: things that did not.
        """
        bins = self._bins
        if bins and now_s - bins[-1][0] < _BIN_S:
            bins[-1][1] += good
            bins[-1][2] += wrong
            return
        bins.append([now_s, good, wrong])
        while now_s - bins[0][0] > LOSS_STRETCH_S:
            bins.popleft()

    def share(self, now_s: float, stretch_s: float = LOSS_STRETCH_S) -> float:
        """Return the share that went wrong, 0 to 1; 0 when nothing was counted.

        Args:
            now_s: the present.
            stretch_s: how far back to look, five seconds at most.
        """
        good = wrong = 0.0
        for start_s, some_good, some_wrong in self._bins:
            if now_s - start_s <= stretch_s:
                good += some_good
                wrong += some_wrong
        return wrong / (good + wrong) if wrong else 0.0


class LossEstimate:
    """Loss where nothing but the rate shows it: samples due by their stamps, less those that came.

    Args:
        rate_hz: nominal samples a second.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._n = 0
        self._from: tuple[float, int] | None = None
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, newest_s: float, n_samples: int) -> int:
        """Count samples; every five seconds return how many are missing, if it is over 2 %.

        Args:
            newest_s: stamp of the newest of them.
            n_samples: how many.
        """
        self._n += n_samples
        if not self._marks or newest_s - self._marks[-1][0] >= _BIN_S:
            self._marks.append((newest_s, self._n))
            while newest_s - self._marks[0][0] > LOSS_STRETCH_S:
                self._marks.popleft()
        if self._from is None:
            self._from = (newest_s, self._n)
        from_s, from_n = self._from
        if newest_s - from_s < LOSS_STRETCH_S:
            return 0
        due = (newest_s - from_s) * self._rate_hz
        missing = due - (self._n - from_n)
        self._from = (newest_s, self._n)
        return round(missing) if missing > TOLD_SHARE * due else 0

    def share(self, now_s: float) -> float:
        """Return the share missing in the last five seconds; below 0: so many came too much.

        Args:
            now_s: the present.
        """
        if not self._marks or now_s - self._marks[-1][0] > LOSS_STRETCH_S:
            return 0.0
        (from_s, from_n), (to_s, to_n) = self._marks[0], self._marks[-1]
        if to_s - from_s < _SHORTEST_S:
            return 0.0
        return 1.0 - (to_n - from_n) / ((to_s - from_s) * self._rate_hz)
