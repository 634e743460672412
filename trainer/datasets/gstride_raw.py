"""The raw GSTRIDE recordings as users download them: register, and one text file a person.

Garcia-Villamil et al. 2023, doi 10.1038/s41597-023-02428-0; data doi 10.5281/zenodo.8003441,
CC BY 4.0. Taken are ``Test_recordings_calibrated/`` (preferred) or ``Test_recordings_raw/`` at any
depth, or the files in the folder itself; named ``V001_....txt`` or ``V001....txt``, also ``.csv``.
What is in a file is told by looking (``gstride_text``, ``gstride_units``), one log line a file.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_app.contracts import Float32Array
from edge_app.errors import DatasetError
from trainer.datasets.gait_windows import evenly_chosen, windows_of
from trainer.datasets.gstride import FILE, Person
from trainer.datasets.gstride_text import read_table, refuse
from trainer.datasets.gstride_units import Recording, understand

RAW_COUNTS = {"robust": 65, "prefrail": 73, "frail": 20}
"""People by class without the five who have no raw data."""
FOLDERS = ("Test_recordings_calibrated", "Test_recordings_raw")
"""The first that is there is read."""
_RECORDING = re.compile(r"^(V[0-9]{3})(?![0-9]).*\.(txt|csv)$", re.IGNORECASE)
_log = logging.getLogger(__name__)


def find_register(folder: Path) -> Path:
    """Return the register in a folder of recordings.

    Args:
        folder: what the user named, or the register itself.

    Returns:
        The only CSV whose name speaks of a register.

    Raises:
        DatasetError: none, or several.
    """
    if folder.is_file():
        return folder
    if (folder / FILE).is_file():
        return folder / FILE
    found = sorted(p for p in folder.rglob("*.csv") if "register" in p.name.lower())
    if len(found) != 1:
        raise DatasetError(
            "no register" if not found else "several registers",
            source=str(folder),
            expected="one Database_register.csv, also under another name with 'register' in it",
            got=[str(path.relative_to(folder)) for path in found] or "none",
            next_step="Put the CSV register of doi 10.5281/zenodo.8003441 into this folder",
        )
    return found[0]


def recorded(people: Sequence[Person]) -> tuple[Person, ...]:
    """Return the people with raw data; the others are told to the log."""
    without = [person.person for person in people if not person.has_recording]
    if without:
        _log.info("%s left out: the register says that they have no raw data", ", ".join(without))
    return tuple(person for person in people if person.has_recording)


def find_recordings(folder: Path, people: Sequence[Person]) -> dict[str, Path]:
    """Return the one recording of each person.

    Args:
        folder: what the user named.
        people: whose recordings are wanted.

    Returns:
        Person to file.

    Raises:
        DatasetError: a person without a file, or with several.
    """
    there = [found for name in FOLDERS for found in sorted(folder.rglob(name)) if found.is_dir()]
    place = there[0] if there else folder
    files: dict[str, list[Path]] = {}
    for path in sorted(place.rglob("*")):
        match = _RECORDING.match(path.name)
        if match and path.is_file():
            files.setdefault(match[1].upper(), []).append(path)
    missing = [person.person for person in people if person.person not in files]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(people)} people have no recording",
            source=str(place),
            expected="a file V001_....txt or V001....txt for each, also .csv",
            got=f"none for {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''}",
            next_step=f"Unpack the whole archive of doi 10.5281/zenodo.8003441; one of"
            f" {', '.join(FOLDERS)} is enough",
        )
    for person in people:
        several = files[person.person]
        if len(several) > 1:
            refuse(
                several[0],
                f"{person.person} has {len(several)} recordings",
                "Leave one file a person",
                got=", ".join(str(path.relative_to(place)) for path in several[:4]),
            )
    return {person.person: files[person.person][0] for person in people}


def read_recordings(
    folder: Path, people: Sequence[Person], *, counts_per_dps: float | None = None
) -> Iterator[Recording]:
    """Read one recording after another, each with one line in the log.

    Args:
        folder: what the user named.
        people: whose recordings are wanted, all of them with raw data.
        counts_per_dps: counts of the gyroscope for 1 deg/s, where the files hold counts.

    Yields:
        The recordings in the order of ``people``; only one is held at a time.

    Raises:
        DatasetError: a missing file, or one whose content is not clear; names it.
    """
    files = find_recordings(folder, people)
    for person in people:
        path = files[person.person]
        recording = understand(
            path,
            read_table(path),
            person=person.person,
            device=person.device or "none given",
            counts_per_dps=counts_per_dps,
        )
        _log.info("%s", recording.verdict.line())
        yield recording


def read_windows(
    folder: Path,
    people: Sequence[Person],
    *,
    largest: int | None,
    counts_per_dps: float | None = None,
) -> list[Float32Array]:
    """Return each person's windows of walking, as the bedside would cut and gate them.

    Args:
        folder: what the user named.
        people: whose recordings are wanted, all of them with raw data.
        largest: most windows a person, spread over the walk; None: all (2 GB for everyone).
        counts_per_dps: counts of the gyroscope for 1 deg/s, where the files hold counts.

    Returns:
        ``(n, 6, 200)`` float32 m/s^2 and rad/s at 100 Hz, one array a person.

    Raises:
        DatasetError: a missing file, or one whose content is not clear; names it.
    """
    windows = []
    for recording in read_recordings(folder, people, counts_per_dps=counts_per_dps):
        rate_hz = recording.verdict.rate_hz
        walked = [windows_of(stretch, rate_hz=rate_hz) for stretch in recording.stretches]
        windows.append(evenly_chosen(np.concatenate(walked), largest))
        if not len(windows[-1]):
            _log.warning("%s: no window of walking", recording.verdict.person)
    return windows
