"""A person of the register as the numbers that a model reads: named, in units of the bedside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.gstride import Gait, Person, RegisterTable

_FIELDS = {
    "stride_time_s": ("stride_time_s", 1.0),
    "load_fraction": ("load_percent", 0.01),
    "foot_flat_fraction": ("foot_flat_percent", 0.01),
    "push_fraction": ("push_percent", 0.01),
    "swing_fraction": ("swing_percent", 0.01),
    "toe_off_angle_deg": ("toe_off_angle_deg", 1.0),
    "heel_strike_angle_deg": ("heel_strike_angle_deg", 1.0),
    "cadence_strides_per_min": ("cadence_strides_per_min", 1.0),
    "stride_length_m": ("stride_length_m", 1.0),
    "path_3d_m": ("path_3d_m", 1.0),
    "path_2d_m": ("path_2d_m", 1.0),
    "clearance_m": ("clearance_m", 1.0),
}
"""Name at the bedside, and the register's field with the factor that makes its unit ours."""
SPEED = "stride_speed_mps_mean"
MEAN, SD = "_mean", "_sd"
OFFERED = (
    *(f"{name}{ending}" for name in _FIELDS for ending in (MEAN, SD)),
    SPEED,
)
"""What a recipe may name. Stride speed has no SD here: the register's step speed is no quotient of
its stride length and stride time, so its SD is not that of ours."""
ANGLES = ("toe_off_angle_deg", "heel_strike_angle_deg")
PHASES = ("load_fraction", "foot_flat_fraction", "push_fraction", "swing_fraction")
LENGTHS = ("stride_length_m", "stride_speed_mps", "path_3d_m", "path_2d_m", "clearance_m")
TEMPORAL = ("stride_time_s", "cadence_strides_per_min", *PHASES)


def gait_table(people: Sequence[Person], parameters: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return (n_people, n_parameters), NaN where the register has nothing.

    Args:
        people: rows of the register.
        parameters: names among ``OFFERED``.

    Returns:
        One row a person, in the bedside's units.
    """
    rows = [[_value(person.gait, name) for name in parameters] for person in people]
    return np.array(rows, dtype=np.float64).reshape(len(people), len(parameters))


def with_gait(table: RegisterTable, parameters: Sequence[str], path: Path) -> RegisterTable:
    """Leave out people of whom no parameter is known: a model would answer from nothing.

    Args:
        table: people of a register.
        parameters: names among ``OFFERED``.
        path: where the table came from, for the error.

    Returns:
        The others; ids of those left out are added to the table's own.

    Raises:
        DatasetError: nobody remains.
    """
    known: list[bool] = [
        bool(np.isfinite(row).any()) for row in gait_table(table.people, parameters)
    ]
    if not any(known):
        raise DatasetError(
            "nobody has a gait parameter that the model reads",
            source=str(path),
            expected=f"at least one of {', '.join(parameters)}",
            next_step="Give a table in the register's layout with some of these columns filled in",
        )
    people = tuple(one for one, ok in zip(table.people, known, strict=True) if ok)
    blank = tuple(one.person for one, ok in zip(table.people, known, strict=True) if not ok)
    return RegisterTable(people, (*table.left_out, *blank))


def is_spread(parameters: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return (n_parameters,) True for standard deviations."""
    return np.array([name.endswith(SD) for name in parameters])


def without(parameters: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return (n_parameters,) True for means and SDs of the parameters named."""
    return np.array([name.removesuffix(MEAN).removesuffix(SD) in names for name in parameters])


def _value(gait: Gait, name: str) -> float:
    if name == SPEED:
        return gait.stride_length_m.mean / gait.stride_time_s.mean
    spread = name.endswith(SD)
    field, factor = _FIELDS[name.removesuffix(SD if spread else MEAN)]
    statistic = getattr(gait, field)
    return factor * float(statistic.std if spread else statistic.mean)
