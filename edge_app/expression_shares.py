"""How long which facial expression was shown, over the last seconds: by time, not by frame count.

An answer speaks for the time since the answer before it. A step between two answers that is
longer than ``longest_step_s`` is a gap, of which nothing is known. So a camera at 10 and one at
30 frames a second give the same shares, and a camera that stalls does not stretch what it last saw.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

LONGEST_STEP_S = 1.0
"""No longer time is answered for by one frame."""
SHARE_WINDOWS_S = (30.0, 60.0)
_DECIMALS = 4
"""Of shares as they are told: of a minute, 6 ms."""


def longest_step_s(rate_hz: float) -> float:
    """Return the longest step between two frames that is no gap, also for slow image series.

    Args:
        rate_hz: nominal frames a second.

    Returns:
        Seconds.
    """
    return max(LONGEST_STEP_S, 1.5 / rate_hz)


class AnsweredTime:
    """Tells since when an answer speaks.

    Args:
        longest_step_s: a longer step between two answers is a gap.
    """

    def __init__(self, longest_step_s: float) -> None:
        self._longest_step_s = longest_step_s
        self._last_s = math.inf

    def since_s(self, time_s: float) -> float:
        """Take the time of an answer; return the start of the time it speaks for.

        Args:
            time_s: its time.

        Returns:
            The time of the answer before; ``time_s`` itself for the first answer, after a gap, and
            where time runs backwards.
        """
        last_s, self._last_s = self._last_s, time_s
        return last_s if 0.0 < time_s - last_s <= self._longest_step_s else time_s


class RollingShares:
    """Shares of time by facial expression over the last seconds, and how much of them was covered.

    Covered is the time in which there was a usable face. Memory is bounded by the answers of the
    longest window, and answers alike that follow each other are kept as one stretch.

    Args:
        windows_s: lengths of the windows.
        longest_step_s: a longer step between two answers is a gap.
    """

    def __init__(
        self,
        windows_s: Iterable[float] = SHARE_WINDOWS_S,
        *,
        longest_step_s: float = LONGEST_STEP_S,
    ) -> None:
        self._longest_s = max(windows_s)
        self._answered = AnsweredTime(longest_step_s)
        self._stretches: deque[tuple[float, float, str | None]] = deque()
        self._now_s = -math.inf

    @property
    def n_stretches(self) -> int:
        """Stretches held in memory."""
        return len(self._stretches)

    def add(self, time_s: float, label: str | None, *, usable: bool) -> None:
        """Take an answer.

        Args:
            time_s: its time; when it lies before the last one's, all before is forgotten.
            label: the expression, None: not sure which.
            usable: whether there was a usable face.
        """
        since_s = self._answered.since_s(time_s)
        stretches = self._stretches
        if time_s < self._now_s:
            stretches.clear()
        self._now_s = time_s
        if usable and since_s < time_s:
            if stretches and stretches[-1][1:] == (since_s, label):
                since_s = stretches.pop()[0]
            stretches.append((since_s, time_s, label))
        while stretches and stretches[0][1] <= time_s - self._longest_s:
            stretches.popleft()

    def seconds(self, window_s: float) -> dict[str | None, float]:
        """Return the covered seconds of the last ``window_s`` by expression; None: not sure which.

        Args:
            window_s: at most the longest of the windows.
        """
        begin_s = self._now_s - window_s
        found: dict[str | None, float] = {}
        for start_s, end_s, label in self._stretches:
            if end_s > begin_s:
                found[label] = found.get(label, 0.0) + end_s - max(start_s, begin_s)
        return found

    def evidence(self, labels: Iterable[str], window_s: float) -> list[tuple[str, float]]:
        """Return coverage and shares of one window as ``Prediction.evidence`` names them.

        The coverage is a share of the whole window, also while less has been seen. The shares are
        of the covered time; what they lack of 1 is time in which no expression was sure. Without
        covered time there are none.

        Args:
            labels: all expressions.
            window_s: at most the longest of the windows.

        Returns:
            ``coverage_30_s`` and ``share_<label>_30_s``, 0 to 1, rounded to four decimals.
        """
        seconds = self.seconds(window_s)
        covered_s = sum(seconds.values())
        told = [(f"coverage_{window_s:g}_s", round(min(1.0, covered_s / window_s), _DECIMALS))]
        if covered_s > 0.0:
            told += [
                (
                    f"share_{label}_{window_s:g}_s",
                    round(seconds.get(label, 0.0) / covered_s, _DECIMALS),
                )
                for label in labels
            ]
        return told
