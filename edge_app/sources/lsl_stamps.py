"""Stamps freed of jitter, with every gap kept: a line fitted to stamps against sample numbers.

The gaps are found first, on the stamps as they came. Most programs let LSL stamp at the push, and
push several samples at once, now and then late: then a step may be long though nothing was lost,
and only what follows tells. Late samples come bunched and return to the line; after a loss all stay
behind. A step above ``LOOK_AHEAD_S`` is a gap at once. After one of more than 1.5 intervals the
samples are held until one has caught up to within the jitter learnt so far, or for that long, and
then the least that one is behind is the length of the gap. A loss that hides in the jitter shows
later: by the mean deviation, over as many stamps as the jitter needs, or where they come in bursts
by their lower edge (``lsl_bursts``). A gap moves the line on by whole intervals; the stamps that
come out step by 1.5 intervals or more at a gap and nowhere else, so windowing finds each, and its
length, without knowing the jitter.

The line is fitted by recursive least squares with exponential forgetting, as liblsl's own dejitter
does (``postproc_dejitterer`` in liblsl's ``time_postprocessor.cpp``, which knows no gaps). The
differences: the state is the line's newest point and its slope, so that no number grows over a
night; the slope begins at the nominal interval and is known to 0.1 %; the half-time is 20 s, not
90 s, so that a step of the clock correction is followed. One stamp at a time: chunk size changes
nothing. A burst's samples were taken before it was pushed: the stamps of an outlet that bursts are
moved from the middle of the raw ones to their lower edge.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.sources.lsl_bursts import Bursts

HALFTIME_S = 20.0
RESTART_AFTER_S = 10.0
"""After a longer gap the line begins anew: a crystal off by 100 ppm is a millisecond away."""
LOOK_AHEAD_S = 0.25
"""In stamps: a longer step is a gap, or time gone back, without waiting for what follows."""
LEARN_S = 1.0
"""After the first so many seconds the jitter learnt counts, before it at least the declared one."""
_LATE_PUSH_S = 0.4
_MOST_JITTER_S = 0.1
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
        jitter_s: how far a raw stamp may stray from its sample's time, as long as nothing has been
            learnt of it; 0: the stamps are exact and pass unchanged, only gaps are counted.

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
        self._gap_step_s = 1.5 * self._interval_s
        self._back_step_s = -0.5 * self._interval_s - (LOOK_AHEAD_S if jitter_s else 0.0)
        self._forget = 2.0 ** (1.0 / (HALFTIME_S * rate_hz))
        sigma_s = max(jitter_s, 0.1 * self._interval_s) / math.sqrt(3.0)  # as if uniform
        self._slope_variance = (_SLOPE_PRIOR * self._interval_s / sigma_s) ** 2
        self._variance = self._late_variance = sigma_s * sigma_s
        self._mean_variance = sigma_s * sigma_s
        self._slope_s = self._interval_s
        self._seen = 0  # stamps since the beginning, for the averages' first steps
        self._held: deque[float] = deque()
        self._bursts = Bursts(rate_hz)
        self._shift_s = 0.0
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

    @property
    def n_held(self) -> int:
        """How many samples wait for their stamp."""
        return len(self._held)

    def push(self, times_s: Float64Array) -> Float64Array:
        """Take raw stamps, return those that are certain, without jitter.

        Args:
            times_s: (n_samples,) finite.

        Returns:
            (n,) seconds on the same clock, of the n oldest samples not yet returned; the newest
            ``n_held`` follow with later calls.
        """
        if self._jitter_s:
            out_s: list[float] = []
            for time_s in times_s.tolist():
                self._take(time_s, out_s)
            return np.array(out_s, np.float64)
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
        self._line_s = time_s
        self._out_s = time_s - self._shift_s
        # Covariance of (newest point, slope), in units of the stamps' own variance.
        self._p00, self._p01, self._p11 = 1.0, 0.0, self._slope_variance
        self._mean_s = 0.0

    def _take(self, time_s: float, out_s: list[float]) -> None:
        """Add a stamp, and give on those that are certain with it."""
        to_look_at = deque([time_s])
        while to_look_at:
            self._held.append(to_look_at.popleft())
            lost = self._lost_before_held()
            if lost is not None:
                out_s.append(self._one(self._held.popleft(), lost))
                to_look_at.extendleft(reversed(self._held))
                self._held.clear()

    def _lost_before_held(self) -> int | None:
        """Return how many samples are missing before the first held one; None: not known yet."""
        held = self._held
        step_s = held[0] - self._raw_s
        if not self._gap_step_s < step_s <= RESTART_AFTER_S:  # or the first: not a number
            return 0
        if step_s > LOOK_AHEAD_S:
            return max(1, round((held[0] - self._line_s) / self._slope_s) - 1)
        most_s = self._late_s if self._learnt else max(self._late_s, self._jitter_s)
        if held[-1] - self._line_s - len(held) * self._slope_s <= most_s:
            return 0
        newest_step_s = held[-1] - held[-2] if len(held) > 1 else 0.0
        if self._back_step_s <= newest_step_s <= LOOK_AHEAD_S:
            if held[-1] - held[0] < LOOK_AHEAD_S:
                return None
        else:  # the newest says nothing of this step
            held = deque(list(held)[:-1])
        behind_s = min(t - self._line_s - i * self._slope_s for i, t in enumerate(held, 1))
        return max(1, round((behind_s + self._bursts.depth_s) / self._slope_s))

    @property
    def _late_s(self) -> float:
        """How late a stamp may be by jitter alone."""
        sigma_s = math.sqrt(max(self._variance, self._late_variance))
        return min(0.5 * self._interval_s + 2.0 * sigma_s, _MOST_JITTER_S)

    @property
    def _learnt(self) -> bool:
        return self._seen > LEARN_S * self._rate_hz

    @property
    def _sigma_s(self) -> float:
        return math.sqrt(self._variance)

    def _one(self, time_s: float, skipped: int) -> float:
        step_s, self._raw_s = time_s - self._raw_s, time_s
        if not self._back_step_s <= step_s <= RESTART_AFTER_S:  # or the first: not a number
            if step_s > RESTART_AFTER_S:
                self._count_gaps(np.array([step_s]))
            self.back_jumps += step_s < 0
            self._restart(time_s)
            return self._out_s
        self._advance(1)
        error_s = time_s - self._line_s
        if skipped:
            error_s = self._skip(skipped, time_s)
            if abs(error_s) > 4.0 * self._sigma_s:  # sampling began anew in between
                self._line_s, error_s = time_s, 0.0
                self._p00, self._p01 = 1.0, 0.0
        else:
            skipped = self._late_for_good(error_s)
            if self._bursts.shift_s > 0.0:
                skipped = self._bursts.lost
            if skipped:
                error_s = self._skip(skipped, time_s)
        self._bursts.see(step_s, error_s)
        if abs(error_s) <= 0.1 * self._interval_s + 2.0 * self._sigma_s:
            self._fit(error_s)  # others may be a loss not yet certain
        lacking_s, most_s = self._bursts.shift_s - self._shift_s, SLEW * self._interval_s
        self._shift_s += min(max(lacking_s, -most_s), most_s)
        # The line may move by the jitter at once; what comes out follows, short of a gap.
        ideal_s = self._out_s + (1 + skipped) * self._slope_s
        least_s = ideal_s - (0.4 if skipped else 0.9) * self._interval_s
        wanted_s = self._line_s - self._shift_s
        self._out_s = min(max(wanted_s, least_s), ideal_s + 0.4 * self._interval_s)
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
        # Longer than one push that is late.
        skewed = self._late_variance > 2.0 * self._variance
        wait_s = LOOK_AHEAD_S if not skewed else _LATE_PUSH_S
        least = max(3.0, self._rate_hz * (wait_s if self._learnt else LEARN_S))
        n = max(min(self._variance / (0.15 * interval_s) ** 2, most), least)
        # One that is very late has been looked at.
        clipped_s = min(error_s, 0.5 * interval_s + 3.0 * self._sigma_s)
        self._mean_s += (clipped_s - self._mean_s) / n
        # A loss shows on one side only, as lateness; what the other side does is jitter.
        weight = 1.0 / min(1 + self._seen, HALFTIME_S * self._rate_hz)
        late_s = min(max(error_s, 0.0), _MOST_JITTER_S)
        self._late_variance += (2.0 * late_s * late_s - self._late_variance) * weight
        early_s, mean_early_s = min(error_s, 0.0), min(self._mean_s, 0.0)
        self._variance += (2.0 * early_s * early_s - self._variance) * weight
        self._mean_variance += (2.0 * mean_early_s * mean_early_s - self._mean_variance) * weight
        lost = 0
        sure_s = max(_SURE * interval_s, 4.0 * math.sqrt(self._mean_variance))
        if self._bursts.regular:  # late together, so that many are no better than one
            sure_s = max(sure_s, math.sqrt(self._late_variance))
        if self._mean_s > sure_s:
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
