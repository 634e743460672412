"""One device clock: unwrapped, begun anew after a restart, given up when it makes no sense."""

from __future__ import annotations

import numpy as np

from edge_app.sources.imu_time.clock_fit import ClockFit
from edge_app.sources.imu_time.counters import ImuCounters

_RESTARTS_TO_GIVE_UP = 3
_RESTARTS_WITHIN_S = 10.0
_SETTLING_S = 5.0
_EARLY_S = 0.25


class Timeline:
    """One device clock, shared by the lanes of a sensor.

    Args:
        tick_s: length of a tick.
        bits: width after which the clock wraps.
        fit: the mapping to host time.
        counters: counted into.

    Attributes:
        epoch: 0 before the first packet, then 1, one more after each restart.
        useless: why the clock cannot be used, empty while it can.
    """

    def __init__(self, tick_s: float, bits: int, fit: ClockFit, counters: ImuCounters) -> None:
        self.tick_s = tick_s
        self.epoch = 0
        self.useless = ""
        self._half = 1 << (bits - 1)
        self._whole = 1 << bits
        self._wraps_s = tick_s * self._whole
        self.fit = fit
        self.counters = counters
        self._first_raw = 0
        self._base_s = 0.0
        self._began_s = 0.0
        self._restarts_s: list[float] = []
        self.newest_s = -np.inf

    def begin(self, raw: int, arrival_s: float) -> None:
        """Start counting at a packet's newest tick.

        Args:
            raw: the tick as sent.
            arrival_s: host time.
        """
        self.epoch += 1
        self._first_raw = raw
        self._began_s = arrival_s
        self._base_s = arrival_s - self.fit.offset_s

    def restart(self, raw: int, arrival_s: float, *, behind_s: float) -> None:
        """Go on with a clock that has begun anew.

        Args:
            raw: newest tick of the first packet after it.
            arrival_s: host time.
            behind_s: how far behind the newest sample so far the timeline goes on at least.
        """
        self.counters.device_restarts += 1
        self._restarts_s = [t for t in self._restarts_s if arrival_s - t < _RESTARTS_WITHIN_S]
        self._restarts_s.append(arrival_s)
        if len(self._restarts_s) >= _RESTARTS_TO_GIVE_UP:
            self.useless = "device clock jumps again and again"
        self.fit.forget()
        self.begin(raw, arrival_s)
        self._base_s = max(self._base_s, self.newest_s + behind_s)

    def settling(self, arrival_s: float) -> bool:
        """Tell whether the epoch is too young for its offset to be trusted.

        Args:
            arrival_s: host time.
        """
        return arrival_s - self._began_s < _SETTLING_S

    def since_first(self, raw: int) -> int:
        """Return ticks since the epoch's first packet, for a lane that joins it.

        Args:
            raw: the tick as sent.
        """
        return self._signed(raw - self._first_raw)

    def step(self, raw: int, before: int, elapsed_s: float) -> int:
        """Return ticks between two packets, either way; short clocks may have wrapped twice.

        Args:
            raw: the tick as sent.
            before: that of the packet before.
            elapsed_s: between their arrivals.
        """
        step = self._signed(raw - before)
        if self._wraps_s < 60.0 and elapsed_s > 0.25 * self._wraps_s:
            # As many wraps as the time between allows: samples are never from the future.
            slack = min(_EARLY_S / self.tick_s, self._whole / 4)
            step += self._whole * max(
                0, int((elapsed_s / self.tick_s + slack - step) / self._whole)
            )
        return step

    def seconds(self, ticks: float) -> float:
        """Return the time of a tick counted since the epoch's first.

        Args:
            ticks: since the epoch's first packet.
        """
        return self._base_s + ticks * self.tick_s

    def _signed(self, difference: int) -> int:
        return (difference + self._half) % self._whole - self._half
