"""Steps in a row become strides and walking bouts."""

from __future__ import annotations

import math
from dataclasses import replace

from edge_app.preprocess.gait.stride import Stride, StrideFault
from edge_app.preprocess.gait.swing import LONGEST_MOVE_S, TURN_LIMIT_DEG
from edge_app.preprocess.gait.swing_finder import TimedStep

LEAST_STRIDES = 5
LONGEST_PAUSE_S = 3.0
CONTINUES_S = 10.0
"""So soon after a bout a single step that rolls is walking: people stop, turn and close up."""
STRIDE_TIME_RANGE_S = (0.6, 3.0)
LENGTH_RANGE_M = (0.1, 2.2)
LEAST_STRAIGHTNESS = 0.5
"""Of length to way seen from above; near 1 in walking. A dangling leg comes back."""
RESTLESS_S = 0.3
END_DELAY_S = LONGEST_PAUSE_S + LONGEST_MOVE_S + 1.0
"""So long after the last heel strike no step can come any more that goes on with the bout."""
MOST_HELD = 64
_NAN = float("nan")


class BoutBuilder:
    """Holds strides back until five regular ones in a row make a walking bout.

    Args:
        first_bout: number of the first bout.
    """

    def __init__(self, first_bout: int = 0) -> None:
        self.bout = first_bout
        self._walked_s = -math.inf
        self._drop()

    def _drop(self) -> None:
        self._last: TimedStep | None = None
        self._held: list[Stride] = []
        self._in_a_row = 0
        self._confirmed = False

    def add(self, step: TimedStep) -> list[Stride]:
        """Take the next step, return strides that are now certain."""
        found: list[Stride] = []
        if self._last is not None and step.toe_off_s - self._last.heel_strike_s > LONGEST_PAUSE_S:
            found = self.end()
        stride = _stride(self.bout, self._last, step)
        self._last = step
        self._count(stride, rolls=step.step.rolls)
        self._hold(stride)
        goes_on = 0.0 <= step.toe_off_s - self._walked_s <= CONTINUES_S  # time may have jumped back
        self._confirmed |= self._in_a_row >= (1 if goes_on else LEAST_STRIDES)
        if self._confirmed:
            found += self._held[:-1]
            self._held = self._held[-1:]
        self._held = self._held[-MOST_HELD:]
        return found

    def _count(self, stride: Stride, *, rolls: bool) -> None:
        """Count regular strides in a row; what cannot be judged neither counts nor breaks it."""
        fault = stride.rejected
        if rolls and fault in (None, StrideFault.FIRST_OF_BOUT, StrideFault.TURN):
            self._in_a_row += 1
        elif fault not in (StrideFault.TURN, StrideFault.GAP, StrideFault.SATURATED):
            self._in_a_row = 0

    def _hold(self, stride: Stride) -> None:
        """Hold a stride back; those beside a turn belong to it."""
        if self._held:
            before = self._held[-1]
            if stride.rejected is StrideFault.TURN and before.accepted:
                self._held[-1] = replace(before, rejected=StrideFault.BESIDE_TURN)
            elif before.rejected is StrideFault.TURN and stride.accepted:
                stride = replace(stride, rejected=StrideFault.BESIDE_TURN)
        self._held.append(stride)

    def wait(self, now_s: float) -> list[Stride]:
        """Return the end of a bout that cannot go on any more."""
        if self._last is None or now_s - self._last.heel_strike_s <= END_DELAY_S:
            return []
        return self.end()

    def end(self) -> list[Stride]:
        """Return the last stride of the bout; the next step begins a new one."""
        found: list[Stride] = []
        if self._confirmed:
            last = self._held[-1]
            if last.accepted:
                last = replace(last, rejected=StrideFault.LAST_OF_BOUT)
            found = [last]
            self.bout += 1
            self._walked_s = last.next_heel_strike_s
        self._drop()
        return found


def _stride(bout: int, before: TimedStep | None, now: TimedStep) -> Stride:
    """Return the stride that ends with a step and begins with the heel strike of the one before."""
    step = now.step
    strike_s = _NAN if before is None else before.heel_strike_s
    flat_s = _NAN if before is None else before.flat_s
    time_s = now.heel_strike_s - strike_s
    return Stride(
        bout=bout,
        heel_strike_s=strike_s,
        foot_flat_start_s=flat_s,
        foot_flat_end_s=now.heel_off_s,
        toe_off_s=now.toe_off_s,
        next_heel_strike_s=now.heel_strike_s,
        end_s=now.flat_s,
        stride_time_s=time_s,
        load_fraction=(flat_s - strike_s) / time_s,
        foot_flat_fraction=(now.heel_off_s - flat_s) / time_s,
        push_fraction=(now.toe_off_s - now.heel_off_s) / time_s,
        swing_fraction=(now.heel_strike_s - now.toe_off_s) / time_s,
        toe_off_angle_deg=step.toe_off_angle_deg if step.rolls else _NAN,
        heel_strike_angle_deg=step.heel_strike_angle_deg if step.rolls else _NAN,
        stride_length_m=step.length_m,
        path_2d_m=step.path_2d_m,
        path_3d_m=step.path_3d_m,
        clearance_m=step.clearance_m,
        turn_deg=step.turn_deg,
        rejected=_fault(before, now),
    )


def _fault(before: TimedStep | None, now: TimedStep) -> StrideFault | None:
    """Return the first reason not to count a stride."""
    step = now.step
    lost_before = now.lost_before if before is None else before.lost_at_strike
    if now.lost_after > lost_before:
        return StrideFault.GAP
    if now.saturated:
        return StrideFault.SATURATED
    if abs(step.turn_deg) > TURN_LIMIT_DEG:
        return StrideFault.TURN
    straight = step.length_m >= LEAST_STRAIGHTNESS * step.path_2d_m
    if not (straight and LENGTH_RANGE_M[0] <= step.length_m <= LENGTH_RANGE_M[1]):
        return StrideFault.LENGTH
    if before is None:
        return StrideFault.FIRST_OF_BOUT
    if now.heel_strike_s - before.heel_strike_s < STRIDE_TIME_RANGE_S[0]:
        return StrideFault.TOO_SHORT
    if now.heel_strike_s - before.heel_strike_s > STRIDE_TIME_RANGE_S[1]:
        return StrideFault.TOO_LONG
    if not step.rolls or not before.step.rolls or now.restless_s > RESTLESS_S:
        return StrideFault.IRREGULAR
    return None
