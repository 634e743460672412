"""What there is to train and test sleep staging on: a table of nights, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge_app.counted import counted
from edge_app.errors import DatasetError, EdgeAppError
from trainer.datasets.hypnogram_json import read_json_hypnogram
from trainer.datasets.sleep_counts import count_stages, sleep_range, tell_counts
from trainer.datasets.sleep_edf import CHANNEL, stages_of_pair
from trainer.datasets.sleep_edf_names import NightFiles, find_files, other_recordings
from trainer.datasets.sleep_stages import STAGES
from trainer.datasets.sleepedf_bandpower import load_nights

_SCORE = "score them with trainer evaluate BUNDLE --data FILE --hypnogram FILE"


@dataclass(frozen=True, slots=True)
class _Row:
    """One night: its trimmed stages, or the problem with it."""

    name: str
    stages: npt.NDArray[np.int64] | None
    says: str


def describe_nights(path: Path, console: Console) -> bool:
    """Print one table for each archive, and for the EDF pairs and JSON hypnograms of a folder.

    Args:
        path: an archive ``.npz``, or a folder that holds archives (also under ``sleep/``), pairs of
            Sleep-EDF or JSON hypnograms at any depth.
        console: where to print.

    Returns:
        True when some night can be used.

    Raises:
        DatasetError: nothing there.
    """
    good = False
    found = False
    for title, rows in _tables(path):
        found = True
        good |= any(row.stages is not None for row in rows)
        _print(title, rows, console)
        tell_counts({row.name: row.stages for row in rows if row.stages is not None})
    others = len(other_recordings(path)) if path.is_dir() else 0
    told = f"not looked at: {counted(others, 'other recording')}, EDF or BDF"
    if not found:
        raise DatasetError(
            "no nights",
            source=str(path),
            expected="SC4ssNE0-PSG.edf with SC4ssNEx-Hypnogram.edf, sleepedf_bandpower.npz,"
            " sleepedf78_fpzcz_features.npz or JSON hypnograms",
            got=told if others else None,
            next_step="Name the folder that holds them with --data"
            + (f"; other recordings: {_SCORE}" if others else ""),
        )
    if others:
        console.print(f"{told}: {_SCORE}", highlight=False, soft_wrap=True)
    return good


def _tables(path: Path) -> Iterator[tuple[str, list[_Row]]]:
    """Yield title and nights of everything there."""
    archives = (
        [path] if path.is_file() else sorted([*path.glob("*.npz"), *path.glob("sleep/*.npz")])
    )
    for archive in archives:
        yield f"{archive.name}: archive of features", _archived(archive)
    if path.is_file():
        return
    files = find_files(path)
    if files:
        title = f"Sleep-EDF, {CHANNEL}: 60 scored epochs before and after sleep"
        yield title, [_paired(night) for night in files]
    hypnograms = sorted(path.rglob("SC4*.json"))
    if hypnograms:
        yield "hypnograms without recordings, trimmed likewise", [_json(one) for one in hypnograms]


def _archived(archive: Path) -> list[_Row]:
    try:
        nights = load_nights(archive)
    except EdgeAppError as error:
        return [_Row(archive.name, None, str(error))]
    says = {True: "scored epochs only", False: "moments alone; ends of bouts missing"}
    return [_Row(night.name, night.stages, says[night.contiguous]) for night in nights]


def _paired(files: NightFiles) -> _Row:
    if files.problem:
        return _Row(files.night, None, files.problem)
    pair = files.pair()
    try:
        stages = stages_of_pair(pair)
    except EdgeAppError as error:
        return _Row(pair.name, None, str(error))
    keep = sleep_range(stages)
    says = f"{len(keep)} of {len(stages)} epochs kept, from {keep.start} on"
    return _Row(pair.name, stages[keep.start : keep.stop], says)


def _json(path: Path) -> _Row:
    try:
        stages = read_json_hypnogram(path).stages
    except EdgeAppError as error:
        return _Row(path.stem, None, str(error))
    keep = sleep_range(stages)
    return _Row(path.stem, stages[keep.start : keep.stop], "labels only")


def _print(title: str, rows: list[_Row], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("night")
    for name in (*STAGES, "masked"):
        table.add_column(name, justify="right")
    alike = len({row.says for row in rows}) == 1  # then said once, in the title
    if alike:
        table.title = f"{title}: {rows[0].says}"
    else:
        table.add_column("says")
    for row in rows:
        told = () if alike else (row.says,)
        if row.stages is None:
            table.add_row(row.name, *[""] * (len(STAGES) + 1), *told, style="red")
        else:
            table.add_row(row.name, *_numbers(row.stages), *told)
    usable = [row.stages for row in rows if row.stages is not None]
    unusable = len(rows) - len(usable)
    table.add_section()
    table.add_row(f"{len(usable)} usable", *_numbers(*usable))
    if unusable:
        table.caption = f"{unusable} cannot be used"
    console.print(table, highlight=False)


def _numbers(*stages: npt.NDArray[np.int64]) -> list[str]:
    counts = count_stages(stages)
    return [f"{n:,}" for n in (*counts.scored, counts.masked)]
