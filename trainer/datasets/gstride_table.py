"""The form of a GSTRIDE-like table: which cell is what, however the file was saved.

Tolerant in form: cp1252 or UTF-8, ``;`` ``,`` or tab, decimal comma or point, columns in any order
or left out, known by their titles. Strict where a slip would change the meaning: a unit other than
the register's, a column twice, a row of another length.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from edge_app.errors import DatasetError

MISSING = frozenset({"", "-", "Incapable"})
MINUS = "\N{MINUS SIGN}"
MAX_TITLE_ROW = 5
ID, NOTES, DEVICE, PLACE, SURFACE = "id", "notes", "typeofdevice", "location", "testsurface"
AGE, SEX, RESIDENT = "age", "sex", "livinginanursinghome"
GAIT_SPEED, TUG_TIME, FRIED_INDEX = "gaitspeed", "timedurationtugtest", "frailtyassessment"
FRIED_ITEMS = (
    "unintentionalweightloss",
    "lowenergyandresistance",
    "gaitspeedclinicalassessment",
    "manualforceclinicalassessment",
    "lowactivitylevel",
)
GAIT_UNITS = {
    "stridetime": "s",
    "load": "%",
    "footflat": "%",
    "push": "%",
    "swing": "%",
    "toeoffangle": "°",
    "heelstrikeangle": "°",
    "cadence": "strides/min",
    "stepspeed": "m/s",
    "stridelength": "m",
    "3dpath": "m",
    "2dpath": "m",
    "clearance": "m",
}
"""The register's gait parameters in its order, as keys, and the unit of mean and SD."""
UNITS = {GAIT_SPEED: "m/s", TUG_TIME: "s"} | {
    f"{name}{statistic}": unit for name, unit in GAIT_UNITS.items() for statistic in ("avg", "std")
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line below the titles.

    Args:
        path: the file.
        line: number of the line's record in the file, from 1.
        cells: stripped text by key; a column that the file lacks is missing.
        titles: how the file calls each column, by key.
    """

    path: Path
    line: int
    cells: dict[str, str]
    titles: dict[str, str]

    def text(self, key: str) -> str | None:
        """Return a cell; None where it says that nothing is known."""
        cell = self.cells.get(key, "")
        return None if cell in MISSING else cell

    def number(self, key: str) -> float:
        """Return a cell as a number.

        Args:
            key: the column.

        Returns:
            The number; NaN where it is missing.

        Raises:
            DatasetError: something else stands there.
        """
        cell = self.text(key)
        if cell is None:
            return math.nan
        value = as_number(cell)
        if value is None:
            raise self.refusal(f"no number in column {self.title(key)}", "such as 1,16", repr(cell))
        return value

    def answer(self, key: str) -> bool | None:
        """Return YES as True, NO as False, None where it is missing.

        Args:
            key: the column.

        Returns:
            The answer.

        Raises:
            DatasetError: something else stands there.
        """
        cell = self.text(key)
        if cell is None:
            return None
        if cell.upper() not in ("YES", "NO"):
            raise self.refusal(
                f"unknown answer in column {self.title(key)}", "YES, NO or missing", cell
            )
        return cell.upper() == "YES"

    def title(self, key: str) -> str:
        """Return a column as the file calls it, in quotation marks."""
        return repr(self.titles.get(key, key))

    def refusal(self, problem: str, expected: object, got: object) -> DatasetError:
        """Return the error that names this line."""
        return refusal(self.path, f"line {self.line}: {problem}", expected, got)


def read_rows(path: Path) -> list[Row]:
    """Read a table.

    Args:
        path: the file.

    Returns:
        Its rows below the titles, at least one.

    Raises:
        DatasetError: it cannot be read, is no such table, or has a doubled column, another unit or
            a row of another length.
    """
    records, at = _records(path)
    titles = records[at]
    keys = [_key(title) for title in titles]
    _check_titles(path, titles, keys)
    title_of = dict(zip(keys, titles, strict=True))
    rows: list[Row] = []
    for line, record in enumerate(records[at + 1 :], at + 2):
        if not any(record) or (
            not rows and not any(as_number(cell) is not None for cell in record)
        ):
            continue  # an empty line, or the descriptions below the titles
        if len(record) != len(titles):
            raise refusal(path, f"line {line} has another length", len(titles), len(record))
        rows.append(Row(path, line, dict(zip(keys, record, strict=True)), title_of))
    if not rows:
        raise refusal(path, "is not the GSTRIDE register: nobody stands below its titles")
    return rows


def as_number(cell: str) -> float | None:
    """Return a number written with a decimal comma or point and any minus sign, or None."""
    cell = cell.replace(MINUS, "-")
    if not re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", cell):
        return None
    value = float(cell.replace(",", "."))
    return value if math.isfinite(value) else None


def refusal(path: Path, problem: str, expected: object = None, got: object = None) -> DatasetError:
    """Return the error about a table that cannot be used."""
    return DatasetError(
        problem,
        source=str(path),
        expected=expected,
        got=got,
        next_step="Use the register of doi 10.5281/zenodo.8003441 unchanged, or a table with its"
        " titles and units",
    )


def _records(path: Path) -> tuple[list[list[str]], int]:
    """Return all records and the place of the titles."""
    text = _text(path)
    for delimiter in (";", "\t", ","):
        try:
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            records = [[cell.strip() for cell in record] for record in lines]
        except csv.Error as error:
            raise refusal(path, f"cannot be read: {error}") from error
        for at, record in enumerate(records[:MAX_TITLE_ROW]):
            if {_key(cell) for cell in record} >= {ID, "stridetimeavg"}:
                return records, at
    raise refusal(
        path,
        "is not the GSTRIDE register",
        "a row of titles with 'ID (VNNN)' and 'Stride time - Avg. (s)' among the first "
        f"{MAX_TITLE_ROW}",
        repr(text[:60]),
    )


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(
            "no such file",
            source=str(path),
            next_step="Check the spelling; name the table itself, or a folder that holds it as"
            " gait/gstride_register.csv",
        ) from error
    except OSError as error:
        raise refusal(path, f"cannot be read: {error}") from error
    if not raw.strip():
        raise refusal(path, "is empty")
    start = raw[:1000]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or 3 * start.count(0) > len(start) > 2:
        raise _wrong_form(path, "is text in UTF-16", "Save it as UTF-8")
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) or 0 in raw:
        raise _wrong_form(path, "is not text", "Export it as CSV")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _wrong_form(path: Path, problem: str, next_step: str) -> DatasetError:
    return DatasetError(problem, source=str(path), expected="a text table", next_step=next_step)


def _key(title: str) -> str:
    """Return a title without its explanation: letters and digits in front of the bracket."""
    return re.sub(r"[^a-z0-9]", "", title.partition("(")[0].lower())


def _check_titles(path: Path, titles: list[str], keys: list[str]) -> None:
    for key, title in zip(keys, titles, strict=True):
        if key and keys.count(key) > 1:
            raise refusal(path, "a column occurs twice", "every title once", title)
        unit = re.search(r"\(([^)]*)\)", title)
        if key in UNITS and unit is not None:
            got = unit.group(1).strip().lower().replace("deg", "°").replace("\ufffd", "°")
            if got != UNITS[key]:
                raise refusal(path, "a column has another unit", UNITS[key], title)
