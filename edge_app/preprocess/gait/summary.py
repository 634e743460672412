"""Mean and spread of gait parameters over the strides of one person, kept in little memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from edge_app.preprocess.gait.moments import RunningMoments, refusal
from edge_app.preprocess.gait.stride import Stride, StrideFault

PARAMETERS = (
    "stride_time_s",
    "load_fraction",
    "foot_flat_fraction",
    "push_fraction",
    "swing_fraction",
    "toe_off_angle_deg",
    "heel_strike_angle_deg",
    "cadence_strides_per_min",
    "stride_speed_mps",
    "stride_length_m",
    "path_3d_m",
    "path_2d_m",
    "clearance_m",
)
"""In the order of the GSTRIDE register; fractions where it has percent."""


class GaitStatistics:
    """Mean and standard deviation of each parameter over accepted strides, in constant memory.

    Args:
        half_life_s: time in which the weight of a stride halves; None: all count alike for ever.

    Attributes:
        half_life_s: as given; may be changed, from then on.

    Raises:
        ContractError: a half-life that is not positive.
    """

    def __init__(self, half_life_s: float | None = None) -> None:
        if half_life_s is not None and not half_life_s > 0.0:
            raise refusal(f"half-life {half_life_s} s")
        self.half_life_s = half_life_s
        self._moments = RunningMoments(len(PARAMETERS))
        self._newest_s: float | None = None
        self.n_strides = 0
        self.n_accepted = 0
        self.n_bouts = 0
        self.walking_s = 0.0
        self.rejected: Counter[str] = Counter()
        self._bout: int | None = None
        self._walked_until_s = 0.0

    @property
    def weight(self) -> float:
        """Accepted strides, each at what is left of its weight."""
        return self._moments.weight

    def add(self, stride: Stride) -> None:
        """Take the next stride of the analyser, accepted or not, in the order it returned them."""
        self.n_strides += 1
        if stride.bout != self._bout:
            self._bout, self._walked_until_s = stride.bout, stride.toe_off_s
            self.n_bouts += 1
        self.walking_s += max(0.0, stride.next_heel_strike_s - self._walked_until_s)
        self._walked_until_s = stride.next_heel_strike_s
        if stride.rejected is not None:
            self.rejected[stride.rejected.value] += 1
            return
        values = [float(getattr(stride, name)) for name in PARAMETERS]
        if not all(map(math.isfinite, values)):
            raise refusal("an accepted stride with a value that is not finite")
        if self._newest_s is not None:
            self.age(stride.next_heel_strike_s - self._newest_s)
        self._newest_s = stride.next_heel_strike_s
        self._moments.add(values)
        self.n_accepted += 1

    def age(self, passed_s: float) -> None:
        """Let the strides so far lose weight.

        Args:
            passed_s: time that has passed; nothing happens where it is not positive, as after a
                jump of the clock.
        """
        if self.half_life_s is not None:
            self._moments.decay(0.5 ** (max(0.0, passed_s) / self.half_life_s))

    def mean(self, parameter: str) -> float:
        """Return the mean of one of ``PARAMETERS``; NaN before the first accepted stride."""
        return self._moments.mean(PARAMETERS.index(parameter))

    def sd(self, parameter: str) -> float:
        """Return the standard deviation of one of ``PARAMETERS``; NaN below two strides."""
        return self._moments.sd(PARAMETERS.index(parameter))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Stride stamps belong to one run of the clock, so decay begins anew after a restart.
        """
        return {
            "half_life_s": self.half_life_s,
            "parameters": list(PARAMETERS),
            "moments": self._moments.as_dict(),
            "n_strides": self.n_strides,
            "n_accepted": self.n_accepted,
            "n_bouts": self.n_bouts,
            "walking_s": self.walking_s,
            "rejected": dict(self.rejected),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GaitStatistics:
        """Return the statistics that ``as_dict`` gave.

        Args:
            values: as stored.

        Returns:
            Statistics that go on where the stored ones ended; the next stride begins a bout.

        Raises:
            ContractError: of another version, or damaged.
        """
        try:
            if tuple(values["parameters"]) != PARAMETERS:
                raise refusal("another list of parameters")
            half_life_s = values["half_life_s"]
            new = cls(None if half_life_s is None else float(half_life_s))
            new._moments = RunningMoments.from_dict(values["moments"], len(PARAMETERS))
            new.n_strides = int(values["n_strides"])
            new.n_accepted = int(values["n_accepted"])
            new.n_bouts = int(values["n_bouts"])
            new.walking_s = float(values["walking_s"])
            new.rejected = Counter(
                {StrideFault(key).value: int(count) for key, count in values["rejected"].items()}
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise refusal(f"{type(error).__name__}: {error}") from error
        counts = (new.n_accepted, new.n_strides, new.n_bouts, *new.rejected.values())
        if min(counts) < 0 or not (math.isfinite(new.walking_s) and new.walking_s >= 0.0):
            raise refusal("a negative count or time")
        if new.n_strides != new.n_accepted + new.rejected.total():
            raise refusal(f"{new.n_strides} strides, but other numbers accepted and rejected")
        if new.weight > new.n_accepted * (1.0 + 1e-9):
            raise refusal(f"a weight of {new.weight:g} for {new.n_accepted} accepted strides")
        return new
