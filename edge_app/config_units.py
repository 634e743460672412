"""Units in a configuration: checked when it is loaded, not when the sensor is opened at night."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from edge_app.contracts import Array
from edge_app.errors import SourceError
from edge_app.sources.recording.imu_units import (
    ACC_UNITS,
    GYR_UNITS,
    acceleration_factor,
    angular_rate_factor,
)
from edge_app.units import VOLTAGE_UNITS, microvolts_per


def _converts(factor: Callable[[Path, Array, str, str], object], unit: str) -> bool:
    try:
        factor(Path(), np.empty((0, 3)), unit, "")
    except SourceError:
        return False
    return True


def _voltage(unit: str) -> str:
    if microvolts_per(unit) is None:
        raise ValueError(f"must be {VOLTAGE_UNITS}, got {unit}")
    return unit


def _signal(unit: str) -> str:
    """Accept a voltage or an acceleration: only the bundle knows which of them it must be."""
    if microvolts_per(unit) is None and not _converts(acceleration_factor, unit):
        raise ValueError(f"must be {VOLTAGE_UNITS}, or {ACC_UNITS}, got {unit}")
    return unit


def _angular_rate(unit: str) -> str:
    if not _converts(angular_rate_factor, unit):
        raise ValueError(f"must be {GYR_UNITS}, got {unit}")
    return unit


VoltageUnit = Annotated[str, AfterValidator(_voltage)]
SignalUnit = Annotated[str, AfterValidator(_signal)]
AngularRateUnit = Annotated[str, AfterValidator(_angular_rate)]
