"""The table of a clinical set: ``set_id, gender, age, country``, a row a person.

The groups are those of "A Clinical Perspective for Monitoring PTSD-Related Emotional Responses":
``Under_31`` is below 31 years, ``Beyond_31`` 31 and more; country is ``RU`` or ``Other``.
"""

from __future__ import annotations

import csv
from pathlib import Path

from edge_app.errors import DatasetError

AGE_GROUP, GENDER, COUNTRY, RAW_COUNTRY = "age_group", "gender", "country", "country_raw"
BALANCED = (AGE_GROUP, GENDER, COUNTRY)
"""The attributes whose shares a split keeps."""
UNKNOWN = ""
"""What is not known of a person."""
AGE_LIMIT_YEARS = 31
_OLDEST_YEARS = 120
_COLUMNS = ("gender", "age", "country")
_GENDERS = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female"}
_GENDERS |= {"w": "female", "woman": "female"}
_RUSSIA = frozenset({"ru", "rus", "russia", "russian federation"})
People = dict[str, dict[str, str]]


def find_table(root: Path) -> Path | None:
    """Return the csv with a column ``set_id`` in a folder or one below it.

    Args:
        root: the folder.

    Returns:
        The file, or None.

    Raises:
        DatasetError: there are several.
    """
    tables = [path for path in sorted([*root.glob("*.csv"), *root.glob("*/*.csv")]) if _is(path)]
    if len(tables) > 1:
        raise DatasetError(
            "several tables of people",
            source=str(root),
            expected="one csv with a column set_id",
            got=", ".join(str(path.relative_to(root)) for path in tables),
            next_step="Name the folder of one set, or move the other tables away",
        )
    return tables[0] if tables else None


def _is(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return "set_id" in _names(file.readline(10_000).replace(";", ",").split(","))
    except (OSError, UnicodeDecodeError):
        return False


def person_id(cell: str) -> str:
    """Return a person's id as folders and tables agree on: ``07``, ``7`` and ``7.0`` are one."""
    text = cell.strip()
    whole = text.removesuffix(".0")
    return str(int(whole)) if whole.isdecimal() else text


def read_people(path: Path) -> tuple[People, list[str]]:
    """Read the table.

    Args:
        path: the csv; commas or semicolons between cells.

    Returns:
        Person to attribute to word, empty where a cell tells nothing; and what is odd.

    Raises:
        DatasetError: it cannot be read, or tells two things of one person.
    """
    people: People = {}
    notes: list[str] = []
    for number, row in enumerate(_rows(path), start=2):
        person = person_id(row.get("set_id", ""))
        if not person:
            raise _bad(path, number, "no set_id", "a person's id", None)
        found = _attributes(row, f"{path.name} row {number}", notes)
        if people.setdefault(person, found) != found:
            raise _bad(path, number, f"person {person} stands here twice", people[person], found)
    if not people:
        raise _bad(path, 2, "no person", "a row a person", None)
    notes += [
        f"{path.name}: no column {column}; it is not known of anybody"
        for column in _COLUMNS
        if column not in row
    ]
    return people, notes


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            mark = ";" if first.count(";") > first.count(",") else ","
            names = _names(next(csv.reader([first], delimiter=mark)))
            reader = csv.DictReader(file, fieldnames=names, restval="", delimiter=mark)
            return [row for row in reader if any(row.get(name) for name in names)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"the table of people cannot be read: {error}",
            source=str(path),
            next_step="Save it as csv in UTF-8: set_id,gender,age,country",
        ) from error


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().strip('"').casefold().replace(" ", "_") for cell in cells]


def _attributes(row: dict[str, str], where: str, notes: list[str]) -> dict[str, str]:
    gender, age, country = (row.get(column, "").strip() for column in _COLUMNS)
    age_group = _age_group(age)
    if age and age_group == UNKNOWN:
        notes.append(f"{where}: age {age[:20]} is no age in years; taken as not known")
    return {
        AGE_GROUP: age_group,
        GENDER: _GENDERS.get(gender.casefold(), gender.casefold() or UNKNOWN),
        COUNTRY: _country_group(country),
        RAW_COUNTRY: country or UNKNOWN,
    }


def _age_group(cell: str) -> str:
    try:
        years = float(cell)
    except ValueError:
        return UNKNOWN
    if not 0 < years <= _OLDEST_YEARS:
        return UNKNOWN
    return f"Under_{AGE_LIMIT_YEARS}" if years < AGE_LIMIT_YEARS else f"Beyond_{AGE_LIMIT_YEARS}"


def _country_group(cell: str) -> str:
    if not cell:
        return UNKNOWN
    return "RU" if cell.casefold() in _RUSSIA else "Other"


def _bad(path: Path, number: int, problem: str, expected: object, got: object) -> DatasetError:
    return DatasetError(
        problem,
        source=f"{path.name} row {number}",
        expected=expected,
        got=got,
        next_step="Correct the table: set_id,gender,age,country, a row a person",
    )
