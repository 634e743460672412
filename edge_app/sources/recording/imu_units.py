"""Acceleration to m/s^2 and angular rate to rad/s, by the stated unit or by the numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edge_app.contracts import Array, Float64Array
from edge_app.sources.recording.protocol import refuse

STANDARD_GRAVITY_MPS2 = 9.80665
ACC_UNITS = "m/s^2, g or mg"
GYR_UNITS = "rad/s or deg/s"
_TO_MPS2 = {
    "m/s^2": 1.0,
    "m/s2": 1.0,
    "m/s²": 1.0,
    "m/s/s": 1.0,
    "mps2": 1.0,
    "g": STANDARD_GRAVITY_MPS2,
    "mg": STANDARD_GRAVITY_MPS2 / 1000,
}
_DEG = math.pi / 180
_GLITCHES = 9
_FASTEST_RADPS = 40.0
_FASTEST_DPS = 60.0
_TO_RADPS = {
    "rad/s": 1.0,
    "rads": 1.0,
    "radps": 1.0,
    "deg/s": _DEG,
    "degs": _DEG,
    "dps": _DEG,
    "°/s": _DEG,
    "deg/sec": _DEG,
    "rad/sec": 1.0,
}


def acceleration_factor(
    path: Path, acc: Array, option: str | None, written: str
) -> tuple[float, tuple[str, ...]]:
    """Return the factor to m/s^2 and what was assumed.

    Args:
        path: the file, for errors.
        acc: (n, 3) as in the file.
        option: the user's unit, None: not given.
        written: the file's unit, maybe empty.

    Raises:
        SourceError: an unknown unit, or numbers that do not tell it.
    """
    if option is not None or written:
        return _stated(path, option, written, _TO_MPS2, "--unit", ACC_UNITS)
    lengths = _lengths(acc)
    median = float(np.median(lengths)) if lengths.size else math.nan
    for unit, low, high in (("m/s^2", 7.0, 12.5), ("g", 0.7, 1.3)):
        if low <= median <= high:
            said = f"acceleration taken as {unit}: its median length is {median:.3g}"
            return _TO_MPS2[unit], (said,)
    return refuse(
        path,
        "the unit of acceleration is not clear from its numbers",
        f"Say it with --unit, one of {ACC_UNITS}",
        expected="a median length of 7 to 12.5 (m/s^2) or 0.7 to 1.3 (g)",
        got=f"{median:.3g}",
    )


def angular_rate_factor(
    path: Path, gyr: Array, option: str | None, written: str
) -> tuple[float, tuple[str, ...]]:
    """Return the factor to rad/s and what was assumed.

    Args:
        path: the file, for errors.
        gyr: (n, 3) as in the file.
        option: the user's unit, None: not given.
        written: the file's unit, maybe empty.

    Raises:
        SourceError: an unknown unit, or numbers that do not tell it.
    """
    if option is not None or written:
        return _stated(path, option, written, _TO_RADPS, "--gyr-unit", GYR_UNITS)
    # The fastest moments tell, however long the wearer was still; the very few fastest may be
    # glitches. Walking feet reach 5 to 26 rad/s, which is 290 to 1500 deg/s.
    fastest = np.sort(_lengths(gyr))[-_GLITCHES - 1 :]
    high = float(fastest[0]) if fastest.size else math.nan
    if high < _FASTEST_RADPS:
        return 1.0, (f"angular rate taken as rad/s: it reaches {high:.3g}",)
    if high > _FASTEST_DPS:
        return _DEG, (f"angular rate taken as deg/s: it reaches {high:.3g}",)
    return refuse(
        path,
        "the unit of the angular rate is not clear from its numbers",
        f"Say it with --gyr-unit, one of {GYR_UNITS}",
        expected="movement that reaches less than 40 (rad/s) or more than 60 (deg/s)",
        got=f"{high:.3g}",
    )


def _lengths(vectors: Array) -> Float64Array:
    """Return the lengths of the vectors that are finite."""
    finite = vectors[np.isfinite(vectors).all(axis=1)].astype(np.float64)
    with np.errstate(over="ignore"):
        lengths: Float64Array = np.sqrt((finite**2).sum(axis=1))
    return lengths


def _plain(unit: str) -> str:
    return unit.lower().replace(" ", "")


def _stated(
    path: Path,
    option: str | None,
    written: str,
    factors: dict[str, float],
    flag: str,
    units: str,
) -> tuple[float, tuple[str, ...]]:
    unit = written if option is None else option
    factor = factors.get(_plain(unit))
    if factor is None:
        refuse(
            path,
            f"unknown unit {unit!r}",
            f"Say it with {flag}, one of {units}",
            expected=units,
            got=unit,
        )
    contradicts = option is not None and written and factors.get(_plain(written)) != factor
    said = f"unit taken as {option} as {flag} says; the file says {written!r}"
    return factor, (said,) if contradicts else ()
