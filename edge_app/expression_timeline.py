"""Time of a recording as its result files tell it, and a thinned timeline on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

MAX_HOLE_S = 3 * 3600.0
"""After a longer silence another recording begins in the same file."""
MAX_POINTS = 4000
FIRST_POINT_EVERY_S = 1.0
_YEAR_S = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Point:
    """The rolling distribution at one moment.

    Args:
        at_s: since the start.
        coverage: share of the window with a usable face.
        shares: by expression, of the covered time; empty without any.
    """

    at_s: float
    coverage: float
    shares: dict[str, float]


@dataclass(slots=True)
class Timeline:
    """Points whose least spacing doubles whenever there are too many; the newest is kept."""

    every_s: float = FIRST_POINT_EVERY_S
    points: list[Point] = field(default_factory=list)

    def add(self, point: Point) -> None:
        """Take a point; the last one makes way for it if it is near those on both its sides."""
        if self._near(self.points[-2:]) and self._near([self.points[-1], point]):
            self.points[-1] = point
            return
        self.points.append(point)
        if len(self.points) > MAX_POINTS:
            self.every_s *= 2.0
            self.points = self.points[::2]

    def _near(self, pair: list[Point]) -> bool:
        return len(pair) == 2 and pair[1].at_s - pair[0].at_s < self.every_s - 1e-6


@dataclass(slots=True)
class _Stretch:
    """A part of the file on one stream clock; a restart of the machine begins another.

    Attributes:
        first_s: stream time of its first answer.
        last_s: of its last one so far.
        origins_unix_s: least and greatest Unix time of the stream clock's 0 so far; they differ
            where the wall clock was set.
        shift_s: from the stream clock to seconds since the start.
    """

    first_s: float
    last_s: float
    origins_unix_s: tuple[float, float]
    shift_s: float

    def away_s(self, origin_unix_s: float) -> float:
        """Return how far a stream clock's 0 lies from those of this part."""
        earliest_s, latest_s = self.origins_unix_s
        return max(earliest_s - origin_unix_s, origin_unix_s - latest_s, 0.0)


class RecordedTime:
    """Seconds since the first answer, over restarts of the stream clock.

    Within one run of the stream clock only that clock counts: the wall clock may be set meanwhile.

    Attributes:
        length_s: from the first to the last answer.
    """

    def __init__(self) -> None:
        self.length_s = 0.0
        self._stretches: list[_Stretch] = []
        self._newest_unix_s = 0.0

    @property
    def begun(self) -> bool:
        """Whether there was any answer."""
        return bool(self._stretches)

    @property
    def start_unix_s(self) -> float | None:
        """Wall-clock time of the first answer; None where the recording has no date."""
        start_unix_s = self._newest_unix_s - self.length_s
        return start_unix_s if start_unix_s > _YEAR_S else None

    def follow(self, time_s: float, unix_s: float) -> bool:
        """Take the time of an answer.

        Args:
            time_s: on the stream clock.
            unix_s: on the wall clock.

        Returns:
            False when it comes so late that it belongs to another recording.
        """
        if not self._stretches:
            self._stretches.append(_Stretch(time_s, time_s, (unix_s - time_s,) * 2, -time_s))
            self._newest_unix_s = unix_s
        last = self._stretches[-1]
        restarted = time_s < last.last_s
        since_s = max(0.0, unix_s - self._newest_unix_s) if restarted else time_s - last.last_s
        if since_s > MAX_HOLE_S:
            return False
        self.length_s += since_s
        if restarted:
            shift_s = self.length_s - time_s
            self._stretches.append(_Stretch(time_s, time_s, (unix_s - time_s,) * 2, shift_s))
        last = self._stretches[-1]
        last.last_s, self._newest_unix_s = time_s, unix_s
        earliest_s, latest_s = last.origins_unix_s
        last.origins_unix_s = min(earliest_s, unix_s - time_s), max(latest_s, unix_s - time_s)
        return True

    def shift_s(self, time_s: float, unix_s: float) -> float | None:
        """Return what makes a moment's stream time seconds since the start; None: not in here.

        Args:
            time_s: on the stream clock.
            unix_s: on the wall clock, to tell one run of the stream clock from another: where two
                recordings share a stream time, their clocks' zeros lie ``MAX_HOLE_S`` apart.
        """
        holding = [s for s in self._stretches if s.first_s <= time_s <= s.last_s]
        away_s, shift_s = min(
            ((s.away_s(unix_s - time_s), s.shift_s) for s in holding), default=(math.inf, 0.0)
        )
        return shift_s if away_s < MAX_HOLE_S else None
