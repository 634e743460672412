"""Stamps freed of jitter, with every gap kept: a line fitted to stamps against sample numbers.

The gaps are found first, on the stamps as they came. A step of more than 1.5 intervals and the
declared jitter is a gap at once. A smaller one may be a late stamp or a lost sample: late stamps
return to the line, after a lost sample they stay one interval behind it, so the mean deviation
decides, taken over as many stamps as their jitter needs (four when they are clean). A gap moves the
line on by whole intervals; the stamps that come out step by 1.5 intervals or more at a gap and
nowhere else, so windowing finds each, and its length, without knowing the jitter.

The line is fitted by recursive least squares with exponential forgetting, as liblsl's own dejitter
does (``postproc_dejitterer`` in liblsl's ``time_postprocessor.cpp``, which knows no gaps). The
differences: the state is the line's newest point and its slope, so that no number grows over a
night; the slope begins at the nominal interval and is known to 0.1 %; the half-time is 20 s, not
90 s, so that a step of the clock correction is followed. One stamp at a time: chunk size changes
nothing.
"""

from __future__ import annotations

import math

import numpy as np

from edge_app.contracts import Float64Array

HALFTIME_S = 20.0
RESTART_AFTER_S = 10.0
"""After a longer gap the line begins anew: a crystal off by 100 ppm is a millisecond away."""
_SLOPE_PRIOR = 0.001
_MAX_SLOPE_ERROR = 0.005
"""Crystals are within 0.1 %: a slope further off is loss, or a wrong declaration (RateCheck)."""
SLEW = 0.01
"""How fast a new clock offset is taken over, in seconds a second."""
_SURE = 0.75
"""In intervals: a mean deviation above it is a lost sample rather than none."""


class StampLine:
    """Removes jitter from stamps, sample by sample.

    Args:
        rate_hz: the declared rate.
        jitter_s: how far a raw stamp may stray from its sample's time; 0: the stamps are exact and
            pass unchanged, only gaps are counted.

    Attributes:
        gaps: gaps found.
        lost_samples: samples that never came, from the lengths of the gaps.
        back_jumps: times the stamps went back, where the line began anew.
    """

    def __init__(self, rate_hz: float, jitter_s: float) -> None:
        self.gaps = 0
        self.lost_samples = 0
        self.back_jumps = 0
        self._interval_s = 1.0 / rate_hz
        self._rate_hz = rate_hz
        self._jitter_s = jitter_s
        self._gap_step_s = 1.5 * self._interval_s + jitter_s
        self._back_step_s = -(0.5 * self._interval_s + jitter_s)
        self._forget = 2.0 ** (1.0 / (HALFTIME_S * rate_hz))
        sigma_s = max(jitter_s, 0.1 * self._interval_s) / math.sqrt(3.0)  # as if uniform
        self._slope_variance = (_SLOPE_PRIOR * self._interval_s / sigma_s) ** 2
        self._variance = sigma_s * sigma_s
        self._mean_variance = sigma_s * sigma_s
        self._slope_s = self._interval_s
        self._seen = 0  # stamps since the beginning, for the averages' first steps
        self._raw_s = self._out_s = math.nan
        self._restart(math.nan)

    @property
    def rate_hz(self) -> float:
        """The measured rate, from the line's slope."""
        return 1.0 / self._slope_s

    @property
    def jitter_rms_s(self) -> float:
        """How far the raw stamps stray from the line, root mean square."""
        return math.sqrt(self._variance) if self._jitter_s else 0.0

    def push(self, times_s: Float64Array) -> Float64Array:
        """Take raw stamps, return them without jitter.

        Args:
            times_s: (n_samples,) finite.

        Returns:
            (n_samples,) seconds on the same clock.
        """
        if self._jitter_s:
            return np.array([self._one(time_s) for time_s in times_s.tolist()], np.float64)
        before_s = times_s[:1] if math.isnan(self._raw_s) else [self._raw_s]
        steps_s = np.diff(np.concatenate([before_s, times_s]))
        self._count_gaps(steps_s[steps_s > self._gap_step_s])
        self.back_jumps += int((steps_s < self._back_step_s).sum())
        if times_s.shape[0]:
            self._raw_s = float(times_s[-1])
        return times_s

    def _count_gaps(self, steps_s: Float64Array) -> None:
        self.gaps += steps_s.shape[0]
        lost = np.maximum(1, np.rint(steps_s * self._rate_hz) - 1)
        self.lost_samples += int(lost.sum())

    def _restart(self, time_s: float) -> None:
        """Begin a line at a stamp; the slope learnt so far is kept."""
        self._line_s = self._out_s = time_s
        # Covariance of (newest point, slope), in units of the stamps' own variance.
        self._p00, self._p01, self._p11 = 1.0, 0.0, self._slope_variance
        self._mean_s = 0.0

    def _one(self, time_s: float) -> float:
        step_s, self._raw_s = time_s - self._raw_s, time_s
        if not self._back_step_s <= step_s <= RESTART_AFTER_S:  # or the first: not a number
            if step_s > RESTART_AFTER_S:
                self._count_gaps(np.array([step_s]))
            self.back_jumps += step_s < 0
            self._restart(time_s)
            return time_s
        self._advance(1)
        error_s, skipped = time_s - self._line_s, 0
        if step_s > self._gap_step_s:
            skipped = max(1, round(error_s / self._slope_s))
            error_s = self._skip(skipped, time_s)
            if abs(error_s) > 4.0 * math.sqrt(self._variance):  # sampling began anew in between
                self._line_s, error_s = time_s, 0.0
                self._p00, self._p01 = 1.0, 0.0
        else:
            skipped = self._late_for_good(error_s)
            if skipped:
                error_s = self._skip(skipped, time_s)
        if abs(error_s) <= 0.1 * self._interval_s + 2.0 * math.sqrt(self._variance):
            self._fit(error_s)  # others may be a loss not yet certain
        # The line may move by the jitter at once; what comes out follows, short of a gap.
        ideal_s = self._out_s + (1 + skipped) * self._slope_s
        least_s = ideal_s - (0.4 if skipped else 0.9) * self._interval_s
        self._out_s = min(max(self._line_s, least_s), ideal_s + 0.4 * self._interval_s)
        return self._out_s

    def _advance(self, n: int) -> None:
        self._line_s += n * self._slope_s
        self._p00 += n * (2.0 * self._p01 + n * self._p11)
        self._p01 += n * self._p11

    def _skip(self, n: int, time_s: float) -> float:
        self.gaps += 1
        self.lost_samples += n
        self._advance(n)
        return time_s - self._line_s

    def _late_for_good(self, error_s: float) -> int:
        """Return how many samples must have been lost for the stamps to lag as they do."""
        self._seen += 1
        interval_s, most = self._interval_s, max(3.0, self._rate_hz)
        n = min(max(self._variance / (0.15 * interval_s) ** 2, 3.0), most)
        # One stamp that is very late is not yet a loss.
        clipped_s = min(error_s, max(2.0 * interval_s, 3.0 * math.sqrt(self._variance)))
        self._mean_s += (clipped_s - self._mean_s) / n
        # A loss shows on one side only, as lateness; what the other side does is jitter.
        weight = 1.0 / min(1 + self._seen, HALFTIME_S * self._rate_hz)
        early_s, mean_early_s = min(error_s, 0.0), min(self._mean_s, 0.0)
        self._variance += (2.0 * early_s * early_s - self._variance) * weight
        self._mean_variance += (2.0 * mean_early_s * mean_early_s - self._mean_variance) * weight
        lost = 0
        if self._mean_s > max(_SURE * interval_s, 4.0 * math.sqrt(self._mean_variance)):
            lost = max(1, round(self._mean_s / interval_s))
            self._mean_s = 0.0
        elif self._mean_s < -_SURE * interval_s:  # more samples than time: the line goes back
            self._line_s += self._mean_s
            self._mean_s = 0.0
        return lost

    def _fit(self, error_s: float) -> None:
        gain0 = self._p00 / (self._p00 + 1.0)
        gain1 = self._p01 / (self._p00 + 1.0)
        self._line_s += gain0 * error_s
        slope_s = self._slope_s + gain1 * error_s
        most_s = _MAX_SLOPE_ERROR * self._interval_s
        self._slope_s = min(max(slope_s, self._interval_s - most_s), self._interval_s + most_s)
        forget = self._forget
        self._p11 = (self._p11 - gain1 * self._p01) * forget
        self._p01 = (self._p01 - gain0 * self._p01) * forget
        self._p00 = (self._p00 - gain0 * self._p00) * forget


class ClockOffset:
    """The offset of another host's clock, taken over slowly so that it never makes a gap.

    Args:
        offset_s: the first estimate, valid at once.
    """

    def __init__(self, offset_s: float) -> None:
        self.target_s = offset_s
        self._offset_s = offset_s
        self._at_s: float | None = None

    def apply(self, times_s: Float64Array) -> Float64Array:
        """Return stamps on this machine's clock.

        Args:
            times_s: (n_samples,) stamps of the other clock, finite.

        Returns:
            (n_samples,) seconds.
        """
        if not times_s.shape[0]:
            return times_s
        lacking_s = self.target_s - self._offset_s
        if lacking_s == 0.0:
            self._at_s = float(times_s[-1])
            return times_s + self._offset_s
        since_s = times_s - (times_s[0] if self._at_s is None else self._at_s)
        done_s = np.copysign(np.clip(SLEW * since_s, 0.0, abs(lacking_s)), lacking_s)
        corrected_s: Float64Array = times_s + (self._offset_s + done_s)
        self._at_s = float(times_s[-1])
        self._offset_s += float(done_s[-1])
        return corrected_s
