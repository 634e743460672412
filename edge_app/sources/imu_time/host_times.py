"""From the device timeline to host time, once the clock has settled for half a second."""

from __future__ import annotations

from edge_app.sources.imu_time.clock_fit import MOST_AHEAD_S, ClockFit
from edge_app.sources.imu_time.counters import ImuCounters
from edge_app.sources.imu_time.device_lane import Stretch
from edge_app.sources.imu_time.phase_lock import SETTLE_S


class HostTimes:
    """Maps stretches of the device timeline to host time.

    Args:
        fit: the mapping; others feed it.
        rate_hz: nominal samples a second.
        counters: counted into.
    """

    def __init__(self, fit: ClockFit, rate_hz: float, counters: ImuCounters) -> None:
        self._fit = fit
        self._rate_hz = rate_hz
        self._counters = counters
        self._held: list[Stretch] | None = []
        self._held_since_s = 0.0

    def push(self, stretches: list[Stretch], arrival_s: float) -> list[Stretch]:
        """Take what is in order.

        Args:
            stretches: on the device timeline.
            arrival_s: host time.

        Returns:
            The same in host time, with what waited; nothing while the clock settles.
        """
        if not stretches:
            return []
        if self._held is not None:
            if not self._held:
                self._held_since_s = arrival_s
            self._held += stretches
            waited_s = arrival_s - self._held_since_s
            if max(waited_s, self._n_held / self._rate_hz) < SETTLE_S:
                return []
            stretches, self._held = self._held, None
        placed = []
        for times_s, samples in stretches:
            host_s = self._fit.to_host(times_s)
            n = int(host_s.searchsorted(arrival_s + MOST_AHEAD_S))  # what comes after is doubtful
            self._counters.lost += host_s.shape[0] - n
            if n:
                placed.append((host_s[:n], samples[:n]))
        return placed

    def give_up(self) -> None:
        """Count what still waits as lost: its clock is not to be used."""
        self._counters.lost += self._n_held
        self._held = None

    @property
    def _n_held(self) -> int:
        return sum(times_s.shape[0] for times_s, _ in self._held or ())
