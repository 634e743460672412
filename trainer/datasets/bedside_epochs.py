"""The 30-s epochs of a recording, read, cut, gated and resampled by the bedside's own code.

The only place of the trainer that reads recordings, so that training sees what the bedside will.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.contracts import AbstainReason, Float32Array, Window
from edge_app.errors import DatasetError
from edge_app.inference.manifest import EegConditioning
from edge_app.preprocess.eeg import EegEpoch, condition_epoch
from edge_app.preprocess.resample import resample_window
from edge_app.sources.recording.formats import open_recording
from edge_app.sources.recording.protocol import Recording as Recording
from edge_app.tasks.protocol import MIN_RATE_SHARE, spoilt_by
from edge_app.windowing import SlidingWindows, n_samples
from trainer.datasets.sleep_stages import EPOCH_S

MODEL_RATE_HZ = 100.0
MIN_RECORDING_S = 300.0
"""A shorter recording says nothing about a model."""
_EPOCHS_A_CHUNK = 16
_OFF_GRID_S = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedEpochs:
    """Epochs on the grid that begins ``skip_s`` after the recording's first sample.

    Args:
        epochs: (n, n_samples) float32 uV at ``MODEL_RATE_HZ``; all NaN where there is a reason.
        reasons: (n,) why an epoch cannot be used, else None.
    """

    epochs: Float32Array
    reasons: tuple[AbstainReason | None, ...]


@contextmanager
def opened_eeg(
    path: Path,
    *,
    channel: str | None = None,
    unit: str | None = None,
    rate_hz: float | None = None,
) -> Iterator[Recording]:
    """Open one EEG channel of an EDF, BDF or XDF file.

    Args:
        path: the file.
        channel: its name; None: the best electrode for sleep staging.
        unit: of a sample, where the file does not say.
        rate_hz: of an XDF stream that does not say.

    Yields:
        The recording, in microvolts.

    Raises:
        SourceError: damaged, no such channel (lists them), no clear unit.
        DatasetError: under five minutes, or sampled too slowly for an EEG.
    """
    recording = open_recording(path, kind="eeg", channel=channel, unit=unit, rate_hz=rate_hz)
    try:
        if recording.info.rate_hz < MIN_RATE_SHARE * MODEL_RATE_HZ:
            raise DatasetError(
                f"channel {recording.info.channels[0]} is too slow for an EEG",
                source=str(path),
                expected=f"at least {MIN_RATE_SHARE * MODEL_RATE_HZ:g} Hz",
                got=f"{recording.info.rate_hz:g} Hz",
                next_step="Name an EEG channel with --channel",
            )
        if recording.duration_s < MIN_RECORDING_S:
            raise DatasetError(
                f"the recording lasts only {recording.duration_s:g} s",
                source=str(path),
                expected=f"at least {MIN_RECORDING_S / 60:g} minutes",
                next_step="Give a longer recording; `edge-app replay` stages short ones too",
            )
        yield recording
    finally:
        recording.close()


def epochs_of_recording(
    path: Path,
    *,
    conditioning: EegConditioning | None,
    channel: str | None = None,
    unit: str | None = None,
    rate_hz: float | None = None,
) -> RecordedEpochs:
    """Return all epochs of a file, as ``edge-app replay`` would cut them.

    Args:
        path: EDF, BDF or XDF file.
        conditioning: the gates of a model's manifest; None: only what is missing makes an epoch
            unusable.
        channel: its name; None: the best electrode for sleep staging.
        unit: of a sample, where the file does not say.
        rate_hz: of an XDF stream that does not say.

    Returns:
        The epochs.

    Raises:
        SourceError: damaged, no such channel (lists them), no clear unit.
        DatasetError: under five minutes, sampled too slowly, or time that runs backwards.
    """
    with opened_eeg(path, channel=channel, unit=unit, rate_hz=rate_hz) as recording:
        return epochs_of(recording, conditioning=conditioning)


def epochs_of(
    recording: Recording,
    *,
    conditioning: EegConditioning | None,
    skip_s: float = 0.0,
    keep: range | None = None,
) -> RecordedEpochs:
    """Return the epochs of an opened recording.

    Args:
        recording: one channel, in microvolts.
        conditioning: the gates of a model's manifest; None: only what is missing makes an epoch
            unusable.
        skip_s: the grid begins so much after the first sample, below 30.
        keep: which epochs of the grid to return; None: all whole ones.

    Returns:
        One row for each epoch of ``keep``, also where the recording has a gap.

    Raises:
        DatasetError: time that runs backwards.
    """
    if keep is None:
        keep = range(whole_epochs(recording.duration_s, recording.info.rate_hz, skip_s))
    length = round(EPOCH_S * MODEL_RATE_HZ)
    epochs = np.full((len(keep), length), np.nan, np.float32)
    reasons: list[AbstainReason | None] = [AbstainReason.GAP] * len(keep)
    origin_s, newest, off_grid = None, -1, 0
    for window in _windows(recording, skip_s):
        origin_s = window.start_s if origin_s is None else origin_s
        number = round((window.start_s - origin_s) / EPOCH_S)
        if number <= newest:
            raise DatasetError(
                f"time runs backwards {window.start_s:g} s after the start",
                source=recording.info.device,
                next_step="Export the recording again in order of time",
            )
        newest = number
        on_grid = abs(window.start_s - origin_s - number * EPOCH_S) <= _OFF_GRID_S
        if not on_grid:  # after a gap of more than an hour the bedside begins a new grid
            off_grid += 1
        elif number in keep:
            row = number - keep.start
            epoch = _conditioned(window, conditioning, length)
            reasons[row] = epoch.reason
            if epoch.samples is not None:
                epochs[row] = epoch.samples[:, 0]
    if off_grid:
        _log.warning(
            "%s: %d epochs after a gap of more than an hour lie off the 30-s grid, and count as"
            " missing",
            recording.info.name,
            off_grid,
        )
    return RecordedEpochs(epochs, tuple(reasons))


def whole_epochs(duration_s: float, rate_hz: float, skip_s: float = 0.0) -> int:
    """Return how many whole epochs a recording holds on the grid that begins after ``skip_s``."""
    return max(0, int((duration_s - skip_s + 0.5 / rate_hz) // EPOCH_S))


def _windows(recording: Recording, skip_s: float) -> Iterator[Window]:
    info = recording.info
    length = n_samples(EPOCH_S, info.rate_hz)
    windower = SlidingWindows(info, length_samples=length, hop_samples=length)
    first_s = skip_s - 0.5 / info.rate_hz
    for chunk in recording.chunks(_EPOCHS_A_CHUNK * length):
        if skip_s and chunk.times_s.size and chunk.times_s[0] < first_s:
            kept = chunk.times_s >= first_s
            chunk = type(chunk)(chunk.times_s[kept], chunk.samples[kept])
        yield from windower.push(chunk)
    yield from windower.flush()


def _conditioned(window: Window, limits: EegConditioning | None, length: int) -> EegEpoch:
    """Gate and resample one window as ``edge_app.tasks.sleep`` does."""
    reason = spoilt_by(window, 0.0 if limits is None else limits.max_missing_fraction)
    if reason is not None:
        return EegEpoch(None, window.usable_fraction, reason)
    if limits is None:
        return EegEpoch(resample_window(window.samples, length), 1.0, None)
    return condition_epoch(window.samples, limits, rate_hz=window.rate_hz, length_samples=length)
