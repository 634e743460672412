"""Which column of a GSTRIDE recording is the time and which are the axes, told from the numbers.

While the foot stands still the accelerometer feels gravity alone and the gyroscope nothing: that
tells one from the other. Limits: start values, untried on real files.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.contracts import IMU_CHANNELS, Float64Array
from trainer.datasets.gstride_text import Table, refuse

STILL_S = 2.0
AXES_APART = 5.0
"""At rest one triplet is this many times larger, as a share of its fastest, than the other."""
RATE_TOLERANCE = 0.05
_TIME_UNITS_S = (1.0, 1e-3, 1e-6, 1e-9)
_AXIS_NAME = re.compile(
    r"^(a|acc\w*|g|w|gyr\w*|omega\w*)[ _.\-]*([xyz])(?![a-z0-9])", re.IGNORECASE
)


def lengths(vectors: Float64Array) -> Float64Array:
    """Return the length of each row."""
    return np.asarray(np.sqrt(np.square(vectors).sum(axis=1)))


def percentile(values: Float64Array, percent: float) -> float:
    """Return a percentile of the finite values, NaN when there are none."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, percent)) if finite.size else float("nan")


def time_column(path: Path, values: Float64Array) -> int | None:
    """Return the time column; only files of 7 columns have one.

    Args:
        path: the file, for errors.
        values: (n_rows, n_columns).

    Returns:
        The only column that never falls and mostly rises; None for 6 columns.

    Raises:
        DatasetError: 6 columns and one that rises, or 7 and not just one.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(values, axis=0)
    rising = np.flatnonzero((steps >= 0).all(axis=0) & ((steps > 0).mean(axis=0) > 0.5))
    n_columns = values.shape[1]
    if len(rising) == (1 if n_columns == len(IMU_CHANNELS) + 1 else 0):
        return int(rising[0]) if len(rising) else None
    return refuse(
        path,
        "cannot tell the time column",
        "Keep the six axes, or those and one time column that only rises",
        expected="6 columns and none of them rising, or 7 and one of them",
        got=f"{n_columns} columns, rising: {(rising + 1).tolist()}",
    )


def still(gyr: Float64Array, rate_hz: float) -> slice:
    """Return the 2 s in which the gyroscope varies least."""
    n = round(STILL_S * rate_hz)
    starts = np.arange(0, len(gyr) - n + 1, n // 4)
    spread = [float(np.var(gyr[start : start + n], axis=0).sum()) for start in starts]
    finite = np.where(np.isfinite(spread), spread, np.inf)
    start = int(starts[int(np.argmin(finite))])
    return slice(start, start + n)


def imu_axes(path: Path, table: Table, time: int | None, rate_hz: float) -> tuple[int, ...]:
    """Return which columns are the axes: by name where they are named, and by rest always.

    Args:
        path: the file, for errors.
        table: header and numbers.
        time: position of the time column.
        rate_hz: rows a second.

    Returns:
        Positions of acc x y z, gyr x y z.

    Raises:
        DatasetError: nothing tells accelerometer and gyroscope apart, or they contradict the names.
    """
    values = table.values
    free = [column for column in range(values.shape[1]) if column != time]
    named = _named_axes(table)
    first, second = (named[:3], named[3:]) if named else (tuple(free[:3]), tuple(free[3:]))
    shares = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for triplet, other in ((first, second), (second, first)):
            long = lengths(values[:, triplet])
            # each as if the other were the gyroscope that tells where the foot is still
            rest = percentile(long[still(values[:, other], rate_hz)], 50.0)
            shares.append(float(np.divide(rest, percentile(long, 99.0))))
    if shares[0] > AXES_APART * shares[1]:
        return first + second
    if not named and shares[1] > AXES_APART * shares[0]:
        return second + first
    return refuse(
        path,
        "cannot tell accelerometer and gyroscope apart",
        "Use a recording in which the foot also stands still; give columns acc x y z, gyr x y z",
        expected=f"2 s of rest in which only the acceleration stays (shares {AXES_APART:g} apart)",
        got=f"columns {[c + 1 for c in first]} keep {shares[0]:.3g} of their largest length,"
        f" columns {[c + 1 for c in second]} keep {shares[1]:.3g}"
        + (", against the names in the header" if named else ""),
    )


def _named_axes(table: Table) -> tuple[int, ...]:
    """Return the positions of the six axes by the names in the header; empty when not all there."""
    for line in reversed(table.layout.header):
        names = table.layout.cells(line.replace('"', ""))
        if len(names) != table.layout.columns:
            continue
        found: dict[str, int] = {}
        for position, name in enumerate(names):
            match = _AXIS_NAME.match(name)
            if match:
                kind = "acc" if match[1].lower().startswith("a") else "gyr"
                found.setdefault(f"{kind}_{match[2].lower()}", position)
        if set(found) == set(IMU_CHANNELS):
            return tuple(found[axis] for axis in IMU_CHANNELS)
    return ()


def gaps(path: Path, time: Float64Array, rate_hz: float) -> npt.NDArray[np.int64]:
    """Return where time jumps.

    Args:
        path: the file, for errors.
        time: (n_rows,) never falling.
        rate_hz: rows a second, by the register.

    Returns:
        The rows before which it does.

    Raises:
        DatasetError: the time contradicts the rate.
    """
    steps = np.diff(time)
    usual = float(np.median(steps))
    near = steps[(steps > 0.5 * usual) & (steps < 1.5 * usual)]
    usual = float(near.mean()) if near.size else 0.0  # whole milliseconds: 9, 10, 10
    counts_rows = usual == 1.0 and bool((steps == np.rint(steps)).all())
    is_time = any(abs(usual * unit_s * rate_hz - 1.0) < RATE_TOLERANCE for unit_s in _TIME_UNITS_S)
    if not counts_rows and not is_time:
        refuse(
            path,
            "the time column contradicts the rate of the register's device",
            "Correct the device in the register, or take the time column out",
            expected=f"{rate_hz:g} Hz with steps in s, ms, us or ns, or a counter of rows",
            got=f"usual step {usual:.6g}",
        )
    return np.flatnonzero(steps > 1.5 * usual) + 1
