"""A hypnogram as text: one value an epoch, or a table of onset, duration and stage.

Words may be in any case. Numbers mean different stages in different programs (``CODINGS``), so they
are taken only where the user or the file says which; the DREAMS databases write one every 5 s.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.hypnogram import Hypnogram, Run, hypnogram_of_runs, refuse_hypnogram
from trainer.datasets.sleep_stages import (
    CODINGS,
    EPOCH_S,
    KNOWN_TEXTS,
    STAGES,
    UNSCORED,
    Coding,
    stage_of_rk_letter,
    stage_of_text,
)

DREAMS_STEP_S = 5.0
_STAGE_COLUMNS = ("stage", "sleep_stage", "stages", "hypnogram", "description", "trial_type")
_MORE_STAGE_COLUMNS = ("annotation", "event", "label", "value", "hypno", "sleep stage")
_CODES = "aasm (0 W 1 N1 2 N2 3 N3 4 R), rk (0 W 1-4 5 R) or dreams (5 W 4 R 3 2 1 0, every 5 s)"


def read_text_hypnogram(path: Path, *, coding: Coding | None = None) -> Hypnogram:
    """Read a text, CSV or TSV file.

    Args:
        path: one value a line, maybe with a header; or a table whose header has ``onset``,
            ``duration`` (s) and a column of stages; or a table with a column of stages alone.
        coding: what numbers mean; None: they are refused, but for a file that begins with
            ``[Hypnogram]`` as those of the DREAMS databases do.

    Returns:
        The hypnogram.

    Raises:
        DatasetError: not text, empty, an unknown value, or numbers of unknown meaning.
    """
    lines = _lines(path)
    source = str(path)
    if lines[0].casefold().startswith("[hypnogram"):
        coding = coding or "dreams"
        lines = lines[1:] or [""]
    delimiter = next((mark for mark in "\t;," if mark in lines[0]), None)
    cells = [line.split(delimiter) if delimiter else [line] for line in lines]
    rows = [[cell.strip().strip("\"'") for cell in row] for row in cells]
    header = [cell.casefold() for cell in rows[0]]
    if "onset" in header:
        return _of_table(source, header, rows[1:], coding)
    values = _column(source, header, rows)
    stages, notes = _stages_of(source, values, coding)
    if coding == "dreams":
        return _of_short_steps(source, stages, notes)
    return Hypnogram(source, stages, notes=notes)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DatasetError(
            f"the hypnogram cannot be read as text: {error}",
            source=str(path),
            next_step="Give an EDF+ file, the JSON, or a text file of stages",
        ) from error
    lines = [line for line in text.rstrip().splitlines() if not line.startswith("#")]
    if not any(line.strip() for line in lines):
        refuse_hypnogram(str(path), "the file is empty", expected=KNOWN_TEXTS)
    return lines


def _of_table(
    source: str, header: list[str], rows: list[list[str]], coding: Coding | None
) -> Hypnogram:
    """Make runs of a table of onset, duration and stage."""
    names = [name for name in (*_STAGE_COLUMNS, *_MORE_STAGE_COLUMNS) if name in header]
    if "duration" not in header or not names:
        refuse_hypnogram(
            source,
            "the table lacks a column",
            expected="onset, duration and stage",
            got=", ".join(header),
        )
    onset, duration, stage = (header.index(name) for name in ("onset", "duration", names[0]))
    runs: list[Run] = []
    notes: tuple[str, ...] = ()
    for row in rows:
        try:
            runs.append(Run(float(row[onset]), float(row[duration]), row[stage]))
        except (ValueError, IndexError) as error:
            raise DatasetError(
                "a row has no onset, duration and stage",
                source=source,
                got=row,
                next_step="Correct the row; both times are seconds",
            ) from error
    if runs and all(_is_number(run.text) for run in runs):
        stages, notes = _stages_of(source, [run.text for run in runs], coding)
        words = [STAGES[stage] if stage >= 0 else "?" for stage in stages.tolist()]
        runs = [
            Run(run.onset_s, run.duration_s, word) for run, word in zip(runs, words, strict=True)
        ]
    return hypnogram_of_runs(source, runs, other_events=True, notes=notes)


def _column(source: str, header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the values of the column of stages, without its header."""
    named = [name for name in _STAGE_COLUMNS if name in header]
    if named:
        index, rows = header.index(named[0]), rows[1:]
    elif len(header) == 1:
        index = 0
        rows = rows[1:] if header[0] in _MORE_STAGE_COLUMNS else rows
    else:
        refuse_hypnogram(
            source,
            "several columns, none of which is called stage",
            expected="a column stage, or onset, duration and stage",
            got=", ".join(header),
        )
    if any(len(row) <= index for row in rows):
        refuse_hypnogram(source, "rows differ in their number of columns")
    return [row[index] for row in rows]


def _stages_of(
    source: str, values: list[str], coding: Coding | None
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return (n,) stages and what had to be assumed."""
    if not values:
        refuse_hypnogram(source, "holds no sleep stage", expected=KNOWN_TEXTS)
    numbers = [_is_number(value) for value in values]
    notes: tuple[str, ...] = ()
    if all(numbers):
        if coding is None:
            refuse_hypnogram(
                source,
                "the stages are numbers, and programs differ in what they mean",
                got=", ".join(sorted(set(values))[:8]),
                expected="words such as W, N1, N2, N3, R",
                next_step=f"Say the coding: {_CODES}",
            )
        codes = CODINGS[coding]
        notes = (_read_as(coding),)
        found = [
            codes.get(int(float(value))) if float(value) % 1 == 0 else None for value in values
        ]
    elif any(numbers):  # W 1 2 3 4 R: the letters tell what the digits are
        found = [stage_of_rk_letter(value.upper()) for value in values]
        notes = ("digits beside letters are taken as R&K stages 1 to 4",)
    else:
        found = [stage_of_text(value) for value in values]
    unknown = [
        f"{value!r} in row {row}"
        for row, (value, stage) in enumerate(zip(values, found, strict=True), 1)
        if stage is None
    ]
    if unknown:
        refuse_hypnogram(
            source,
            f"unknown stage {unknown[0]}",
            expected=KNOWN_TEXTS if coding is None else _CODES,
            got=f"{len(unknown)} such values",
        )
    return np.array(found, np.int64), notes


def _read_as(coding: Coding) -> str:
    """Return for instance ``digits read as rk: 0 W, 1 N1, 2 N2, 3 and 4 N3, 5 R``."""
    digits: dict[int, list[str]] = {}
    for code, stage in CODINGS[coding].items():
        if stage != UNSCORED:
            digits.setdefault(stage, []).append(str(code))
    said = (f"{' and '.join(codes)} {STAGES[stage]}" for stage, codes in digits.items())
    return f"digits read as {coding}: {', '.join(said)}"


def _of_short_steps(source: str, stages: npt.NDArray[np.int64], told: tuple[str, ...]) -> Hypnogram:
    """Put six values of 5 s into one epoch: the stage of most of them, none where two tie."""
    per_epoch = round(EPOCH_S / DREAMS_STEP_S)
    whole = stages[: len(stages) // per_epoch * per_epoch].reshape(-1, per_epoch)
    if not len(whole):
        refuse_hypnogram(source, f"{len(stages)} values of 5 s make no epoch of 30 s")
    codes = range(UNSCORED, len(STAGES))
    counts = np.stack([(whole == code).sum(axis=1) for code in codes], axis=1)
    ties = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1
    epochs = np.where(ties, UNSCORED, counts.argmax(axis=1) + UNSCORED)
    mixed = int((counts.max(axis=1) < per_epoch).sum())
    notes = [
        *told,
        f"one value every 5 s: {mixed} of {len(whole)} epochs hold several stages and take that of"
        f" most values; {int(ties.sum())} of them tie and are not scored",
    ]
    if len(stages) % per_epoch:
        notes.append(f"the last {len(stages) % per_epoch} values make no whole epoch: left out")
    return Hypnogram(source, epochs.astype(np.int64), notes=tuple(notes))


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
