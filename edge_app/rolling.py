"""From single answers to a rolling one: smoothing by time, hysteresis, evidence about a person.

Everything here depends on stamps, never on how many answers came: a camera at 10 or at 30 frames
a second gives the same rolling value at the same moment.
"""

from __future__ import annotations

import math

import numpy as np

from edge_app.contracts import Float64Array

_FLOOR = 1e-9
_ODDS_FLOOR = 1e-6


def normalised(log_probabilities: Float64Array) -> Float64Array:
    """Return probabilities that sum to 1.

    Args:
        log_probabilities: (n_labels,) float64, up to a constant.

    Returns:
        (n_labels,) float64.
    """
    weights = np.exp(log_probabilities - log_probabilities.max())
    return np.asarray(weights / weights.sum(), np.float64)


def log_odds(probabilities: Float64Array) -> Float64Array:
    """Return log(p / (1 - p)) by element, natural logarithm, at most 13.8 either way.

    Args:
        probabilities: (n_labels,).

    Returns:
        (n_labels,) float64.
    """
    kept = np.clip(probabilities, _ODDS_FLOOR, 1.0 - _ODDS_FLOOR)
    return np.asarray(np.log(kept) - np.log1p(-kept), np.float64)


class LogSmoother:
    """Exponential smoothing of log-probabilities in continuous time.

    Between two answers the newer one is taken to have held since the older one, which makes the
    result independent of the rate of answers. After a silence of more than three time constants
    it starts anew instead of gliding from an old state.

    Args:
        time_constant_s: after this time an old answer has weight 1/e; None: no smoothing.
    """

    def __init__(self, time_constant_s: float | None) -> None:
        self._time_constant_s = time_constant_s
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._state: Float64Array | None = None
        self._last_s = -math.inf

    def is_stale(self, time_s: float) -> bool:
        """Return whether the last answer is too old to be gone on from.

        Args:
            time_s: the time now.
        """
        tau = self._time_constant_s
        return tau is not None and time_s - self._last_s > 3.0 * tau

    def update(self, time_s: float, probabilities: Float64Array) -> Float64Array:
        """Take an answer, return the smoothed one.

        Args:
            time_s: its time, not before the last one's.
            probabilities: (n_labels,) summing to 1.

        Returns:
            (n_labels,) float64 summing to 1.
        """
        new = np.log(np.maximum(probabilities, _FLOOR))
        tau = self._time_constant_s
        if tau is None or self._state is None or self.is_stale(time_s):
            self._state = new
        else:
            keep = math.exp(-(time_s - self._last_s) / tau)
            self._state = keep * self._state + (1.0 - keep) * new
        self._last_s = time_s
        return normalised(self._state)


class Hysteresis:
    """A label that does not flicker: taken up at one level, given up at a lower, kept a least time.

    Args:
        labels: in the order of the probabilities.
        enter_probability: a label is taken up at or above this.
        leave_probability: the present label is given up below this.
        min_dwell_s: a label is not exchanged for another sooner than this, also where it was given
            up in between.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        enter_probability: float,
        leave_probability: float,
        min_dwell_s: float,
    ) -> None:
        self._labels = labels
        self._enter = enter_probability
        self._leave = leave_probability
        self._min_dwell_s = min_dwell_s
        self.reset()

    def reset(self) -> None:
        """Forget the present label, and the last one."""
        self._present: int | None = None
        self._last: int | None = None
        self._since_s = -math.inf

    def update(self, time_s: float, probabilities: Float64Array) -> str | None:
        """Return the label to show, or None when none is sure enough.

        Args:
            time_s: the answer's time.
            probabilities: (n_labels,).
        """
        best = int(np.argmax(probabilities))
        present = self._present
        if present is not None and probabilities[present] < self._leave:
            present = None  # unsure: give it up at once, dwell or not
        may_change = best == self._last or time_s - self._since_s >= self._min_dwell_s
        if best != present and probabilities[best] >= self._enter and may_change:
            if best != self._last:
                self._since_s = time_s
            present = self._last = best
        self._present = present
        return None if present is None else self._labels[present]


class Evidence:
    """What is known about a person, from all windows so far.

    Averages log-probabilities with the seconds of signal as weight. The average, not the sum:
    overlapping windows of one walk are not independent, so more of them must not make the answer
    surer without limit (reference: Amjad et al. 2025 use 75 % overlap).
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self._sum: Float64Array | float = 0.0
        self.seconds_s = 0.0

    def add(self, probabilities: Float64Array, weight_s: float) -> Float64Array:
        """Take one window's answer, return the estimate so far.

        Args:
            probabilities: (n_labels,) summing to 1.
            weight_s: seconds of new signal that the window brought, positive.

        Returns:
            (n_labels,) float64 summing to 1.
        """
        self._sum = self._sum + weight_s * np.log(np.maximum(probabilities, _FLOOR))
        self.seconds_s += weight_s
        return normalised(np.asarray(self._sum) / self.seconds_s)
