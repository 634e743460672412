"""Which column of an IMU text file is which axis, the time or the packet counter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge_app.contracts import IMU_CHANNELS
from edge_app.sources.recording.protocol import refuse

_DELIMITERS = ("\t", ";", ",", None)
"""None: white space."""
_ACC = frozenset({"a", "acc", "accel", "accelerometer", "acceleration"})
_GYR = frozenset({"g", "gyr", "gyro", "gyroscope", "omega", "angularvelocity", "angularrate"})
_TIME = frozenset({"t", "time", "times", "timestamp", "timestamps", "elapsedtime", "seconds"})
_COUNTER = frozenset({"packetcounter", "packetcount", "packet", "counter", "samplecounter", "seq"})
_UNIT_IN_NAME = re.compile(r"^(.*?)\s*[\[(]([^\])]*)[\])]\s*$")
_TIME_UNIT_SUFFIX = re.compile(r"^(.*?)_(s|ms|us|ns)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Names of the columns to read, exactly as in the file.

    Args:
        axes: six names, in the order of ``IMU_CHANNELS``.
        time: name of a column with the time.
        counter: name of a column that counts packets; it tells lost ones when there is no time.
    """

    axes: tuple[str, str, str, str, str, str]
    time: str | None = None
    counter: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where everything stands in the file.

    Args:
        delimiter: between cells; None is white space.
        header_lines: lines before the first row of numbers.
        names: all column names.
        axes: positions of the six axes, in the order of ``IMU_CHANNELS``.
        time: position of the time, None when there is none.
        counter: position of the packet counter, None when there is none.
        acc_unit: what the file says of acceleration, maybe nothing.
        gyr_unit: what the file says of the angular rate, maybe nothing.
        time_unit: what the file says of the time, maybe nothing.
    """

    delimiter: str | None
    header_lines: int
    names: tuple[str, ...]
    axes: tuple[int, ...]
    time: int | None
    counter: int | None
    acc_unit: str
    gyr_unit: str
    time_unit: str


def split_cells(line: str, delimiter: str | None) -> list[str]:
    """Return the cells of a line without blanks and quotation marks."""
    return [cell.strip().strip('"').strip() for cell in line.strip("\r\n").split(delimiter)]


def find_columns(path: Path, head: list[str], wanted: ColumnMap | None) -> Columns:
    """Find the line of column names and what each column is.

    Args:
        path: the file, for errors.
        head: its first lines.
        wanted: names given by the user; None: recognise the usual ones.

    Raises:
        SourceError: a missing column; lists those seen and those missing.
    """
    best: tuple[int, int, str | None, list[str]] = (-1, 0, None, [])
    for number, line in enumerate(head):
        for delimiter in _DELIMITERS:
            names = split_cells(line, delimiter)
            if delimiter is None and len(names) != len(line.split()):
                continue
            score = 10 * len(_axes_of(names, wanted)) + min(len(names), 9)
            if _is_numeric(names):
                continue
            if score > best[0]:
                best = (score, number, delimiter, names)
    _, number, delimiter, names = best
    found = _axes_of(names, wanted)
    missing = [axis for axis in IMU_CHANNELS if axis not in found]
    if missing:
        asked = dict(zip(IMU_CHANNELS, wanted.axes, strict=True)) if wanted else {}
        refuse(
            path,
            f"missing columns: {', '.join(asked.get(axis, axis) for axis in missing)}",
            "Rename the columns in the file to acc_x, acc_y, acc_z, gyr_x, gyr_y, gyr_z",
            expected="acc_x, acc_y, acc_z, gyr_x, gyr_y, gyr_z (also AccX, gyro_x, GyrX [deg/s])",
            got=", ".join(names) or "no line of column names",
        )
    time = _position(names, _TIME, wanted.time if wanted else None, path)
    counter = _position(names, _COUNTER, wanted.counter if wanted else None, path)
    return Columns(
        delimiter=delimiter,
        header_lines=number + 1,
        names=tuple(names),
        axes=tuple(found[axis] for axis in IMU_CHANNELS),
        time=time,
        counter=counter,
        acc_unit=_unit_of(names[found["acc_x"]]),
        gyr_unit=_unit_of(names[found["gyr_x"]]),
        time_unit="" if time is None else _time_unit_of(names[time]),
    )


def _is_numeric(cells: list[str]) -> bool:
    return all(re.fullmatch(r"[-+\d.,eE]*", cell) is not None for cell in cells)


def _axes_of(names: list[str], wanted: ColumnMap | None) -> dict[str, int]:
    """Return the position of each axis that is among the names; the first of equal ones."""
    found: dict[str, int] = {}
    for position, name in enumerate(names):
        if wanted is not None:
            axes = [a for a, given in zip(IMU_CHANNELS, wanted.axes, strict=True) if given == name]
        else:
            axis = axis_of(name)
            axes = [] if axis is None else [axis]
        for axis in axes:
            found.setdefault(axis, position)
    return found


def axis_of(name: str) -> str | None:
    """Return ``acc_x`` for ``AccX``, ``accelerometer_x (g)``, ``ax``; None for another column."""
    plain = _plain(name)
    stem, axis = plain[:-1], plain[-1:]
    if axis not in ("x", "y", "z"):
        return None
    if stem in _ACC:
        return f"acc_{axis}"
    return f"gyr_{axis}" if stem in _GYR else None


def _plain(name: str) -> str:
    with_unit = _UNIT_IN_NAME.match(name)
    return re.sub(r"[^a-z0-9]", "", (with_unit[1] if with_unit else name).lower())


def _unit_of(name: str) -> str:
    with_unit = _UNIT_IN_NAME.match(name)
    return with_unit[2].strip() if with_unit else ""


def _time_unit_of(name: str) -> str:
    suffix = _TIME_UNIT_SUFFIX.match(name)
    return suffix[2].lower() if suffix else _unit_of(name).lower()


def _position(names: list[str], usual: frozenset[str], given: str | None, path: Path) -> int | None:
    if given is not None:
        if given not in names:
            refuse(path, f"no column {given!r}", "Correct the name", got=", ".join(names))
        return names.index(given)
    for position, name in enumerate(names):
        suffix = _TIME_UNIT_SUFFIX.match(name)
        if _plain(suffix[1] if suffix else name) in usual:
            return position
    return None
