"""Packets with a device clock or counter: put in order, gaps counted, restarts seen.

Times leave here on the device timeline: seconds of the device clock, moved so that they are close
to host time; a restarted clock goes on behind the old one, after a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float32Array, Float64Array
from edge_app.sources.imu_protocols.protocol import ImuBlock
from edge_app.sources.imu_time.timeline import Timeline

Stretch = tuple[Float64Array, Float32Array]

HELD_PACKETS = 3
"""How many packets wait behind a gap for the missing one to come late."""
HELD_S = 0.25
JUMP_S = 0.02
"""A gap that would put samples this far into the future is a clock that jumped."""
RESTART_GAP = 3.0
"""Sample intervals that a restart leaves free at least, so that windowing sees it."""
LATE_PACKETS = 8
_LATE_IN_A_ROW = 4
_STUCK_IN_A_ROW = 3
_SHORT_IN_A_ROW = 3
_SEVERAL = 4
_SETTLING_SLACK_S = 0.25


@dataclass(slots=True)
class _Held:
    ticks: int
    block: ImuBlock
    arrival_s: float


class DeviceLane:
    """Puts the packets of one set of channels in order.

    Args:
        timeline: the device clock.
        period_ticks: nominal sample interval; the real one is learned within 5 % of it.
        ticks_of: newest tick of a block.
        learns: False when a tick is one sample, so that there is nothing to learn.
        counter_bits: width of the counter beside the clock, 0: none.
    """

    def __init__(
        self,
        timeline: Timeline,
        period_ticks: float,
        ticks_of: Callable[[ImuBlock], int],
        *,
        learns: bool,
        counter_bits: int = 0,
    ) -> None:
        self._timeline = timeline
        self._nominal = self._period = period_ticks
        self._ticks_of = ticks_of
        self._learns = learns
        self._counter_bits = counter_bits
        self._epoch = 0
        self._learned = 0
        self._restart_state()

    def _restart_state(self) -> None:
        self._raw = 0
        self._last = 0  # ticks of the newest sample passed on
        self._last_block: ImuBlock | None = None
        self._last_arrival_s = 0.0
        self._recent: deque[int] = deque(maxlen=LATE_PACKETS)
        self._held: list[_Held] = []
        self._held_since_s = 0.0
        self._n_late = 0
        self._n_stuck = 0
        self._n_short = 0

    def push(self, block: ImuBlock, arrival_s: float) -> tuple[list[Stretch], int]:
        """Take a packet, return (times, samples) that are in order now, and samples found lost.

        Args:
            block: decoded packet.
            arrival_s: host time.

        Returns:
            Stretches in time order on the device timeline, and how many samples are missing.
        """
        timeline = self._timeline
        raw = self._ticks_of(block)
        if self._epoch != timeline.epoch or self._last_block is None:
            return self._begin(raw, block, arrival_s)
        step = timeline.step(raw, self._raw, arrival_s - self._last_arrival_s)
        n = block.samples.shape[0]
        ticks = self._last + step
        excess = step - n * self._period
        if not self._held and step > 0 and excess <= self._slack(n):
            self._n_late = self._n_short = 0
            if step < 0.3 * n * self._period:
                self._stuck()
            else:
                self._n_stuck = 0
            timeline.fit.observe(timeline.seconds(ticks), arrival_s)
            return [self._emit(ticks, block, arrival_s, joined=True)], 0
        return self._unusual(raw, ticks, block, arrival_s)

    def _slack(self, n: int) -> float:
        """How many ticks more than ``n`` intervals are no gap: half an interval once learned."""
        if self._learned >= 5 or not self._learns:
            return 0.5 * self._period
        return max(0.5, 0.1 * n) * self._period

    def _begin(self, raw: int, block: ImuBlock, arrival_s: float) -> tuple[list[Stretch], int]:
        timeline = self._timeline
        if timeline.epoch == 0:
            timeline.begin(raw, arrival_s)
        ticks = timeline.since_first(raw)
        slack_s = JUMP_S + _SETTLING_SLACK_S
        if timeline.fit.early_by_s(timeline.seconds(ticks), arrival_s) > slack_s:
            timeline.counters.late += 1  # still by the clock before it began anew
            return [], 0
        self._restart_state()
        self._epoch = timeline.epoch
        timeline.fit.observe(timeline.seconds(ticks), arrival_s)
        return [self._emit(ticks, block, arrival_s, joined=False)], 0

    def _unusual(
        self, raw: int, ticks: int, block: ImuBlock, arrival_s: float
    ) -> tuple[list[Stretch], int]:
        """Handle a packet that is not simply the next one."""
        timeline, counters = self._timeline, self._timeline.counters
        n = block.samples.shape[0]
        behind = self._last - ticks
        if behind >= 0:
            same = self._last_block is not None and np.array_equal(
                block.samples, self._last_block.samples
            )
            if behind == 0 and not same:
                self._stuck()
            if behind == 0 or ticks in self._recent:
                counters.repeated += n
                return [], 0
            if behind <= LATE_PACKETS * n * self._period and self._n_late < _LATE_IN_A_ROW:
                self._n_late += 1
                counters.late += 1
                return [], 0
            return self._restart(raw, block, arrival_s)
        if any(held.ticks == ticks for held in self._held):
            counters.repeated += n
            return [], 0
        device_s = timeline.seconds(ticks)
        slack_s = JUMP_S + _SETTLING_SLACK_S * timeline.settling(arrival_s)
        newest = self._held[-1].ticks if self._held else self._last
        jumped = ticks - newest > n * self._period + self._slack(n)
        if jumped and timeline.fit.early_by_s(device_s, arrival_s) > slack_s:
            return self._restart(raw, block, arrival_s)
        if not self._held and self._is_cut_short(ticks, n):
            return [], 0
        timeline.fit.observe(device_s, arrival_s)
        if not self._held:
            self._held_since_s = arrival_s
        elif ticks < newest:
            counters.reordered += 1
        self._held.append(_Held(ticks, block, arrival_s))
        self._held.sort(key=lambda held: held.ticks)
        stretches, lost = self._drain()
        long = n * self._period * timeline.tick_s > HELD_S
        waited = arrival_s - self._held_since_s > HELD_S
        if self._held and (waited or len(self._held) >= (2 if long else HELD_PACKETS)):
            more, lost = self._release()
            stretches += more
        return stretches, lost

    def _is_cut_short(self, ticks: int, n: int) -> bool:
        """Tell whether a packet lacks some of its own samples.

        Packets are lost whole, so a gap of less than half a packet before a packet of many samples
        means that these were cut off, and nobody knows where. It is dropped, and counted with the
        gap that it leaves; three in a row are taken for the sensor's way.
        """
        excess = ticks - self._last - n * self._period
        if n < _SEVERAL or excess > 0.5 * n * self._period or self._n_short >= _SHORT_IN_A_ROW:
            return False
        self._n_short += 1
        return True

    def _drain(self) -> tuple[list[Stretch], int]:
        """Pass on held packets that follow without a gap."""
        stretches = []
        while self._held:
            held = self._held[0]
            n = held.block.samples.shape[0]
            if held.ticks - self._last - n * self._period > self._slack(n):
                break
            del self._held[0]
            stretches.append(self._emit(held.ticks, held.block, held.arrival_s, joined=True))
        return stretches, 0

    def _release(self) -> tuple[list[Stretch], int]:
        """Give up what is missing, and pass on what is held."""
        stretches: list[Stretch] = []
        lost = 0
        while self._held:
            held = self._held.pop(0)
            lost += self._missing(held)
            stretches.append(self._emit(held.ticks, held.block, held.arrival_s, joined=False))
            stretches += self._drain()[0]
        return stretches, lost

    def _missing(self, held: _Held) -> int:
        """Return how many samples are missing before a held packet."""
        n: int = held.block.samples.shape[0]
        last = self._last_block.counters if self._last_block else None
        counters = held.block.counters
        if self._counter_bits and last and counters:
            whole: int = 1 << self._counter_bits
            if n > 1 and counters[0] == counters[-1]:  # one number a packet
                return n * ((counters[0] - last[-1] - 1) % whole)
            return (counters[0] - last[-1] - 1) % whole
        return max(0, round((held.ticks - self._last) / self._period) - n)

    def _restart(self, raw: int, block: ImuBlock, arrival_s: float) -> tuple[list[Stretch], int]:
        stretches, lost = self._release()
        n = block.samples.shape[0]
        behind = (n - 1 + RESTART_GAP) * self._nominal * self._timeline.tick_s
        self._timeline.restart(raw, arrival_s, behind_s=behind)
        more, _ = self._begin(raw, block, arrival_s)
        return stretches + more, lost

    def _stuck(self) -> None:
        self._n_stuck += 1
        if self._n_stuck >= _STUCK_IN_A_ROW:
            self._timeline.useless = "device clock does not advance"

    def _emit(self, ticks: int, block: ImuBlock, arrival_s: float, *, joined: bool) -> Stretch:
        """Return a packet with times: on a straight line from the one before, or spread back."""
        samples = block.samples
        n = samples.shape[0]
        timeline = self._timeline
        newest_s = timeline.seconds(ticks)
        if joined and self._learns:
            step = (ticks - self._last) / n
            if abs(step - self._nominal) <= 0.05 * self._nominal:
                self._learned += 1
                self._period += (step - self._period) * max(0.02, 1.0 / (self._learned + 1))
        if n == 1:
            times_s = np.array([newest_s])
        else:
            before_s = timeline.seconds(self._last)
            spacing_s = (newest_s - before_s) / n if joined else self._period * timeline.tick_s
            times_s = newest_s - spacing_s * np.arange(n - 1, -1, -1)
        self._raw = self._ticks_of(block)
        self._last = ticks
        self._last_block = block
        self._last_arrival_s = arrival_s
        self._recent.append(ticks)
        timeline.newest_s = max(timeline.newest_s, newest_s)
        return times_s, samples
