"""Lay a hypnogram over a recording: which stage has which epoch, or why that cannot be said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.counted import counted
from edge_app.errors import DatasetError
from trainer.datasets.hypnogram import Hypnogram
from trainer.datasets.sleep_stages import EPOCH_S, UNSCORED

_TOLERANCE_S = 0.02
"""Of two headers' clocks against the grid; far below what a scorer sees."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the hypnogram's epochs lie in the recording.

    Args:
        skip_s: the common grid begins so much after the recording's first sample, 0 to 30.
        first: number of the hypnogram's first epoch on that grid; negative: before the recording.
        notes: what had to be assumed, one sentence each.
    """

    skip_s: float
    first: int
    notes: tuple[str, ...] = ()


def place(
    hypnogram: Hypnogram, *, recording_start_unix_s: float | None, offset_s: float | None = None
) -> Placement:
    """Find the common 30-s grid.

    Args:
        hypnogram: the stages.
        recording_start_unix_s: of the recording's first sample, by the same local clock; None when
            not known.
        offset_s: time 0 of the hypnogram, from the recording's first sample; None: by the two
            start times, or 0 where one is not known.

    Returns:
        The place.
    """
    notes: tuple[str, ...] = ()
    if offset_s is None:
        offset_s = 0.0
        if hypnogram.start_unix_s is not None and recording_start_unix_s is not None:
            offset_s = hypnogram.start_unix_s - recording_start_unix_s
    start_s = offset_s + hypnogram.start_s
    skip_s = start_s % EPOCH_S
    if min(skip_s, EPOCH_S - skip_s) <= _TOLERANCE_S:
        skip_s = 0.0
    if start_s:
        notes = (f"the hypnogram begins {start_s:g} s after the recording",)
    if skip_s:
        said = f"that is not on its 30-s grid: epochs are cut from {skip_s:g} s on"
        notes = (*notes, said)
    return Placement(skip_s, round((start_s - skip_s) / EPOCH_S), notes)


def stages_on_grid(
    hypnogram: Hypnogram,
    placement: Placement,
    n_epochs: int,
    *,
    rest_s: float,
    may_end_early: bool = False,
) -> npt.NDArray[np.int64]:
    """Return the stage of each epoch of the recording.

    Args:
        hypnogram: the stages.
        placement: where they lie.
        n_epochs: whole epochs of the recording on the common grid.
        rest_s: what the recording holds after the last of them.
        may_end_early: True where epochs after the hypnogram's end are not wanted anyway.

    Returns:
        (n_epochs,) int64, -1 where not scored.

    Raises:
        DatasetError: scored epochs before or after the recording, or epochs after the hypnogram's
            end: the two do not belong together, or one of them is cut off.
    """
    stages, first = hypnogram.stages, placement.first
    end = first + len(stages)
    _refuse_apart(hypnogram, placement, n_epochs)
    scored = np.flatnonzero(stages != UNSCORED) + first
    before = int((scored < (-1 if placement.skip_s else 0)).sum())
    after = int((scored >= n_epochs + (rest_s > 0)).sum())
    short = 0 if may_end_early else max(0, n_epochs - end)
    for count, where in (
        (before, "scored before the recording begins"),
        (after, "scored after the recording ends"),
        (short, "recorded after the hypnogram ends"),
    ):
        if count:
            raise DatasetError(
                f"mismatched lengths: {counted(count, 'epoch')} {where}",
                source=hypnogram.source,
                expected=f"stages for the {n_epochs} epochs of the recording",
                got="; ".join((f"{len(stages)} stages from epoch {first} on", *hypnogram.notes)),
                next_step="Check that both files are of the same night and that neither is cut"
                " off; epochs that nobody scored are annotated `Sleep stage ?`",
            )
    result = np.full(n_epochs, UNSCORED, np.int64)
    inside = slice(max(0, first), min(n_epochs, end))
    result[inside] = stages[inside.start - first : inside.stop - first]
    return result


def _refuse_apart(hypnogram: Hypnogram, placement: Placement, n_epochs: int) -> None:
    if placement.first < n_epochs and placement.first + len(hypnogram.stages) > 0:
        return
    raise DatasetError(
        "the hypnogram and the recording do not overlap in time",
        source=hypnogram.source,
        expected=f"a start within the recording's {n_epochs} epochs",
        got=f"a start {placement.first * EPOCH_S + placement.skip_s:g} s after the recording's",
        next_step="Check that both files are of the same night and that their start times are",
    )
