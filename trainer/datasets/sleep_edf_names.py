"""File names of Sleep-EDF Expanded as PhysioNet lays it out, and which files belong together.

``SC4ssNE0-PSG.edf`` is the recording of subject ss, night N; ``SC4ssNEx-Hypnogram.edf`` its
hypnogram by scorer x: the first six characters are the night. Later subjects have F or G for E.
``ST...`` is the temazepam study, other people under other conditions.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from edge_app.counted import counted
from edge_app.errors import DatasetError

_PSG = re.compile(r"^(SC4(\d\d)(\d)[A-Z]\d)-PSG\.edf$", re.IGNORECASE)
_HYPNOGRAM = re.compile(r"^(SC4\d\d\d)[A-Z]{2}-Hypnogram\.edf$", re.IGNORECASE)
_TEMAZEPAM = re.compile(r"^ST7\d{3}.*-(PSG|Hypnogram)\.edf$", re.IGNORECASE)
_EDF_SUFFIXES = frozenset({".edf", ".bdf", ".rec"})
_NIGHT_LENGTH = 6
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two files of a night.

    Args:
        name: ``SC4ssNE0``.
        subject: ``ss``, the person.
        night: 1 or 2.
        psg: the recording.
        hypnogram: the expert's stages.
    """

    name: str
    subject: str
    night: int
    psg: Path
    hypnogram: Path


def is_sleep_edf(path: Path) -> bool:
    """Tell whether a folder, searched to its depth, holds files of Sleep-EDF."""
    patterns = (_PSG, _HYPNOGRAM, _TEMAZEPAM)
    return path.is_dir() and any(
        pattern.match(found.name) for found in path.rglob("*.edf") for pattern in patterns
    )


@dataclass(frozen=True, slots=True)
class NightFiles:
    """All files there are of a night, also too few or too many.

    Args:
        night: the first six characters, ``SC4ssN``.
        recordings: files ``-PSG.edf``.
        hypnograms: files ``-Hypnogram.edf``.
    """

    night: str
    recordings: tuple[Path, ...]
    hypnograms: tuple[Path, ...]

    @property
    def problem(self) -> str | None:
        """What is wrong with them, None for one of each."""
        if not self.hypnograms:
            return f"no hypnogram for {self.night}: {self.night}Ex-Hypnogram.edf is missing"
        if not self.recordings:
            return f"no recording for {self.night}: {self.night}E0-PSG.edf is missing"
        for what, found in (("recordings", self.recordings), ("hypnograms", self.hypnograms)):
            if len(found) > 1:
                names = ", ".join(path.name for path in found)
                return f"{len(found)} {what} for {self.night}: {names}"
        return None

    def pair(self) -> Pair:
        """Return the two files; there must be no ``problem``."""
        match = _PSG.match(self.recordings[0].name)
        assert match is not None  # noqa: S101 - for the type checker; found by this pattern
        name = match[1].upper()
        return Pair(name, match[2], int(match[3]), self.recordings[0], self.hypnograms[0])


def other_recordings(folder: Path) -> tuple[Path, ...]:
    """Return EDF and BDF files, at any depth, that are named otherwise than those of Sleep-EDF."""
    known = (_PSG, _HYPNOGRAM, _TEMAZEPAM)
    return tuple(
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _EDF_SUFFIXES
        and not any(pattern.match(path.name) for pattern in known)
        and path.is_file()
    )


def find_pairs(folder: Path) -> tuple[Pair, ...]:
    """Return all nights of the sleep-cassette study.

    Args:
        folder: searched to its depth: ``sleep-edfx``, ``sleep-cassette`` or a flat one.

    Returns:
        The nights by name. ST files are left out, with a line in the log.

    Raises:
        DatasetError: no files of this layout, a recording without hypnogram or the reverse, or
            several of either for a night.
    """
    nights = find_files(folder)
    if not nights:
        raise DatasetError(
            "no nights of the sleep-cassette study",
            source=str(folder),
            expected="SC4ssNE0-PSG.edf and SC4ssNEx-Hypnogram.edf, in the folder or below it",
            got="ST files of the temazepam study only" if is_sleep_edf(folder) else None,
            next_step="Name the folder with the files of physionet.org/content/sleep-edfx",
        )
    problems = [night.problem for night in nights if night.problem]
    if problems:
        more = f" and {len(problems) - 1} more such nights" if len(problems) > 1 else ""
        raise DatasetError(
            problems[0] + more,
            source=str(folder),
            expected="one recording and one hypnogram a night",
            next_step="Download the missing files, keep one of each; `trainer prepare sleep --data"
            " FOLDER` lists all nights",
        )
    return tuple(night.pair() for night in nights)


def find_files(folder: Path) -> tuple[NightFiles, ...]:
    """Return what there is of each night of the sleep-cassette study, complete or not.

    Args:
        folder: searched to its depth.

    Returns:
        By night. ST files are left out, with a line in the log.
    """
    found: dict[str, tuple[list[Path], list[Path]]] = {}
    temazepam = 0
    for path in sorted(folder.rglob("*")):
        temazepam += _TEMAZEPAM.match(path.name) is not None
        for which, pattern in enumerate((_PSG, _HYPNOGRAM)):
            if pattern.match(path.name) and path.is_file():
                night = path.name[:_NIGHT_LENGTH].upper()
                found.setdefault(night, ([], []))[which].append(path)
    if temazepam:
        _log.warning(
            "%s left out: the temazepam study is of other people under a drug",
            counted(temazepam, "ST file"),
        )
    return tuple(NightFiles(night, *map(tuple, found[night])) for night in sorted(found))
