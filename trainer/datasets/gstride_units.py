"""A GSTRIDE recording to m/s^2 and rad/s, its units told from the numbers.

At rest the accelerometer feels gravity alone, which tells its unit; in the swing the gyroscope's
speed tells its own. Where the numbers do not tell, the file is refused with what was seen. Limits:
start values, untried on real files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.contracts import Float32Array, Float64Array
from edge_app.counted import counted
from trainer.datasets.gstride_columns import (
    gaps,
    imu_axes,
    lengths,
    percentile,
    still,
    time_column,
)
from trainer.datasets.gstride_text import Table, refuse

STANDARD_GRAVITY_MPS2 = 9.80665
DEVICE_RATE_HZ = {"CSIC": 104.0, "Gaitup": 128.0}
"""Garcia-Villamil et al. 2023, doi 10.1038/s41597-023-02428-0; the register's device column."""
SHORTEST_S = 10.0
ACC_UNITS = {"m/s^2": (8.8, 10.8), "g": (0.9, 1.1), "mg": (900.0, 1100.0)}
"""Length at rest. 48 real recordings of feet from other sensors gave 9.84 to 10.35 m/s^2."""
COUNTS_PER_G = (2048.0, 4096.0, 8192.0, 16384.0)
"""16-bit accelerometers with a range of 16, 8, 4 or 2 g."""
COUNTS_TOLERANCE = 0.1
SLOWEST_RADPS, FASTEST_RADPS, SLOWEST_DPS, FASTEST_DPS = 0.5, 40.0, 60.0, 3500.0
_TO_MPS2 = {"m/s^2": 1.0, "g": STANDARD_GRAVITY_MPS2, "mg": STANDARD_GRAVITY_MPS2 / 1000.0}
_TO_RADPS = {"rad/s": 1.0, "deg/s": float(np.pi / 180.0)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one file was taken for.

    Args:
        person: ``Vnnn``.
        file: its name.
        header_lines: lines before the numbers.
        delimiter: between columns.
        decimal_comma: True where 9,81 is a number.
        time_column: position of the time, None when there is none.
        axes: positions of acc x y z, gyr x y z.
        acc_unit: ``m/s^2``, ``g``, ``mg`` or ``counts``.
        gyr_unit: ``rad/s``, ``deg/s`` or ``counts``.
        rest: median length of the acceleration at rest, in the file's unit.
        fastest: 99th percentile of the angular rate's length, in the file's unit.
        rate_hz: samples a second, by the register's device.
        duration_s: length of the recording.
        gaps: steps of the time column that are too long.
        cut_off: True when the last line was not whole.
    """

    person: str
    file: str
    header_lines: int
    delimiter: str
    decimal_comma: bool
    time_column: int | None
    axes: tuple[int, ...]
    acc_unit: str
    gyr_unit: str
    rest: float
    fastest: float
    rate_hz: float
    duration_s: float
    gaps: int
    cut_off: bool

    def line(self) -> str:
        """Return the verdict as one line of text."""
        time = "no time" if self.time_column is None else f"time in column {self.time_column + 1}"
        order = "" if self.axes == tuple(sorted(self.axes)) else f", axes in columns {self.axes}"
        comma = " and decimal comma" if self.decimal_comma else ""
        return (
            f"{self.person} {self.file}: {self.duration_s:.0f} s at {self.rate_hz:g} Hz,"
            f" acceleration in {self.acc_unit} ({self.rest:.4g} at rest), angular rate in"
            f" {self.gyr_unit} (up to {self.fastest:.4g}),"
            f" {counted(self.header_lines, 'header line')}, {self.delimiter}{comma}, {time}{order}"
            + (f", {counted(self.gaps, 'gap')}" if self.gaps else "")
            + (", last line cut off" if self.cut_off else "")
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording in physical units.

    Args:
        verdict: what the file was taken for.
        stretches: (n, 6) float32 each, m/s^2 and rad/s, without gaps in time.
    """

    verdict: Verdict
    stretches: tuple[Float32Array, ...]


def understand(
    path: Path, table: Table, *, person: str, device: str, counts_per_dps: float | None = None
) -> Recording:
    """Find out what the columns are and convert them.

    Args:
        path: the file, for errors.
        table: its numbers.
        person: ``Vnnn``.
        device: the register's device column.
        counts_per_dps: counts of the gyroscope for 1 deg/s, where the file holds counts.

    Returns:
        The recording in m/s^2 and rad/s.

    Raises:
        DatasetError: too short, an unknown device, or numbers that do not tell what they are.
    """
    rate_hz = DEVICE_RATE_HZ.get(device)
    if rate_hz is None:
        refuse(path, "unknown device", "Correct the register", sorted(DEVICE_RATE_HZ), device)
    values = table.values
    if len(values) < SHORTEST_S * rate_hz:
        refuse(
            path,
            "the recording is too short to tell what is in it",
            "Leave the file out, or unpack the archive again",
            expected=f"at least {SHORTEST_S:g} s",
            got=f"{len(values) / rate_hz:.1f} s",
        )
    time = time_column(path, values)
    axes = imu_axes(path, table, time, rate_hz)
    # acc at rest, gyroscope at its fastest: huge numbers are refused, not warned of
    with np.errstate(over="ignore", invalid="ignore"):
        resting = values[still(values[:, axes[3:]], rate_hz)]
        rest = percentile(lengths(resting[:, axes[:3]]), 50.0)
        fastest = percentile(lengths(values[:, axes[3:]]), 99.0)
    acc_unit, to_mps2 = _acceleration(path, values[:, axes[:3]], rest)
    gyr_unit, to_radps = _angular_rate(path, acc_unit, fastest, counts_per_dps)
    cuts = gaps(path, values[:, time], rate_hz) if time is not None else np.zeros(0, np.int64)
    factors = np.array([to_mps2] * 3 + [to_radps] * 3)
    with np.errstate(over="ignore"):
        samples = (values[:, axes] * factors).astype(np.float32)
    verdict = Verdict(
        person=person,
        file=path.name,
        header_lines=len(table.layout.header),
        delimiter=table.layout.delimiter,
        decimal_comma=table.layout.decimal_comma,
        time_column=time,
        axes=axes,
        acc_unit=acc_unit,
        gyr_unit=gyr_unit,
        rest=rest,
        fastest=fastest,
        rate_hz=rate_hz,
        duration_s=len(values) / rate_hz,
        gaps=len(cuts),
        cut_off=table.cut_off,
    )
    return Recording(verdict, tuple(np.split(samples, cuts)))


def _acceleration(path: Path, acc: Float64Array, rest: float) -> tuple[str, float]:
    for unit, (low, high) in ACC_UNITS.items():
        if low <= rest <= high:
            return unit, _TO_MPS2[unit]
    finite = acc[np.isfinite(acc)]
    for counts in COUNTS_PER_G:
        if abs(rest / counts - 1.0) < COUNTS_TOLERANCE and bool((finite == np.rint(finite)).all()):
            return "counts", STANDARD_GRAVITY_MPS2 / counts
    return refuse(
        path,
        "cannot tell the unit of acceleration",
        "Use Test_recordings_calibrated, or convert the file to m/s^2",
        expected="at rest 8.8-10.8 (m/s^2), 0.9-1.1 (g), 900-1100 (mg), or whole counts near"
        f" {', '.join(f'{counts:g}' for counts in COUNTS_PER_G)}",
        got=f"{rest:.4g} in the stillest 2 s",
    )


def _angular_rate(
    path: Path, acc_unit: str, fastest: float, counts_per_dps: float | None
) -> tuple[str, float]:
    if acc_unit == "counts":
        if counts_per_dps is None:
            refuse(
                path,
                "counts: the gyroscope's scale cannot be told from its numbers",
                "Set experiment.counts_per_dps from the archive's Sensor_specifications (such as"
                " 16.4), or use Test_recordings_calibrated",
                got=f"angular rate up to {fastest:.4g} counts",
            )
        return "counts", _TO_RADPS["deg/s"] / counts_per_dps
    if SLOWEST_RADPS < fastest < FASTEST_RADPS:
        return "rad/s", 1.0
    if SLOWEST_DPS < fastest < FASTEST_DPS:
        return "deg/s", _TO_RADPS["deg/s"]
    return refuse(
        path,
        "cannot tell the unit of the angular rate",
        "Convert the file to rad/s; leave it out if nobody walks in it",
        expected=f"a 99th percentile of {SLOWEST_RADPS:g}-{FASTEST_RADPS:g} (rad/s) or"
        f" {SLOWEST_DPS:g}-{FASTEST_DPS:g} (deg/s)",
        got=f"{fastest:.4g}",
    )
