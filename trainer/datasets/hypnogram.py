"""A scorer's hypnogram: one stage for every 30 s, made from runs and refused when it has holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.sleep_stages import EPOCH_S, KNOWN_TEXTS, UNSCORED, stage_of_text

_TOLERANCE_S = 1e-3
_LONGEST_S = 7 * 86400.0
"""Of one stage; more is a damaged number."""
_LIGHTS = {"lightsoff": 0, "lightson": 1}


@dataclass(frozen=True, slots=True)
class Hypnogram:
    """Stages of consecutive 30-s epochs.

    Args:
        source: the file.
        stages: (n,) int64, index into ``STAGES``, -1 where not scored.
        start_s: start of the first epoch, from the time 0 of the file.
        start_unix_s: when time 0 was, by the local clock taken as UTC; None when not said.
        lights_off_s: from the time 0 of the file, None when not said.
        lights_on_s: likewise.
        notes: what had to be assumed or left out, one sentence each.
    """

    source: str
    stages: npt.NDArray[np.int64]
    start_s: float = 0.0
    start_unix_s: float | None = None
    lights_off_s: float | None = None
    lights_on_s: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One annotation: a stage that lasts.

    Args:
        onset_s: from the time 0 of the file.
        duration_s: None when the file does not say.
        text: as written.
    """

    onset_s: float
    duration_s: float | None
    text: str


def hypnogram_of_runs(
    source: str,
    runs: Sequence[Run],
    *,
    start_unix_s: float | None = None,
    other_events: bool,
    notes: tuple[str, ...] = (),
) -> Hypnogram:
    """Lay runs end to end.

    Args:
        source: the file, for errors.
        runs: in any order.
        start_unix_s: when onset 0 was.
        other_events: True: annotations that do not speak of a stage are left out, and told, as
            long as the stages leave no hole without them; False: they are refused.
        notes: told along.

    Returns:
        The stages from the first onset to the last end. A last run that was not scored may end
        anywhere.

    Raises:
        DatasetError: no stage, an unknown text, a duration that is no multiple of 30 s, an
            overlap or a hole.
    """
    staged, unknown, lights = _sorted_out(runs)
    refused = [run for run in unknown if not other_events or "stage" in run.text.casefold()]
    if refused:
        _refuse_unknown(source, refused[0])
    texts = sorted({run.text for run in unknown})
    if not staged:
        refuse_hypnogram(source, "holds no sleep stage", expected=KNOWN_TEXTS, got=texts or None)
    pieces = []
    end_s = staged[0][0].onset_s
    for number, (run, stage) in enumerate(staged):
        _follow(source, run, end_s, unknown)
        open_end = number == len(staged) - 1 and stage == UNSCORED
        pieces.append(np.full(_epochs_of(source, run, open_end=open_end), stage, np.int64))
        end_s = run.onset_s + EPOCH_S * len(pieces[-1])
    if texts:
        notes = (*notes, f"annotations that name no stage are left out: {', '.join(texts[:8])}")
    return Hypnogram(
        source,
        np.concatenate(pieces),
        start_s=staged[0][0].onset_s,
        start_unix_s=start_unix_s,
        lights_off_s=lights[0],
        lights_on_s=lights[1],
        notes=notes,
    )


def _sorted_out(
    runs: Sequence[Run],
) -> tuple[list[tuple[Run, int]], list[Run], list[float | None]]:
    """Return the runs with their stage in order of time, the others, and lights off and on."""
    staged: list[tuple[Run, int]] = []
    unknown = []
    lights: list[float | None] = [None, None]
    for run in sorted(runs, key=lambda run: run.onset_s):
        word = run.text.replace(" ", "").replace("_", "").casefold()
        stage = stage_of_text(run.text)
        if word in _LIGHTS:
            which = _LIGHTS[word]
            lights[which] = run.onset_s if lights[which] is None else lights[which]
        elif stage is None:
            unknown.append(run)
        else:
            staged.append((run, stage))
    return staged, unknown, lights


def _follow(source: str, run: Run, end_s: float, unknown: list[Run]) -> None:
    gap_s = run.onset_s - end_s
    if abs(gap_s) <= _TOLERANCE_S:
        return
    for other in unknown:
        if end_s <= other.onset_s < run.onset_s:
            _refuse_unknown(source, other)
    what = f"a hole of {gap_s:g} s" if gap_s > 0 else f"an overlap of {-gap_s:g} s"
    refuse_hypnogram(
        source,
        f"{what} before the annotation {run.text!r} at {run.onset_s:g} s",
        expected="stages that follow each other without hole or overlap",
    )


def _refuse_unknown(source: str, run: Run) -> NoReturn:
    refuse_hypnogram(
        source,
        f"unknown annotation {run.text!r} at {run.onset_s:g} s",
        expected=KNOWN_TEXTS,
    )


def _epochs_of(source: str, run: Run, *, open_end: bool) -> int:
    if run.duration_s is None:
        refuse_hypnogram(
            source, f"the annotation {run.text!r} at {run.onset_s:g} s has no duration"
        )
    possible = 0.0 <= run.duration_s <= _LONGEST_S
    if open_end and possible:
        return int(run.duration_s // EPOCH_S)
    count = round(run.duration_s / EPOCH_S) if possible else 0
    if count < 1 or abs(run.duration_s - count * EPOCH_S) > _TOLERANCE_S:
        refuse_hypnogram(
            source,
            f"the annotation {run.text!r} at {run.onset_s:g} s lasts {run.duration_s:g} s",
            expected="a multiple of 30 s",
        )
    return count


def refuse_hypnogram(
    source: str,
    problem: str,
    *,
    expected: object = None,
    got: object = None,
    next_step: str = "Correct the hypnogram, or export it again from the scoring program",
    cause: BaseException | None = None,
) -> NoReturn:
    """Raise the DatasetError of a hypnogram.

    Args:
        source: the file.
        problem: one sentence, what is wrong.
        expected: what would have been right.
        got: what was found.
        next_step: what to do about it.
        cause: the library's exception, where there is one.

    Raises:
        DatasetError: always.
    """
    raise DatasetError(
        problem, source=source, expected=expected, got=got, next_step=next_step
    ) from cause
