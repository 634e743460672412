"""Real walks with labelled swings: two feet and the lower back, healthy people, 100 Hz.

"A Reference Data Set for the Study of Healthy Subject Gait with Inertial Measurements Units",
IPOL 2023, article 497; repository CyrilVoisard/ipol_dataset_1 (AGPL-3.0: read where it lies, never
copied). A folder holds ``S-T_lf.txt``, ``S-T_rf.txt``, ``S-T_lb.txt`` and ``S-T.json`` for person S
and trial T. Events count slots of the packet counter, so rows are put on that counter's time.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge_app.contracts import Float32Array, Float64Array
from edge_app.errors import DatasetError

Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = ("left", "right")
_FILES: dict[Side, str] = {"left": "lf", "right": "rf"}
_EVENTS = {"left": "LeftFootEvents", "right": "RightFootEvents"}
_RATE = re.compile(r"Acquisition frequency:\s*(\d+(?:\.\d+)?)\s*Hz")
_RATE_RANGE_HZ = (50.0, 400.0)
_COLUMNS = ("PacketCounter", "Acc_X", "Acc_Y", "Acc_Z", "Gyr_X", "Gyr_Y", "Gyr_Z")
WALK_M = 10.0
"""The course: there, turn, and back."""


@dataclass(frozen=True, slots=True)
class Imu:
    """One sensor's recording.

    Args:
        rate_hz: nominal.
        times_s: (n,) by the packet counter; a larger step is a loss.
        samples: (n, 6) float32, acc m/s^2, gyr rad/s.
    """

    rate_hz: float
    times_s: Float64Array
    samples: Float32Array


@dataclass(frozen=True, slots=True)
class Foot:
    """One foot of one trial.

    Args:
        side: left or right.
        imu: its sensor.
        swings_s: (k, 2) labelled toe-off and heel strike.
    """

    side: Side
    imu: Imu
    swings_s: Float64Array


@dataclass(frozen=True, slots=True)
class Trial:
    """One walk: stand, 10 m, turn, 10 m, stop.

    Args:
        name: ``S-T``.
        person: S.
        height_m: body height; NaN where unknown.
        turn_s: start and end of the turn.
        feet: those whose files are there.
        lower_back: the sensor at L5; None without its file.
    """

    name: str
    person: str
    height_m: float
    turn_s: tuple[float, float]
    feet: tuple[Foot, ...]
    lower_back: Imu | None


def read_trials(folder: Path) -> tuple[Trial, ...]:
    """Read every trial of a folder; a missing foot or back, or a walk without feet, is left out.

    Args:
        folder: holds the files.

    Returns:
        Trials by person and number.

    Raises:
        DatasetError: no trial, none with a foot file, or a damaged file.
    """
    labels = sorted(folder.glob("*-*.json"), key=_order)
    if not labels:
        raise _refusal(folder, "holds no walks", "files such as 1-1.json and 1-1_lf.txt", "none")
    walked = [path for path in labels if any(_foot_file(path, side).exists() for side in SIDES)]
    if not walked:
        expected = f"{labels[0].stem}_lf.txt or {labels[0].stem}_rf.txt"
        raise _refusal(labels[0], "no foot recording beside it", expected, "neither")
    return tuple(_trial(path) for path in walked)


def left_out(folder: Path) -> list[str]:
    """Return what ``read_trials`` passes over, a sentence each.

    Args:
        folder: holds the files.

    Returns:
        Feet without a recording, and recordings without labels.
    """
    said = []
    for path in sorted(folder.glob("*-*.json"), key=_order):
        missing = [_foot_file(path, side).name for side in SIDES]
        missing = [name for name in missing if not (folder / name).exists()]
        if missing:
            said.append(f"{path.stem}: no {' and no '.join(missing)}")
    for file in sorted(folder.glob("*-*_*.txt")):
        stem, _, sensor = file.stem.rpartition("_")
        if sensor in _FILES.values() and not (folder / f"{stem}.json").exists():
            said.append(f"{file.name}: no labels {stem}.json")
    return said


def _foot_file(labels: Path, side: Side) -> Path:
    return labels.with_name(f"{labels.stem}_{_FILES[side]}.txt")


def _order(path: Path) -> tuple[object, ...]:
    return tuple(int(part) if part.isdigit() else math.inf for part in path.stem.split("-"))


def _trial(path: Path) -> Trial:
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    feet = []
    for side in SIDES:
        file = _foot_file(path, side)
        if file.exists():
            imu = read_imu(file)
            feet.append(Foot(side, imu, _numbers(path, labels, _EVENTS[side], imu.rate_hz)))
    turn_s = _numbers(path, labels, "UTurnBoundaries", feet[0].imu.rate_hz)
    if turn_s.shape != (1, 2):
        raise _refusal(path, "UTurnBoundaries", "start and end", labels["UTurnBoundaries"])
    back = path.with_name(f"{path.stem}_lb.txt")
    height_cm = labels.get("Height")
    return Trial(
        name=path.stem,
        person=path.stem.split("-")[0],
        height_m=height_cm / 100.0 if isinstance(height_cm, int | float) else math.nan,
        turn_s=(float(turn_s[0, 0]), float(turn_s[0, 1])),
        feet=tuple(feet),
        lower_back=read_imu(back) if back.exists() else None,
    )


def _numbers(path: Path, labels: Any, key: str, rate_hz: float) -> Float64Array:
    """Return pairs of slots as (k, 2) seconds."""
    try:
        pairs = np.array(labels[key], np.float64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise _refusal(path, f"{key} are no pairs of numbers: {error}") from error
    if not np.isfinite(pairs).all() or (np.diff(pairs, axis=1) < 0.0).any():
        raise _refusal(path, f"{key}: a pair is not finite, or ends before it begins")
    return np.asarray(pairs / rate_hz)


def read_imu(path: Path) -> Imu:
    """Read one sensor's text file.

    Args:
        path: two header lines, then tab separated numbers.

    Returns:
        Rows in the order of the packet counter, at its times.

    Raises:
        DatasetError: missing, another layout, samples that are no numbers, or a counter that runs
            backwards.
    """
    try:
        with path.open(encoding="utf-8") as file:
            rate = _RATE.match(file.readline())
            names = file.readline().split()
            if rate is None or tuple(names[: len(_COLUMNS)]) != _COLUMNS:
                raise _refusal(path, "is not such a recording", _COLUMNS, names)
            table = np.loadtxt(file, np.float64, usecols=range(len(_COLUMNS)), ndmin=2)
    except (OSError, ValueError) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    counter, rate_hz = table[:, 0], float(rate[1])
    if not _RATE_RANGE_HZ[0] <= rate_hz <= _RATE_RANGE_HZ[1]:
        raise _refusal(path, "no rate for feet", "50 to 400 Hz", f"{rate_hz:g} Hz")
    if len(table) < 2 or not (np.diff(counter) > 0.0).all():
        raise _refusal(path, "has no rows, or a packet counter that does not rise")
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise _refusal(path, "holds what is no number", "finite samples", f"none in row {row + 1}")
    return Imu(rate_hz, counter / rate_hz, table[:, 1:].astype(np.float32))


def _refusal(path: Path, problem: str, expected: object = None, got: object = None) -> DatasetError:
    return DatasetError(
        problem,
        source=str(path),
        expected=expected,
        got=got,
        next_step="Take the GaitData of CyrilVoisard/ipol_dataset_1 as it is",
    )
