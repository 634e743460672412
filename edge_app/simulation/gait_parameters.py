"""How one person walks, in the numbers of a gait register row: the seed of a simulated foot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.errors import ContractError

FRAILTY_LABELS = ("robust", "prefrail", "frail")
ROWS = Path(__file__).with_name("gait_rows.npz")


@dataclass(frozen=True, slots=True)
class GaitParameters:
    """Means and spreads over the strides of one person, one foot.

    Definitions: a stride runs from heel strike to the next heel strike of the same foot; load from
    heel strike to foot-flat, foot-flat while the sole is still, push to toe-off, swing to heel
    strike. Angles are the sole's pitch against the floor, toe down negative.

    Args:
        stride_time_s: mean stride time.
        stride_time_sd_s: its standard deviation over strides.
        load_fraction: share of the stride.
        foot_flat_fraction: share of the stride.
        push_fraction: share of the stride.
        swing_fraction: share of the stride.
        toe_off_angle_deg: mean pitch at toe-off, negative.
        heel_strike_angle_deg: mean pitch at heel strike.
        stride_length_m: mean horizontal distance between two foot-flats.
        stride_length_sd_m: its standard deviation over strides.
        clearance_m: highest sensor point in swing above its foot-flat height.
        frailty: ``robust``, ``prefrail`` or ``frail``: Fried index 0, 1-2, 3-5.

    Raises:
        ContractError: a value that no walking person has, or an unknown label.
    """

    stride_time_s: float
    stride_time_sd_s: float
    load_fraction: float
    foot_flat_fraction: float
    push_fraction: float
    swing_fraction: float
    toe_off_angle_deg: float
    heel_strike_angle_deg: float
    stride_length_m: float
    stride_length_sd_m: float
    clearance_m: float
    frailty: str

    def __post_init__(self) -> None:
        phases = self.phase_fractions
        limits = {
            "stride_time_s": (self.stride_time_s, 0.5, 4.0),
            "stride_time_sd_s": (self.stride_time_sd_s, 0.0, 2.0),
            "sum of the four phases": (sum(phases), 0.9, 1.1),
            "shortest phase": (min(phases), 0.005, 0.9),
            "toe_off_angle_deg": (self.toe_off_angle_deg, -90.0, 0.0),
            "heel_strike_angle_deg": (self.heel_strike_angle_deg, -30.0, 50.0),
            "stride_length_m": (self.stride_length_m, 0.1, 2.5),
            "stride_length_sd_m": (self.stride_length_sd_m, 0.0, 1.0),
            "clearance_m": (self.clearance_m, 0.0, 1.0),
        }
        for name, (value, low, high) in limits.items():
            if not (np.isfinite(value) and low <= value <= high):
                raise ContractError(
                    f"{name} is no walking person's",
                    expected=f"{low} to {high}",
                    got=value,
                    next_step="Check the units of the register row: s, m, degrees, shares of 1",
                )
        if self.frailty not in FRAILTY_LABELS:
            raise ContractError(
                "unknown frailty label",
                expected=FRAILTY_LABELS,
                got=self.frailty,
                next_step="Derive it from the Fried index: 0, 1-2, 3-5",
            )

    @property
    def phase_fractions(self) -> tuple[float, float, float, float]:
        """Shares of foot-flat, push, swing and load, in the order a stride is simulated."""
        return (
            self.foot_flat_fraction,
            self.push_fraction,
            self.swing_fraction,
            self.load_fraction,
        )


@cache
def load_gait_rows() -> tuple[GaitParameters, ...]:
    """Return the dozen register rows that come with the package, four a class.

    Source: GSTRIDE register, CC BY 4.0, doi 10.5281/zenodo.8003441; Garcia-Villamil et al.,
    Scientific Data 2023, doi 10.1038/s41597-023-02428-0. Chosen by ``trainer prepare simulation``.
    """
    with np.load(ROWS) as archive:
        rows, labels = archive["rows"], archive["frailty"]
    people: list[list[Any]] = [
        [*map(float, row), str(label)] for row, label in zip(rows, labels, strict=True)
    ]
    return tuple(GaitParameters(*person) for person in people)
