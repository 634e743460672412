"""The expert's stages on the epochs that the bedside cuts: from the recording's first sample on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.datasets.bedside_epochs import opened_eeg, whole_epochs
from trainer.datasets.hypnogram_align import place, stages_on_grid
from trainer.datasets.hypnogram_edf import is_edf
from trainer.datasets.hypnogram_files import read_hypnogram
from trainer.datasets.sleep_stages import EPOCH_S, UNSCORED, Coding

RECORDINGS = frozenset({".edf", ".bdf", ".rec", ".xdf", ".xdfz"})


@dataclass(frozen=True, slots=True)
class SignalOptions:
    """What the user says about recordings and hypnograms; None: as the files say.

    Args:
        channel: the EEG channel.
        unit: of a sample.
        rate_hz: samples a second.
        coding: what digits in a text hypnogram mean.
    """

    channel: str | None = None
    unit: str | None = None
    rate_hz: float | None = None
    coding: Coding | None = None


@dataclass(frozen=True, slots=True)
class ExpertStages:
    """A hypnogram laid over a recording.

    Args:
        stages: (n,) int64, row 0 the recording's first 30 s; -1 where not scored.
        notes: what was read and what had to be assumed, one sentence each.
        simulated: whether the recording is.
    """

    stages: npt.NDArray[np.int64]
    notes: tuple[str, ...]
    simulated: bool


def is_recording(data: Path) -> bool:
    """Tell whether data are raw recordings: a file of that kind, or a folder of Sleep-EDF pairs."""
    if data.is_dir():
        return any(data.rglob("*-PSG.edf"))
    return data.suffix.lower() in RECORDINGS


def expert_stages(
    recording: Path, hypnogram: Path, options: SignalOptions, *, may_end_early: bool = False
) -> ExpertStages:
    """Read a hypnogram and lay it over a recording.

    A hypnogram that begins off the recording's 30-s grid is moved by less than 15 s to the epochs
    that the bedside cuts, with a note.

    Args:
        recording: EDF, BDF or XDF.
        hypnogram: EDF+ annotations, JSON or text.
        options: what the user says about them.
        may_end_early: whether the hypnogram may end before the recording.

    Returns:
        The stages.

    Raises:
        SourceError: a recording that is damaged, has no such channel (lists them) or no unit.
        DatasetError: no hypnogram, no complete one, one that does not fit, or a recording under
            five minutes.
    """
    expert = read_hypnogram(hypnogram, coding=options.coding)
    with opened_eeg(
        recording, channel=options.channel, unit=options.unit, rate_hz=options.rate_hz
    ) as opened:
        info, assumptions = opened.info, opened.assumptions
        # Only an EDF header has local time, as hypnograms have; other files have UTC.
        local = info.start_unix_s if is_edf(recording) else None
        placement = place(expert, recording_start_unix_s=local)
        n_epochs = whole_epochs(opened.duration_s, info.rate_hz, placement.skip_s)
        rest_s = opened.duration_s - placement.skip_s - n_epochs * EPOCH_S
        stages = stages_on_grid(
            expert, placement, n_epochs, rest_s=rest_s, may_end_early=may_end_early
        )
        n_cut = whole_epochs(opened.duration_s, info.rate_hz)
    late = round(placement.skip_s / EPOCH_S)
    on_cut = np.full(n_cut, UNSCORED, np.int64)
    moved = stages[: n_cut - late]
    on_cut[late : late + len(moved)] = moved
    notes = [
        f"channel {info.channels[0]}, {info.rate_hz:g} Hz, in microvolts",
        *assumptions,
        *expert.notes,
        *placement.notes,
    ]
    if placement.skip_s:
        moved_s = late * EPOCH_S - placement.skip_s
        notes.append(f"stages moved by {moved_s:g} s to the epochs that the bedside cuts")
    return ExpertStages(on_cut, tuple(notes), info.simulated)
