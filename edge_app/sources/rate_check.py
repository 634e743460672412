"""Does a stream send at the rate it declares? Measured on its own stamps."""

from __future__ import annotations

import numpy as np

from edge_app.contracts import Float64Array

MAX_RATE_ERROR = 0.05
"""Sensor clocks are within 0.1 %: more than 5 % is a wrong declaration, not a slow crystal."""
STRETCH_S = 5.0
FIRST_SIGN_S = 1.0
_JITTERS = 100.0
"""A stretch lasts this many jitters, so that its two ends stray by no more than 2 %."""
_CLEAN = 0.1
"""Steps that stray by less than this share of their median tell the rate by the median alone."""


class RateCheck:
    """Measures the rate over stretches without a gap.

    A stretch with a gap, or in which time goes back, says nothing about the rate and is passed
    over; windowing counts it. Where most steps are alike, they tell the rate, and what is lacking
    beside them was lost.

    Args:
        rate_hz: the declared rate.
        jitter_s: how far a stamp may stray.
        stretch_s: None: long enough to be certain. Given: a first sign after this long, with as
            much more tolerance as the jitter of its two ends asks for.
    """

    def __init__(self, rate_hz: float, jitter_s: float, stretch_s: float | None = None) -> None:
        self._rate_hz = rate_hz
        self._jitter_s = jitter_s
        self._max_error = MAX_RATE_ERROR
        if stretch_s is None:
            stretch_s = max(STRETCH_S, _JITTERS * jitter_s)
        else:
            self._max_error += 2.0 * jitter_s / stretch_s
        self._stretch_s = stretch_s
        self._most = 2.0 * rate_hz * self._stretch_s
        self._held: list[Float64Array] = []
        self._n_held = 0

    def wrong_rate_hz(self, times_s: Float64Array) -> float | None:
        """Return the measured rate when a stretch has just ended and it is not the declared one.

        Args:
            times_s: (n_samples,) further stamps of the stream, finite, at least one.
        """
        self._held.append(times_s)
        self._n_held += times_s.shape[0]
        span_s = float(times_s[-1] - self._held[0][0])
        if -self._jitter_s <= span_s < self._stretch_s and self._n_held < self._most:
            return None
        steps_s = np.diff(np.concatenate(self._held))
        self._held, self._n_held = [], 0
        # The median, because a gap is one against the steps that come, not those declared.
        if not steps_s.size or steps_s.min() < -self._jitter_s:
            return None
        median_s = float(np.median(steps_s))
        if steps_s.max() > 1.5 * median_s + self._jitter_s:
            return None
        alike = float(np.median(np.abs(steps_s - median_s))) < _CLEAN * median_s
        if alike and median_s > 0.5 * float(steps_s.mean()):  # else bursts, of next to no steps
            span_s = steps_s.size * median_s
        measured_hz = steps_s.size / span_s if span_s > 0 else np.inf
        wrong = abs(measured_hz / self._rate_hz - 1.0) > self._max_error
        return measured_hz if wrong else None
