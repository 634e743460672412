"""A GSTRIDE recording as text to numbers: delimiter, decimal sign and header are found by looking.

Nothing is known for sure about the files (no reader of ours has seen them), so every layout that
public readers describe is taken, and anything else is refused by name.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.errors import DatasetError

COLUMNS = (6, 7)
"""Six axes, maybe with a time column."""
HEAD_LINES = 60
"""The first row of numbers is looked for in these."""
PROOF_LINES = 5
"""So many rows of numbers in a row are no accident."""
LONGEST_LINE = 2000
_DELIMITERS = {"semicolon": ";", "comma": ",", "white space": None}
_POINT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?|[nN]a[nN]")
_COMMA = re.compile(r"[-+]?([0-9]+,[0-9]+|,[0-9]+|[0-9]+)([eE][-+]?[0-9]{1,3})?|[nN]a[nN]")
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the text is laid out.

    Args:
        delimiter: ``semicolon``, ``comma`` or ``white space``.
        decimal_comma: True where 9,81 is a number.
        header: the lines before the first row of numbers.
        columns: cells a row.
    """

    delimiter: str
    decimal_comma: bool
    header: tuple[str, ...]
    columns: int

    def cells(self, line: str) -> list[str]:
        """Return the cells of a line, without blanks and one trailing delimiter."""
        mark = _DELIMITERS[self.delimiter]
        text = line.strip()
        if mark is not None:
            text = text.removesuffix(mark)
        return [cell.strip() for cell in text.split(mark)]

    def is_numbers(self, line: str) -> bool:
        """Return whether a line is a whole row of numbers."""
        pattern = _COMMA if self.decimal_comma else _POINT
        cells = self.cells(line)
        return len(cells) == self.columns and all(pattern.fullmatch(cell) for cell in cells)


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of one file.

    Args:
        layout: how they stood there.
        values: (n_rows, n_columns) float64.
        cut_off: True when the last line was not whole and is left out.
    """

    layout: Layout
    values: Float64Array
    cut_off: bool


def refuse(
    path: Path, problem: str, next_step: str, expected: object = None, got: object = None
) -> NoReturn:
    """Refuse a file.

    Args:
        path: which.
        problem: what is wrong.
        next_step: what to do about it.
        expected: what would have been right.
        got: what was seen.

    Raises:
        DatasetError: always.
    """
    raise DatasetError(problem, source=str(path), expected=expected, got=got, next_step=next_step)


def read_table(path: Path) -> Table:
    """Read the numbers of a recording; memory is 8 bytes a number, one file at a time.

    Args:
        path: a text file.

    Returns:
        All rows of numbers.

    Raises:
        DatasetError: not to be read, no rows of 6 or 7 numbers, or a row that is none.
    """
    try:
        with path.open("rb") as binary:
            start = binary.read(4)
        encoding = next((e for bom, e in _ENCODINGS.items() if start.startswith(bom)), "utf-8")
        with path.open(encoding=encoding, errors="replace") as file:
            layout = find_layout(path, [file.readline(LONGEST_LINE) for _ in range(HEAD_LINES)])
            file.seek(0)
            return _read_rows(path, file, layout)
    except (OSError, UnicodeError) as error:
        refuse(path, f"cannot be read: {error}", "Unpack the archive again")


def find_layout(path: Path, head: list[str]) -> Layout:
    """Find delimiter, decimal sign and header in the first lines.

    Args:
        path: the file, for errors.
        head: its first lines.

    Returns:
        The only layout that fits.

    Raises:
        DatasetError: none fits, or two that give other numbers.
    """
    lines = [line for line in head if line.strip()]
    fitting = [
        layout
        for delimiter in _DELIMITERS
        for decimal_comma in (False, True)
        for columns in COLUMNS
        if not (delimiter == "comma" and decimal_comma)
        and (layout := _layout(lines, delimiter, columns, decimal_comma=decimal_comma))
    ]
    readings = {_reading(layout, lines[len(layout.header)]) for layout in fitting}
    if not fitting:
        seen = lines[0].strip()[:80] if lines else "an empty file"
        refuse(
            path,
            f"no {PROOF_LINES} rows of 6 or 7 numbers in the first {HEAD_LINES} lines",
            "Name a folder of GSTRIDE recordings: text with acc x y z and gyr x y z in columns",
            expected="columns parted by white space, ; or ,",
            got=ascii(seen),
        )
    if len(readings) > 1:
        refuse(
            path,
            "the rows can be read in two ways",
            "Write the file with ; between columns",
            expected="one meaning of , and white space",
            got=lines[len(fitting[0].header)].strip()[:80],
        )
    return max(fitting, key=lambda layout: sum(map(layout.is_numbers, lines)))


def _layout(
    lines: list[str], delimiter: str, columns: int, *, decimal_comma: bool
) -> Layout | None:
    trial = Layout(delimiter, decimal_comma, (), columns)
    for first, line in enumerate(lines):
        if trial.is_numbers(line):
            proof = lines[first : first + PROOF_LINES]
            if len(proof) < PROOF_LINES or not all(trial.is_numbers(row) for row in proof):
                return None
            header = tuple(text.strip() for text in lines[:first])
            return Layout(delimiter, decimal_comma, header, columns)
    return None


def _reading(layout: Layout, line: str) -> tuple[str, ...]:
    return tuple(str(float(cell.replace(",", "."))) for cell in layout.cells(line))


def _read_rows(path: Path, file: TextIO, layout: Layout) -> Table:
    rows = _Rows(path, file, layout)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns of an empty file
        try:
            values = np.loadtxt(rows.lines(), dtype=np.float64, comments=None, ndmin=2)
        except (ValueError, OverflowError, UserWarning) as error:
            refuse(path, f"a row cannot be read: {error}", "Unpack the archive again")
    return Table(layout, values, rows.cut_off)


class _Rows:
    """Whole rows as numpy reads them; remembers whether the last line was cut off."""

    def __init__(self, path: Path, file: TextIO, layout: Layout) -> None:
        self._path, self._file, self._layout = path, file, layout
        self.cut_off = False

    def lines(self) -> Iterator[str]:
        written = (line for line in self._file if line.strip())
        for _ in islice(written, len(self._layout.header)):
            pass
        waiting = next(written, None)
        for line in written:
            yield self._row(waiting or "")
            waiting = line
        if waiting is not None and self._layout.is_numbers(waiting):
            yield self._row(waiting)
        else:
            self.cut_off = waiting is not None

    def _row(self, line: str) -> str:
        cells = self._layout.cells(line)
        if len(cells) != self._layout.columns:
            refuse(
                self._path,
                "a row has another number of columns",
                "Unpack the archive again; split the file where its layout changes",
                expected=self._layout.columns,
                got=ascii(line.strip()[:80]),
            )
        text = " ".join(cells)
        return text.replace(",", ".") if self._layout.decimal_comma else text
