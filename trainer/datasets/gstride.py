"""GSTRIDE register: 163 older people, their Fried criteria and their gait on a foot-worn sensor.

Garcia-Villamil et al. 2023, doi 10.1038/s41597-023-02428-0; data doi 10.5281/zenodo.8003441,
CC BY 4.0. The Fried index is counted again from its five items and must agree with the one given;
fields that are part of it never become inputs. Training reads the published register and nothing
else; ``read_table`` takes any table in its layout, to evaluate on.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from trainer.datasets import gstride_table
from trainer.datasets.gstride_table import GAIT_UNITS, Row, read_rows, refusal

logger = logging.getLogger(__name__)

FILE = Path("gait") / "gstride_register.csv"
LABELS = ("robust", "prefrail", "frail")
COUNTS = {"robust": 65, "prefrail": 77, "frail": 21}
PLAUSIBLE = {
    "stride_time_s": (0.4, 6.0),
    "load_percent": (0.0, 100.0),
    "foot_flat_percent": (0.0, 100.0),
    "push_percent": (0.0, 100.0),
    "swing_percent": (0.0, 100.0),
    "toe_off_angle_deg": (-120.0, 60.0),
    "heel_strike_angle_deg": (-60.0, 90.0),
    "cadence_strides_per_min": (5.0, 150.0),
    "step_speed_mps": (0.0, 4.0),
    "stride_length_m": (0.0, 3.0),
    "path_3d_m": (0.0, 5.0),
    "path_2d_m": (0.0, 5.0),
    "clearance_m": (0.0, 2.0),
}
"""No person's mean lies outside; a table in other units does."""
LEAST_TOE_OFF_DEG = 5.0
"""Far below any walking person's, far above what an angle in radians can be."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """Mean and standard deviation over one person's strides; NaN where missing."""

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
    """One row of the register. What is None or NaN is not known.

    Args:
        person: ``Vnnn``.
        frailty: one of ``LABELS``.
        fried_index: 0 to 5.
        has_recording: False for the five people without raw data.
        device: ``CSIC`` (104 Hz) or ``Gaitup`` (128 Hz).
        indoors: True on the surface ``Plane``. A confounder: nobody frail walked outside.
        gait: what their foot did.
        place: ``Consultation``, ``Nursing home`` or ``Familiar``: where they were tested.
        age_range: years, as in ``80-84``.
        sex: ``F`` or ``M``.
        lives_in_nursing_home: a confounder as well.
        gait_speed_mps: the clinician's 4-m walk. Part of the Fried label: never an input.
        tug_s: the clinician's timed up-and-go.
    """

    person: str
    frailty: str
    fried_index: int | None
    has_recording: bool
    device: str | None
    indoors: bool | None
    gait: Gait
    place: str | None = None
    age_range: str | None = None
    sex: str | None = None
    lives_in_nursing_home: bool | None = None
    gait_speed_mps: float = math.nan
    tug_s: float = math.nan


@dataclass(frozen=True, slots=True)
class RegisterTable:
    """The people of a table in the register's layout.

    Args:
        people: those whose frailty can be determined, in the file's order.
        left_out: ids of those for whom neither index nor items say it.
    """

    people: tuple[Person, ...]
    left_out: tuple[str, ...]


def read_register(
    path: Path, *, expected_counts: dict[str, int] | None = None
) -> tuple[Person, ...]:
    """Read the published register, complete.

    Args:
        path: the file, or the data folder that holds ``gait/gstride_register.csv``.
        expected_counts: people by label that must be found; the published register's when None.

    Returns:
        One person a row, in the file's order.

    Raises:
        DatasetError: another file, a damaged row, a gait parameter missing, or counts that differ.
    """
    people = read_table(path).people
    counts = Counter(person.frailty for person in people)
    expected = COUNTS if expected_counts is None else expected_counts
    if counts != Counter(expected):
        raise refusal(path, "the people are not those of the register", expected, dict(counts))
    for person in people:
        lacking = [name for name, value in gait_items(person.gait) if math.isnan(value.mean)]
        if lacking:
            raise refusal(path, f"{person.person} lacks {lacking[0]}", "a complete register")
    return people


def read_table(path: Path) -> RegisterTable:
    """Read any table in the register's layout: other people, blank cells, fewer columns.

    Missing gait parameters become NaN and the person is kept. A person whose frailty cannot be
    determined (no index, and items missing that would decide) is left out, with a warning.

    Args:
        path: the file, or the data folder that holds ``gait/gstride_register.csv``.

    Returns:
        Its people.

    Raises:
        DatasetError: another file, a damaged row, an index that contradicts its items, a person
            twice, implausible values, or nobody whose frailty can be determined.
    """
    path = path / FILE if path.is_dir() else path
    rows = read_rows(path)
    ids = [row.text(gstride_table.ID) or f"line {row.line}" for row in rows]
    doubled = [name for name, n in Counter(ids).items() if n > 1]
    if doubled:
        raise refusal(path, "a person occurs twice", "one row a person", ", ".join(doubled[:5]))
    read = [_person(row, name) for row, name in zip(rows, ids, strict=True)]
    people = tuple(person for person in read if person is not None)
    left_out = tuple(name for name, person in zip(ids, read, strict=True) if person is None)
    if left_out:
        logger.warning(
            "%s: left out %d of %d people whose frailty cannot be determined: %s",
            *(path.name, len(left_out), len(ids), ", ".join(left_out[:5])),
        )
    if not people:
        raise refusal(path, "nobody's frailty can be determined", "a Fried index or its five items")
    _check_conventions(path, people)
    return RegisterTable(people, left_out)


def gait_items(gait: Gait) -> list[tuple[str, Statistic]]:
    """Return name and statistic of every parameter, in the register's order."""
    return [(field.name, getattr(gait, field.name)) for field in fields(gait)]


def _person(row: Row, name: str) -> Person | None:
    frailty, index = _frailty(row)
    gait = _gait(row)
    surface = row.text(gstride_table.SURFACE)
    if frailty is None:
        return None
    return Person(
        person=name,
        frailty=frailty,
        fried_index=index,
        has_recording=row.text(gstride_table.NOTES) != "No raw data",
        device=row.text(gstride_table.DEVICE),
        indoors=None if surface is None else surface == "Plane",
        gait=gait,
        place=row.text(gstride_table.PLACE),
        age_range=row.text(gstride_table.AGE),
        sex=row.text(gstride_table.SEX),
        lives_in_nursing_home=row.answer(gstride_table.RESIDENT),
        gait_speed_mps=row.number(gstride_table.GAIT_SPEED),
        tug_s=row.number(gstride_table.TUG_TIME),
    )


def _frailty(row: Row) -> tuple[str | None, int | None]:
    """Return class and index; the class alone where missing items cannot change it."""
    answers = [row.answer(item) for item in gstride_table.FRIED_ITEMS]
    low = answers.count(True)
    high = low + answers.count(None)
    given = row.number(gstride_table.FRIED_INDEX)
    if math.isfinite(given):
        if given != int(given) or not low <= given <= high:
            expected = low if low == high else f"{low} to {high}"
            raise row.refusal("Fried index does not follow from its items", expected, given)
        return frailty_class(int(given)), int(given)
    if frailty_class(low) == frailty_class(high):
        return frailty_class(low), low if low == high else None
    return None, None


def frailty_class(fried_index: int) -> Literal["robust", "prefrail", "frail"]:
    """Return Fried's class: 0, 1-2, 3-5 (Fried et al. 2001, doi 10.1093/gerona/56.3.M146)."""
    if fried_index == 0:
        return "robust"
    return "prefrail" if fried_index <= 2 else "frail"


def _gait(row: Row) -> Gait:
    statistics = []
    for key, (low, high) in zip(GAIT_UNITS, PLAUSIBLE.values(), strict=True):
        mean, std = row.number(f"{key}avg"), row.number(f"{key}std")
        if mean < low or mean > high:
            raise row.refusal(
                f"implausible value in column {row.title(f'{key}avg')}",
                f"{low:g} to {high:g}",
                mean,
            )
        if std < 0:
            raise row.refusal(
                f"implausible value in column {row.title(f'{key}std')}",
                "a standard deviation of 0 or more",
                std,
            )
        statistics.append(Statistic(mean, std))
    return Gait(*statistics)


def _check_conventions(path: Path, people: Sequence[Person]) -> None:
    """Refuse phases that are no percentages, and toe-off angles in radians or of the other sign."""
    phases = [
        sum(getattr(person.gait, f"{phase}_percent").mean for phase in _PHASES) for person in people
    ]
    toe_off = [person.gait.toe_off_angle_deg.mean for person in people]
    total, angle = _median(phases), _median(toe_off)
    if abs(total - 100.0) > 15.0:
        raise refusal(path, "the gait phases do not sum to a stride", "100 %", f"{total:g} %")
    if abs(angle) < LEAST_TOE_OFF_DEG:
        raise refusal(
            path,
            "toe-off angles that look like radians",
            f"degrees: a median beyond {LEAST_TOE_OFF_DEG:g} deg",
            f"a median of {angle:g}",
        )
    if angle > 0.0:
        raise refusal(path, "toe-off angles of the other sign", "toe down negative", f"{angle:g}")


_PHASES = ("load", "foot_flat", "push", "swing")


def _median(values: list[float]) -> float:
    """Return the median of what is known; NaN, which passes every check, where nothing is."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
