"""One stride of a foot: its events, phases, angles and way, and why it may not count.

Definitions are those of the GSTRIDE register (Garcia-Villamil et al., Scientific Data 2023, doi
10.1038/s41597-023-02428-0): a stride runs from heel strike to the next heel strike of the same
foot; load ends where the sole lies flat, push begins where it no longer does, swing is toe-off to
heel strike. Speed is stride length over stride time, which is not the register's "step speed".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StrideFault(str, Enum):
    """Why a stride counts as walking but not towards mean and spread."""

    FIRST_OF_BOUT = "first_of_bout"
    """Begins from standing: it has no heel strike of its own to begin with."""
    LAST_OF_BOUT = "last_of_bout"
    TURN = "turn"
    """The foot turned by more than 30 degrees."""
    BESIDE_TURN = "beside_turn"
    """Before or after one that turned: the walker slows down for it, by a tenth (median, after)."""
    GAP = "gap"
    """More samples were lost in a row than can be bridged."""
    SATURATED = "saturated"
    """The sensor's range ended several samples long outside the heel strike."""
    IRREGULAR = "irregular"
    """The foot moved otherwise between this stride and the one before."""
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    LENGTH = "length"
    """Shorter than 0.1 m or longer than 2.2 m, or less than half of the way."""


@dataclass(frozen=True, slots=True)
class Stride:
    """One stride; NaN where a value cannot be known.

    Args:
        bout: number of the walking bout, from 0.
        heel_strike_s: heel strike that begins the stride; NaN for the first of a bout.
        foot_flat_start_s: the sole comes to lie flat.
        foot_flat_end_s: heel-off.
        toe_off_s: toe-off.
        next_heel_strike_s: heel strike that ends the stride.
        end_s: the sole lies flat again.
        stride_time_s: heel strike to next heel strike.
        load_fraction: heel strike to foot-flat, share of the stride.
        foot_flat_fraction: share of the stride.
        push_fraction: heel-off to toe-off, share of the stride.
        swing_fraction: toe-off to next heel strike, share of the stride.
        toe_off_angle_deg: pitch of the sole at toe-off; toe down negative.
        heel_strike_angle_deg: pitch of the sole at the next heel strike.
        stride_length_m: horizontal distance between the two foot-flats.
        path_2d_m: length of the sensor's way seen from above.
        path_3d_m: length of the sensor's way.
        clearance_m: highest point of the sensor above its foot-flat height.
        turn_deg: change of heading, to the left positive.
        rejected: why it does not count towards mean and spread; None when it does.
    """

    bout: int
    heel_strike_s: float
    foot_flat_start_s: float
    foot_flat_end_s: float
    toe_off_s: float
    next_heel_strike_s: float
    end_s: float
    stride_time_s: float
    load_fraction: float
    foot_flat_fraction: float
    push_fraction: float
    swing_fraction: float
    toe_off_angle_deg: float
    heel_strike_angle_deg: float
    stride_length_m: float
    path_2d_m: float
    path_3d_m: float
    clearance_m: float
    turn_deg: float
    rejected: StrideFault | None

    @property
    def accepted(self) -> bool:
        """True when the stride counts towards mean and spread."""
        return self.rejected is None

    @property
    def stance_fraction(self) -> float:
        """Share of the stride in which the foot touches the floor."""
        return 1.0 - self.swing_fraction

    @property
    def cadence_strides_per_min(self) -> float:
        """Strides (not steps) a minute at this stride's pace."""
        return 60.0 / self.stride_time_s

    @property
    def stride_speed_mps(self) -> float:
        """Stride length over stride time."""
        return self.stride_length_m / self.stride_time_s
