"""A user's own night: any recording that the bedside reads, and an expert's stages of it."""

from __future__ import annotations

import re
from pathlib import Path

from edge_app.inference.manifest import EegConditioning
from trainer.datasets.bedside_epochs import (
    MODEL_RATE_HZ,
    epochs_of,
    opened_eeg,
    whole_epochs,
)
from trainer.datasets.hypnogram_align import place, stages_on_grid
from trainer.datasets.hypnogram_edf import is_edf
from trainer.datasets.hypnogram_files import read_hypnogram
from trainer.datasets.raw_night import RawNight
from trainer.datasets.sleep_stages import EPOCH_S, Coding

_SLEEP_EDF = re.compile(r"^(SC4(\d\d)(\d)[A-Z]\d)(?:-PSG)?$", re.IGNORECASE)


def load_own_night(
    recording: Path,
    hypnogram: Path,
    *,
    conditioning: EegConditioning | None,
    channel: str | None = None,
    unit: str | None = None,
    rate_hz: float | None = None,
    coding: Coding | None = None,
    offset_s: float | None = None,
) -> RawNight:
    """Read a pair of files; nothing is trimmed.

    Args:
        recording: EDF, BDF or XDF file.
        hypnogram: EDF+ annotations, JSON or text, see ``hypnogram_files``.
        conditioning: the gates of a model's manifest; None: only what is missing makes an epoch
            unusable.
        channel: its name; None: the best electrode for sleep staging.
        unit: of a sample, where the file does not say.
        rate_hz: of an XDF stream that does not say.
        coding: what numbers mean in a hypnogram of numbers.
        offset_s: time 0 of the hypnogram, from the recording's start; None: by the two start
            times of EDF files, else 0.

    Returns:
        The night on the hypnogram's 30-s grid, at 100 Hz.

    Raises:
        SourceError: a recording that is damaged, has no such channel (lists them) or no unit.
        DatasetError: no hypnogram, one that is no complete one or does not fit, or a recording
            under five minutes.
    """
    expert = read_hypnogram(hypnogram, coding=coding)
    with opened_eeg(recording, channel=channel, unit=unit, rate_hz=rate_hz) as opened:
        # Only an EDF header has local time, as hypnograms have; other files have UTC.
        local = opened.info.start_unix_s if is_edf(recording) else None
        placement = place(expert, recording_start_unix_s=local, offset_s=offset_s)
        n_epochs = whole_epochs(opened.duration_s, opened.info.rate_hz, placement.skip_s)
        rest_s = opened.duration_s - placement.skip_s - n_epochs * EPOCH_S
        stages = stages_on_grid(expert, placement, n_epochs, rest_s=rest_s)
        cut = epochs_of(
            opened, conditioning=conditioning, skip_s=placement.skip_s, keep=range(n_epochs)
        )
        info, notes = opened.info, opened.assumptions
    if info.rate_hz != MODEL_RATE_HZ:
        notes = (*notes, _resampled(info.rate_hz))
    known = _SLEEP_EDF.match(recording.stem)
    offset_s = placement.first * EPOCH_S + placement.skip_s - expert.start_s
    return RawNight(
        name=known[1].upper() if known else recording.stem,
        subject=known[2] if known else recording.stem,
        night=int(known[3]) if known else None,
        channel=info.channels[0],
        rate_hz=MODEL_RATE_HZ,
        epochs=cut.epochs,
        stages=stages,
        reasons=cut.reasons,
        start_epoch=0,
        simulated=info.simulated,
        lights_off_s=None if expert.lights_off_s is None else expert.lights_off_s + offset_s,
        lights_on_s=None if expert.lights_on_s is None else expert.lights_on_s + offset_s,
        notes=(*notes, *expert.notes, *placement.notes),
    )


def _resampled(rate_hz: float) -> str:
    said = f"recorded at {rate_hz:g} Hz, resampled to {MODEL_RATE_HZ:g} Hz"
    if rate_hz < MODEL_RATE_HZ:
        said += f"; nothing above {rate_hz / 2:g} Hz is in it"
    return said
