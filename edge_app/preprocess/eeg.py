"""One EEG epoch: is it usable, and at the model's rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import AbstainReason, Float32Array
from edge_app.preprocess.resample import fill_missing, resample_window


@dataclass(frozen=True, slots=True)
class EegEpoch:
    """A conditioned epoch.

    Args:
        samples: (length_samples, 1) float32 uV, or None when unusable.
        quality: share of its seconds that are there, not flat and not clipped, 0 to 1.
        reason: why it is unusable, or None.
    """

    samples: Float32Array | None
    quality: float
    reason: AbstainReason | None


def condition_epoch(
    samples: Float32Array,
    *,
    length_samples: int,
    missing_fraction: float,
    invalid_fraction: float,
    max_missing_fraction: float,
    flat_below_uv: float,
    clipped_above_fraction: float,
) -> EegEpoch:
    """Gate, repair and resample one epoch; a pure function of it.

    Args:
        samples: (n_samples, 1) float32 uV, NaN where missing.
        length_samples: samples at the model's rate.
        missing_fraction: share that never came.
        invalid_fraction: share that came as NaN or infinite.
        max_missing_fraction: above it the epoch is not classified.
        flat_below_uv: a standard deviation below it means no electrode.
        clipped_above_fraction: above this share of samples on the two extreme values the amplifier
            is at its rails.

    Returns:
        The epoch, or the reason for having none.
    """
    usable = max(0.0, 1.0 - missing_fraction - invalid_fraction)
    if missing_fraction + invalid_fraction > max_missing_fraction:
        gap = missing_fraction >= invalid_fraction
        return EegEpoch(None, usable, AbstainReason.GAP if gap else AbstainReason.NOT_FINITE)
    whole = fill_missing(samples)
    signal = whole[:, 0]
    if float(signal.std()) < flat_below_uv:
        return EegEpoch(None, 0.0, AbstainReason.FLAT)
    railed = (signal == signal.max()) | (signal == signal.min())
    if float(railed.mean()) > clipped_above_fraction:
        return EegEpoch(None, 0.0, AbstainReason.CLIPPED)
    seconds = np.array_split(signal, 30)
    lively = np.mean([float(second.std()) >= flat_below_uv for second in seconds])
    return EegEpoch(resample_window(whole, length_samples), usable * float(lively), None)
