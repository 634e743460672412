"""An IMU recording as text: tabs, commas, semicolons or white space, with or without a preamble.

Read whole at opening, as 32 bytes a row (8 h at 100 Hz: 92 MB), because the units are found from
all of the numbers.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from edge_app.contracts import (
    IMU_CHANNELS,
    IMU_UNITS,
    Chunk,
    Float32Array,
    Float64Array,
    StreamInfo,
)
from edge_app.sources.recording import imu_times
from edge_app.sources.recording.imu_columns import ColumnMap, Columns, find_columns, split_cells
from edge_app.sources.recording.imu_units import acceleration_factor, angular_rate_factor
from edge_app.sources.recording.protocol import refuse, signal_chunks

_HEAD_LINES = 50
"""The line of column names is looked for in these."""
_BLOCK_LINES = 20_000
_ENCODING_BYTES = 65_536
_EMPTY_CELLS = frozenset({"", "na", "n/a", "null", "none"})
_STATED_RATE = re.compile(
    r"(?:frequency|sampling|sample|update|data)[ _]*(?:rate)?[^\d\n]{0,12}([\d.]+)\s*Hz",
    re.IGNORECASE,
)


class CsvImuRecording:
    """Six axes of an IMU text file, in m/s^2 and rad/s.

    Args:
        path: the file.
        unit: of acceleration; None: what the file or else its numbers say.
        gyr_unit: of the angular rate; None: what the file or else its numbers say.
        rate_hz: rows a second; None: what the file says.
        name: the stream's name; None: the file's.
        columns: names of the columns; None: the usual ones are recognised.

    Raises:
        SourceError: a missing column, a cell that is no number, no clear unit, no rate.
    """

    def __init__(
        self,
        path: Path,
        *,
        unit: str | None = None,
        gyr_unit: str | None = None,
        rate_hz: float | None = None,
        name: str | None = None,
        columns: ColumnMap | None = None,
    ) -> None:
        with path.open(encoding=_encoding(path), errors="replace") as file:
            head = list(islice(file, _HEAD_LINES))
            found = find_columns(path, head, columns)
            file.seek(0)
            samples, clock, cut_off = _read_rows(path, file, found)
        if samples.shape[0] == 0:
            refuse(path, "no rows of numbers", "Record again, or name another file")
        stamps = _stamps(path, "".join(head[: found.header_lines]), found, clock, samples, rate_hz)
        acc, acc_said = acceleration_factor(path, samples[:, :3], unit, found.acc_unit)
        gyr, gyr_said = angular_rate_factor(path, samples[:, 3:], gyr_unit, found.gyr_unit)
        with np.errstate(over="ignore"):
            samples *= np.array([acc] * 3 + [gyr] * 3, np.float32)
        samples[~np.isfinite(samples)] = np.nan
        self._times_s, self._samples = stamps.times_s, samples
        self.assumptions = (*cut_off, *stamps.assumptions, *acc_said, *gyr_said)
        self.info = StreamInfo(
            name=name or path.name,
            kind="imu",
            rate_hz=stamps.rate_hz,
            channels=IMU_CHANNELS,
            units=IMU_UNITS,
            device=path.name,
            simulated=False,
        )
        self.duration_s = float(stamps.times_s[-1]) + 1.0 / stamps.rate_hz

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield all rows from the first."""

        def read(start: int, stop: int) -> tuple[Float64Array, Float32Array]:
            return self._times_s[start:stop], self._samples[start:stop]

        return signal_chunks(self._samples.shape[0], chunk_samples, self.info.rate_hz, read)

    def close(self) -> None:
        """Do nothing: the file is closed already."""


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(_ENCODING_BYTES)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < _ENCODING_BYTES)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _read_rows(
    path: Path, file: TextIO, columns: Columns
) -> tuple[Float32Array, Float64Array, tuple[str, ...]]:
    """Return the axes as in the file, the time or counter, and what was left out at the end."""
    clock_column = columns.counter if columns.time is None else columns.time
    positions = (*columns.axes, *(() if clock_column is None else (clock_column,)))
    parts: list[Float32Array] = [np.empty((0, len(columns.axes)), np.float32)]
    clocks: list[Float64Array] = [np.empty(0)]
    cut_off: tuple[str, ...] = ()
    line_number = columns.header_lines
    for _ in islice(file, columns.header_lines):
        pass
    while block := list(islice(file, _BLOCK_LINES)):
        if _is_cut_off(block[-1], columns):
            cut_off = (f"the last line, {line_number + len(block)}, is cut off: left out",)
            block.pop()
        table = _parse(path, block, columns, positions, line_number)
        with np.errstate(over="ignore"):
            parts.append(table[:, : len(columns.axes)].astype(np.float32))
        clocks.append(table[:, -1].copy() if clock_column is not None else np.empty(0))
        line_number += _BLOCK_LINES
    return np.concatenate(parts), np.concatenate(clocks), cut_off


def _is_cut_off(line: str, columns: Columns) -> bool:
    cells = split_cells(line, columns.delimiter)
    return not line.endswith("\n") and bool(line.strip()) and len(cells) < len(columns.names)


def _parse(
    path: Path, lines: list[str], columns: Columns, positions: tuple[int, ...], first_line: int
) -> Float64Array:
    """Return the wanted columns of some lines."""
    if columns.delimiter in (";", "\t") and any("," in line for line in lines):
        lines = [line.replace(",", ".") for line in lines]  # decimal commas
    if not any(line.strip() for line in lines):
        return np.empty((0, len(positions)))
    try:
        return np.loadtxt(
            lines,
            np.float64,
            comments=None,
            delimiter=columns.delimiter,
            usecols=positions,
            quotechar='"',
            ndmin=2,
        )
    except ValueError:
        return _parse_slowly(path, lines, columns, positions, first_line)


def _parse_slowly(
    path: Path, lines: list[str], columns: Columns, positions: tuple[int, ...], first_line: int
) -> Float64Array:
    """Parse cell by cell: empty cells become NaN, the first that is no number is named."""
    rows: list[list[float]] = []
    for number, line in enumerate(lines, first_line + 1):
        if not line.strip():
            continue
        cells = split_cells(line, columns.delimiter)
        if len(cells) <= max(positions):
            refuse(
                path,
                f"line {number} has too few cells",
                "Correct or remove the line",
                expected=len(columns.names),
                got=len(cells),
            )
        rows.append([_number(path, cells[i], columns.names[i], number) for i in positions])
    return np.array(rows, np.float64).reshape(-1, len(positions))


def _number(path: Path, cell: str, column: str, line_number: int) -> float:
    if cell.lower() in _EMPTY_CELLS:
        return float("nan")
    try:
        return float(cell)
    except ValueError as error:
        return refuse(
            path,
            f"line {line_number}, column {column}: not a number",
            "Correct or remove the line",
            got=repr(cell[:40]),
            cause=error,
        )


def _stamps(
    path: Path,
    preamble: str,
    columns: Columns,
    clock: Float64Array,
    samples: Float32Array,
    rate_hz: float | None,
) -> imu_times.Stamps:
    """Choose where the stamps come from: time, then counter, then the nominal rate."""
    said: tuple[str, ...] = ()
    written = _STATED_RATE.search(preamble)
    stated_hz = float(written[1]) if written and re.fullmatch(r"\d+\.?\d*", written[1]) else None
    if rate_hz is not None and stated_hz is not None and rate_hz != stated_hz:
        said = (f"rate taken as {rate_hz:g} Hz as --rate-hz says; the file says {stated_hz:g} Hz",)
    rate_hz = rate_hz or stated_hz or None
    if not np.isfinite(clock).all():
        row = int(np.flatnonzero(~np.isfinite(clock))[0]) + 1
        refuse(path, f"row {row} of numbers has no time or count", "Correct or remove the row")
    if columns.time is not None:
        stamps = imu_times.from_time(path, clock, columns.time_unit, rate_hz)
    elif rate_hz is None:
        refuse(
            path,
            "the rate is not known",
            "Say it with --rate-hz",
            expected="a time column or a line such as `Acquisition frequency: 100 Hz`",
        )
    elif columns.counter is not None:
        stamps = imu_times.from_counter(path, clock, rate_hz)
    else:
        stamps = imu_times.from_rate(samples.shape[0], rate_hz)
    return imu_times.Stamps(stamps.times_s, stamps.rate_hz, said + stamps.assumptions)
