"""Sleep-EDF Expanded, sleep-cassette study: pairs of files as PhysioNet lays them out, to nights.

Kemp et al. 2000, IEEE Trans Biomed Eng 47(9); Goldberger et al. 2000, Circulation 101(23); data doi
10.13026/C2X676. One EEG channel is chosen before anything is read; the signal is as recorded (no
filter), 100 Hz, microvolts. Kept are 60 scored epochs before the first and after the last epoch of
sleep; movement and ``?`` are masked in place between them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from edge_app.inference.manifest import EegConditioning
from trainer.datasets.bedside_epochs import (
    MODEL_RATE_HZ,
    Recording,
    epochs_of,
    opened_eeg,
    whole_epochs,
)
from trainer.datasets.hypnogram import Hypnogram
from trainer.datasets.hypnogram_align import place, stages_on_grid
from trainer.datasets.hypnogram_edf import read_edf_hypnogram
from trainer.datasets.raw_night import RawNight
from trainer.datasets.sleep_counts import MARGIN_EPOCHS, sleep_range, tell_counts
from trainer.datasets.sleep_edf_names import Pair, find_pairs
from trainer.datasets.sleep_stages import EPOCH_S

CHANNEL = "EEG Fpz-Cz"
Progress = Callable[[str, int, int], None]
"""Called after each night with its name, how many are done and how many there are."""


def load_sleep_edf(
    folder: Path,
    *,
    channel: str = CHANNEL,
    subjects: Collection[str] | None = None,
    conditioning: EegConditioning | None = None,
    progress: Progress | None = None,
) -> tuple[RawNight, ...]:
    """Read all nights of a folder; 153 nights take 2.4 GB.

    Args:
        folder: searched to its depth.
        channel: as the files name it.
        subjects: whose nights, such as ``("00", "01")``; None: everyone's.
        conditioning: the gates of a model's manifest, which make spoilt epochs NaN; None: the
            signal as it is.
        progress: told after each night.

    Returns:
        The nights by name. Their counts are told to the log, with a warning when all of
        Sleep-EDF-20 is there and its counts are not the published ones.

    Raises:
        SourceError: a damaged recording, or no such channel (lists them).
        DatasetError: files missing, or two that do not belong together.
    """
    nights = tuple(
        read_sleep_edf(
            folder,
            channel=channel,
            subjects=subjects,
            conditioning=conditioning,
            progress=progress,
        )
    )
    tell_counts({night.name: night.stages for night in nights})
    return nights


def read_sleep_edf(
    folder: Path,
    *,
    channel: str = CHANNEL,
    subjects: Collection[str] | None = None,
    conditioning: EegConditioning | None = None,
    progress: Progress | None = None,
) -> Iterator[RawNight]:
    """Read one night after another; only one is held at a time.

    Args:
        folder: searched to its depth.
        channel: as the files name it.
        subjects: whose nights, such as ``("00", "01")``; None: everyone's.
        conditioning: the gates of a model's manifest, which make spoilt epochs NaN; None: the
            signal as it is.
        progress: told after each night.

    Yields:
        The nights by name.

    Raises:
        SourceError: a damaged recording, or no such channel (lists them).
        DatasetError: files missing, or two that do not belong together.
    """
    pairs = find_pairs(folder)
    if subjects is not None:
        absent = sorted(set(subjects) - {pair.subject for pair in pairs})
        if absent:
            raise DatasetError(
                f"no night of these subjects: {', '.join(absent)}",
                source=str(folder),
                expected=", ".join(sorted({pair.subject for pair in pairs})),
                next_step="Download their files, or take everybody there with"
                " --set experiment.subjects=null",
            )
        pairs = tuple(pair for pair in pairs if pair.subject in subjects)
    for done, pair in enumerate(pairs, 1):
        yield read_pair(pair, channel=channel, conditioning=conditioning)
        if progress is not None:
            progress(pair.name, done, len(pairs))


def read_pair(
    pair: Pair, *, channel: str = CHANNEL, conditioning: EegConditioning | None = None
) -> RawNight:
    """Read one night.

    Args:
        pair: its two files.
        channel: as the recording names it.
        conditioning: the gates of a model's manifest, which make spoilt epochs NaN; None: the
            signal as it is.

    Returns:
        The trimmed night.

    Raises:
        SourceError: a damaged recording, or no such channel (lists them).
        DatasetError: no sleep, another rate, or two files that do not belong together.
    """
    with opened_eeg(pair.psg, channel=channel) as recording:
        expert, stages = _stages_of(pair, recording)
        keep = sleep_range(stages)
        info, notes = recording.info, recording.assumptions
        cut = epochs_of(recording, conditioning=conditioning, keep=keep)
    return RawNight(
        name=pair.name,
        subject=pair.subject,
        night=pair.night,
        channel=info.channels[0],
        rate_hz=info.rate_hz,
        epochs=cut.epochs,
        stages=stages[keep.start : keep.stop],
        reasons=cut.reasons,
        start_epoch=keep.start,
        simulated=info.simulated,
        lights_off_s=expert.lights_off_s,
        lights_on_s=expert.lights_on_s,
        notes=(*notes, *expert.notes),
    )


def stages_of_pair(pair: Pair, *, channel: str = CHANNEL) -> npt.NDArray[np.int64]:
    """Return the stages of the whole recording, of which only the header is read.

    Args:
        pair: its two files.
        channel: as the recording names it.

    Returns:
        (n,) stages of all whole epochs, -1 where not scored.

    Raises:
        SourceError: a damaged recording, or no such channel (lists them).
        DatasetError: no sleep, another rate, or two files that do not belong together.
    """
    with opened_eeg(pair.psg, channel=channel) as recording:
        return _stages_of(pair, recording)[1]


def _stages_of(pair: Pair, recording: Recording) -> tuple[Hypnogram, npt.NDArray[np.int64]]:
    """Return the hypnogram, and the stage of each epoch of the recording."""
    info = recording.info
    if info.rate_hz != MODEL_RATE_HZ:
        raise DatasetError(
            f"channel {info.channels[0]} has another rate than the study's",
            source=str(pair.psg),
            expected=f"{MODEL_RATE_HZ:g} Hz",
            got=f"{info.rate_hz:g} Hz",
            next_step="Get the file again, or read it as a recording of your own",
        )
    expert = read_edf_hypnogram(pair.hypnogram, other_events=False)
    _refuse_another_start(pair, info.start_unix_s, expert)
    asleep = np.flatnonzero(expert.stages > 0)
    if not len(asleep):
        raise DatasetError(
            "nobody sleeps in this night",
            source=str(pair.hypnogram),
            next_step="Get the file again and compare its checksum",
        )
    n_epochs = whole_epochs(recording.duration_s, info.rate_hz)
    stages = stages_on_grid(
        expert,
        place(expert, recording_start_unix_s=None),
        n_epochs,
        rest_s=recording.duration_s - n_epochs * EPOCH_S,
        # The epochs around sleep are complete all the same.
        may_end_early=len(expert.stages) - 1 - int(asleep[-1]) >= MARGIN_EPOCHS,
    )
    return expert, stages


def _refuse_another_start(pair: Pair, start_unix_s: float | None, expert: Hypnogram) -> None:
    """Both headers carry the same date and time, and the first annotation begins there."""
    begin_unix_s = expert.start_unix_s
    apart_s = 0.0
    if start_unix_s is not None and begin_unix_s is not None:
        apart_s = begin_unix_s - start_unix_s
    if apart_s or expert.start_s:
        raise DatasetError(
            "the hypnogram does not begin with the recording",
            source=str(pair.hypnogram),
            expected=f"the start of {pair.psg.name}",
            got=f"{apart_s + expert.start_s:+g} s from it",
            next_step="Get both files of this night again",
        )
