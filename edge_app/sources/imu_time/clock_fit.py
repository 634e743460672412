"""Device time to host time: a line through the packets that came with the least delay.

Bluetooth only ever delays, so of each second the packet with the smallest (host minus device) says
most about the clocks. A line through those of the last minute gives offset and drift. Stamps
follow it by slewing, not by jumping, so a better fit makes no gap.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from edge_app.contracts import Float64Array

FIT_S = 60
MOST_AHEAD_S = 0.25
_BIN_S = 1.0
_DELAY_SPREAD_S = 0.005  # of the least delays of different seconds
CRYSTAL = 2e-4
"""How far a crystal's rate may be expected to lie from nominal."""
SAMPLE_RATE = 1e-2
"""How far a sensor's sampling rate may be expected to lie from nominal."""


class ClockFit:
    """Maps one device timeline to host time.

    Args:
        expected_drift: how far the rate may lie from 1; the fit leans towards 1 accordingly.
        largest_slew: seconds a second that stamps may be moved by.
    """

    def __init__(self, expected_drift: float = CRYSTAL, largest_slew: float = 0.01) -> None:
        self._lean = (_DELAY_SPREAD_S / expected_drift) ** 2
        self._largest_slew = largest_slew
        self._offset_s: float | None = None
        self._at_s = 0.0
        self.forget()

    def forget(self) -> None:
        """Begin a new fit: the device clock restarted. The offset in use stays until it is made."""
        self._bins: deque[tuple[float, float]] = deque(maxlen=FIT_S)
        self._bin_end_s = -np.inf
        self._least_s = np.inf
        self._least_at_s = 0.0
        self._first_s: float | None = None
        self._line = (0.0, np.inf, 0.0)  # at, offset there, slope
        self._early_s = np.inf

    @property
    def offset_s(self) -> float:
        """Host minus device time in use; 0 before there is any."""
        return self._offset_s or 0.0

    def observe(self, device_s: float, arrival_s: float) -> None:
        """Take the time of a packet's newest sample by both clocks.

        Args:
            device_s: on the device timeline.
            arrival_s: host time.
        """
        delay_s = arrival_s - device_s
        if device_s >= self._bin_end_s:
            if np.isfinite(self._least_s):
                self._bins.append((self._least_at_s, self._least_s))
                self._refit()
            self._bin_end_s = device_s + _BIN_S
            self._least_s = np.inf
        if delay_s < self._least_s:
            self._least_s, self._least_at_s = delay_s, device_s
            if len(self._bins) < 3:  # no line yet: the least delay of all is the best guess
                self._line = (device_s, min(self._line[1], delay_s), 0.0)

    def _refit(self) -> None:
        if len(self._bins) < 3:
            return
        pairs = np.array(self._bins)
        at_s, offset_s = pairs.mean(axis=0)
        x = pairs[:, 0] - at_s
        y = pairs[:, 1] - offset_s
        slope = float(x @ y) / (float(x @ x) + self._lean)
        # A second full of delays (a stall) says nothing: fit again without it.
        error = y - slope * x
        good = error <= np.median(error) + 4.0 * _DELAY_SPREAD_S
        if not good.all() and good.sum() >= 3:
            at_s, offset_s = pairs[good].mean(axis=0)
            x, y = pairs[good, 0] - at_s, pairs[good, 1] - offset_s
            slope = float(x @ y) / (float(x @ x) + self._lean)
        self._line = (float(at_s), float(offset_s), slope)

    def early_by_s(self, device_s: float, arrival_s: float) -> float:
        """Return by how much a packet arrives before it can have been sampled; below 0: later.

        Args:
            device_s: on the device timeline.
            arrival_s: host time.
        """
        return device_s + self._target_s(device_s) - arrival_s

    def _target_s(self, device_s: float) -> float:
        at_s, offset_s, slope = self._line
        return offset_s + slope * (device_s - at_s) if np.isfinite(offset_s) else self.offset_s

    def to_host(self, device_s: Float64Array) -> Float64Array:
        """Return host times of samples; call with later and later ones.

        They go back only when they would lie in the future by more than ``MOST_AHEAD_S``.

        Args:
            device_s: (n_samples,) rising, on the device timeline.
        """
        newest_s = float(device_s[-1])
        target_s = self._target_s(newest_s)
        if self._offset_s is None:
            self._offset_s, self._at_s = target_s, newest_s
            return device_s + target_s
        if self._offset_s - target_s > MOST_AHEAD_S:
            self._offset_s, self._at_s = target_s, newest_s
            return device_s + target_s
        advance_s = newest_s - self._at_s
        most_s = self._largest_slew * max(0.0, advance_s)
        change_s = min(max(target_s - self._offset_s, -most_s), most_s)
        before_s = self._offset_s
        self._offset_s = before_s + change_s
        if device_s.shape[0] == 1 or advance_s <= 0:
            self._at_s = newest_s
            return device_s + self._offset_s
        part = (device_s - self._at_s) / advance_s
        self._at_s = newest_s
        return device_s + (before_s + change_s * part)
