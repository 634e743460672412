"""One EEG epoch: is it usable, and at the model's rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import AbstainReason, Float32Array
from edge_app.preprocess.resample import fill_missing, resample_window

SECONDS = 30
"""An epoch's artefacts are looked for in this many parts: seconds of a 30-s epoch."""


@dataclass(frozen=True, slots=True)
class EegEpoch:
    """A conditioned epoch.

    Args:
        samples: (length_samples, 1) float32 uV, or None when unusable.
        quality: share of its seconds that are neither flat nor artefact, 0 to 1.
        reason: why it is unusable, or None.
    """

    samples: Float32Array | None
    quality: float
    reason: AbstainReason | None


def condition_epoch(
    samples: Float32Array,
    *,
    length_samples: int,
    flat_below_uv: float,
    clipped_above_fraction: float,
    max_abs_uv: float,
    max_artefact_fraction: float,
) -> EegEpoch:
    """Gate, repair and resample one epoch; a pure function of it.

    Seconds that hold a value which no brain makes are taken out and bridged like missing ones.

    Args:
        samples: (n_samples, 1) float32 uV, NaN where missing; at least one value is finite.
        length_samples: samples at the model's rate.
        flat_below_uv: a standard deviation below it means no electrode.
        clipped_above_fraction: above this share of samples on the two extreme values the amplifier
            is at its rails.
        max_abs_uv: a second with a value farther from the epoch's median is an artefact.
        max_artefact_fraction: with a larger share of such seconds the epoch is not classified.

    Returns:
        The epoch, or the reason for having none.
    """
    whole = fill_missing(samples)
    signal = whole[:, 0].astype(np.float64)
    railed = (signal == signal.max()) | (signal == signal.min())
    if float(signal.std()) < flat_below_uv:
        return EegEpoch(None, 0.0, AbstainReason.FLAT)
    if float(railed.mean()) > clipped_above_fraction:
        return EegEpoch(None, 0.0, AbstainReason.CLIPPED)
    seconds = np.array_split(np.arange(len(signal)), SECONDS)
    beyond = np.abs(signal - np.median(signal)) > max_abs_uv
    artefact = [second for second in seconds if beyond[second].any()]
    if len(artefact) > max_artefact_fraction * SECONDS:
        return EegEpoch(None, 1.0 - len(artefact) / SECONDS, AbstainReason.ARTEFACT)
    if artefact:
        whole = whole.copy()
        whole[np.concatenate(artefact)] = np.nan
        whole = fill_missing(whole)
    good = [
        not beyond[second].any() and float(signal[second].std()) >= flat_below_uv
        for second in seconds
    ]
    return EegEpoch(resample_window(whole, length_samples), float(np.mean(good)), None)
