"""Stamps for sensors that send neither time nor counter: a phase-locked loop.

Samples are taken at a steady rate and arrive late by a delay that changes but is never negative.
The loop predicts each arrival from the one before and follows the *least* lateness of every quarter
of a second, so that batches of notifications do not move it. A lateness that goes away again was a
held-up batch. One that stays was loss: of up to two samples the loop slowly follows (the window's
rate shows it); of more it leaves a gap.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import Float32Array
from edge_app.sources.imu_time.counters import ImuCounters
from edge_app.sources.imu_time.device_lane import Stretch

SETTLE_S = 0.5
"""Samples of the first half second wait for the loop's first phase."""
LATE_SAMPLES = 2.5
"""Lateness, in samples, from which on it is looked at whether it stays."""
HELD_S = 0.25
_BIN_S = 0.25
_BIN_PACKETS = 4
_PHASE_GAIN = 0.5
_RATE_GAIN = 0.02
_LARGEST_STRETCH = 0.1
_RATE_STEP = 0.002
_RATE_LIMITS = (0.25, 4.0)


class PhaseLock:
    """Stamps the packets of one set of channels.

    Args:
        rate_hz: nominal samples a second.
        counters: counted into.
    """

    def __init__(self, rate_hz: float, counters: ImuCounters) -> None:
        self._nominal_s = self._period_s = 1.0 / rate_hz
        self._counters = counters
        self._last_s: float | None = None
        self._stretch = 0.0  # relative change of the period that brings the phase back
        self._held: list[Float32Array] = []
        self._held_arrivals_s: list[float] = []
        self._n_held = 0
        self._least_late_s = np.inf
        self._before_s = 0.0  # least lateness of the bin before
        self._restart_bin(-np.inf)

    def _restart_bin(self, arrival_s: float) -> None:
        self._bin_began_s = arrival_s
        self._bin_least_s = np.inf
        self._bin_packets = 0

    def push(self, samples: Float32Array, arrival_s: float) -> list[Stretch]:
        """Take a packet, return (times, samples) that are certain now.

        Args:
            samples: (n_samples, n_channels) of one notification.
            arrival_s: host time, rising.
        """
        if self._last_s is None:
            return self._settle(samples, arrival_s)
        n = samples.shape[0]
        late_s = arrival_s - self._last_s - (self._n_held + n) * self._step_s
        if late_s <= LATE_SAMPLES * self._nominal_s:
            self._follow(late_s, arrival_s)
            if self._held:
                self._hold(samples, arrival_s, late_s)
                return self._release(0.0)
            return [self._stamp(samples)]
        self._hold(samples, arrival_s, late_s)
        if arrival_s - self._held_arrivals_s[0] < HELD_S:
            return []
        late_s = self._least_late_s
        if late_s - min(self._before_s, self._bin_least_s) < LATE_SAMPLES * self._nominal_s:
            self._steer(late_s, _BIN_S)  # crept up: single losses, nobody knows where
            self._restart_bin(arrival_s)
            return self._release(0.0)
        self._restart_bin(arrival_s)
        self._stretch = self._before_s = 0.0
        return self._release(late_s)

    @property
    def _step_s(self) -> float:
        return self._period_s * (1.0 + self._stretch)

    def _settle(self, samples: Float32Array, arrival_s: float) -> list[Stretch]:
        if self._held and arrival_s - self._held_arrivals_s[-1] > SETTLE_S:
            self._counters.lost += self._n_held  # a silence: nothing before it can be placed
            self._clear()
        self._hold(samples, arrival_s, 0.0)
        enough = self._n_held * self._nominal_s >= SETTLE_S
        if not enough and arrival_s - self._held_arrivals_s[0] < SETTLE_S:
            return []
        newest = np.cumsum([part.shape[0] for part in self._held])
        start_s = float((np.array(self._held_arrivals_s) - newest * self._nominal_s).min())
        self._last_s = start_s
        self._restart_bin(arrival_s)
        return self._release(0.0)

    def _follow(self, late_s: float, arrival_s: float) -> None:
        """Take one lateness; at the end of each bin let the loop follow the least."""
        self._bin_least_s = min(self._bin_least_s, late_s)
        self._bin_packets += 1
        length_s = arrival_s - self._bin_began_s
        if length_s < _BIN_S or self._bin_packets < _BIN_PACKETS:
            return
        self._steer(self._bin_least_s, min(length_s, 4.0 * _BIN_S))
        self._restart_bin(arrival_s)

    def _steer(self, least_s: float, length_s: float) -> None:
        """Set period and stretch so that a lateness goes away."""
        self._before_s = least_s
        change = min(max(_RATE_GAIN * least_s / length_s, -_RATE_STEP), _RATE_STEP)
        low_s, high_s = (limit * self._nominal_s for limit in _RATE_LIMITS)
        self._period_s = min(max(self._period_s * (1.0 + change), low_s), high_s)
        wanted = _PHASE_GAIN * least_s / length_s
        self._stretch = min(max(wanted, -_LARGEST_STRETCH), _LARGEST_STRETCH)

    def _hold(self, samples: Float32Array, arrival_s: float, late_s: float) -> None:
        self._held.append(samples)
        self._held_arrivals_s.append(arrival_s)
        self._n_held += samples.shape[0]
        self._least_late_s = min(self._least_late_s, late_s)

    def _clear(self) -> None:
        self._held, self._held_arrivals_s = [], []
        self._n_held = 0
        self._least_late_s = np.inf

    def _release(self, gap_s: float) -> list[Stretch]:
        samples = np.concatenate(self._held)
        self._clear()
        self._last_s = (self._last_s or 0.0) + gap_s
        return [self._stamp(samples)]

    def _stamp(self, samples: Float32Array) -> Stretch:
        n = samples.shape[0]
        last_s = self._last_s or 0.0
        if n == 1:
            self._last_s = last_s + self._step_s
            return np.array([self._last_s]), samples
        times_s = last_s + self._step_s * np.arange(1, n + 1)
        self._last_s = float(times_s[-1])
        return times_s, samples
