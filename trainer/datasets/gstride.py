"""GSTRIDE register: 163 older people, their Fried criteria and their gait on a foot-worn sensor.

Garcia-Villamil et al. 2023, doi 10.1038/s41597-023-02428-0; data doi 10.5281/zenodo.8003441,
CC BY 4.0. cp1252, ``;``, decimal comma, three header rows. The Fried index is counted again from
its five items and must agree with the one given; fields that are part of it never become inputs.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_app.errors import DatasetError

FILE = Path("gait") / "gstride_register.csv"
LABELS = ("robust", "prefrail", "frail")
COUNTS = {"robust": 65, "prefrail": 77, "frail": 21}
N_COLUMNS = 60
HEADER_ROWS = 3
MISSING = frozenset({"", "-", "Incapable"})
_FRIED_ITEMS = (18, 19, 20, 22, 23)
_FRIED_INDEX = 24
_GAIT_START = 34


@dataclass(frozen=True, slots=True)
class Statistic:
    """Mean and standard deviation over one person's strides."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Gait:
    """One person's gait as the register's authors computed it; fields in the register's order.

    Args:
        stride_time_s: heel strike to heel strike of the same foot.
        load_percent: heel strike to foot flat, share of the stride.
        foot_flat_percent: sole on the floor.
        push_percent: heel-off to toe-off.
        swing_percent: toe-off to heel strike.
        toe_off_angle_deg: pitch at toe-off, toe down negative.
        heel_strike_angle_deg: pitch at heel strike.
        cadence_strides_per_min: of one foot.
        step_speed_mps: as given; not stride length over stride time.
        stride_length_m: horizontal distance.
        path_3d_m: travelled curve.
        path_2d_m: its horizontal part.
        clearance_m: highest point of the sensor; outliers up to 0.66.
    """

    stride_time_s: Statistic
    load_percent: Statistic
    foot_flat_percent: Statistic
    push_percent: Statistic
    swing_percent: Statistic
    toe_off_angle_deg: Statistic
    heel_strike_angle_deg: Statistic
    cadence_strides_per_min: Statistic
    step_speed_mps: Statistic
    stride_length_m: Statistic
    path_3d_m: Statistic
    path_2d_m: Statistic
    clearance_m: Statistic


@dataclass(frozen=True, slots=True)
class Person:
    """One row of the register.

    Args:
        person: ``Vnnn``.
        frailty: one of ``LABELS``.
        fried_index: 0 to 5.
        has_recording: False for the five people without raw data.
        device: ``CSIC`` (104 Hz) or ``Gaitup`` (128 Hz).
        indoors: True on the surface ``Plane``. A confounder: nobody frail walked outside.
        gait: what their foot did.
    """

    person: str
    frailty: str
    fried_index: int
    has_recording: bool
    device: str
    indoors: bool
    gait: Gait


def read_register(
    path: Path, *, expected_counts: dict[str, int] | None = None
) -> tuple[Person, ...]:
    """Read the register.

    Args:
        path: the file, or the data folder that holds ``gait/gstride_register.csv``.
        expected_counts: people by label that must be found; the published register's when None.

    Returns:
        One person a row, in the file's order.

    Raises:
        DatasetError: another file, a damaged row, or counts that differ.
    """
    path = path / FILE if path.is_dir() else path
    rows = _read_rows(path)
    people = tuple(_person(path, number, row) for number, row in enumerate(rows, HEADER_ROWS + 1))
    if len({person.person for person in people}) != len(people):
        raise _refusal(path, "a person occurs twice", "one row a person", "doubled ids")
    counts = Counter(person.frailty for person in people)
    expected = COUNTS if expected_counts is None else expected_counts
    if counts != Counter(expected):
        raise _refusal(path, "the people are not those of the register", expected, dict(counts))
    return people


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="cp1252", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=";")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    head, rows = rows[:HEADER_ROWS], [row for row in rows[HEADER_ROWS:] if any(row)]
    titles = head[1] if len(head) == HEADER_ROWS else []
    if len(titles) != N_COLUMNS or titles[_FRIED_INDEX] != "Frailty assessment (index)":
        got = f"{len(titles)} columns: {'; '.join(titles[:3])} ..."
        raise _refusal(path, "is not the GSTRIDE register", "60 columns under 3 header rows", got)
    return rows


def _person(path: Path, number: int, row: list[str]) -> Person:
    where = f"line {number}"
    if len(row) != N_COLUMNS:
        raise _refusal(path, f"{where} has another length", N_COLUMNS, len(row))
    counted = sum(_is_yes(path, where, row[column]) for column in _FRIED_ITEMS)
    given = _number(path, where, row[_FRIED_INDEX])
    if counted != given:
        raise _refusal(path, f"{where}: Fried index does not follow from its items", counted, given)
    return Person(
        person=row[1],
        frailty=_frailty(counted),
        fried_index=counted,
        has_recording=row[2] != "No raw data",
        device=row[5],
        indoors=row[8] == "Plane",
        gait=_gait(path, where, row[_GAIT_START:]),
    )


def _gait(path: Path, where: str, cells: list[str]) -> Gait:
    values = [_number(path, where, cell) for cell in cells]
    pairs = zip(values[::2], values[1::2], strict=True)
    return Gait(*(Statistic(mean, std) for mean, std in pairs))


def _frailty(fried_index: int) -> Literal["robust", "prefrail", "frail"]:
    """Return Fried's class: 0, 1-2, 3-5 (Fried et al. 2001, doi 10.1093/gerona/56.3.M146)."""
    if fried_index == 0:
        return "robust"
    return "prefrail" if fried_index <= 2 else "frail"


def _is_yes(path: Path, where: str, cell: str) -> bool:
    if cell not in MISSING and cell not in ("YES", "NO"):
        raise _refusal(path, f"{where}: unknown answer", "YES, NO or missing", cell)
    return cell == "YES"


def _number(path: Path, where: str, cell: str) -> float:
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refusal(path, f"{where}: no number", "such as 1,16", repr(cell))
    return value


def _refusal(path: Path, problem: str, expected: object = None, got: object = None) -> DatasetError:
    return DatasetError(
        problem,
        source=str(path),
        expected=expected,
        got=got,
        next_step="Use the register of doi 10.5281/zenodo.8003441 unchanged, not saved anew by a"
        " spreadsheet",
    )
