"""One EEG epoch: is it usable, and at the model's rate. A pure function of the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_app.contracts import AbstainReason, Float32Array, Float64Array
from edge_app.inference.manifest import EegConditioning
from edge_app.preprocess.mains import find_mains, without_mains
from edge_app.preprocess.resample import fill_missing, resample_window

SECONDS = 30
"""An epoch's artefacts are looked for in this many parts: seconds of a 30-s epoch."""

MEDIAN_STEP = 8
"""Every so many samples are enough for the middle that excursions count from."""


@dataclass(frozen=True, slots=True)
class EegEpoch:
    """A conditioned epoch.

    Args:
        samples: (length_samples, 1) float32 uV, or None when unusable.
        quality: 0 to 1, share of its seconds that are neither flat nor movement nor artefact; of a
            clipped epoch the share of samples off the rails, of mains the share of other power.
        reason: why it is unusable, or None.
    """

    samples: Float32Array | None
    quality: float
    reason: AbstainReason | None


def condition_epoch(
    samples: Float32Array, limits: EegConditioning, *, rate_hz: float, length_samples: int
) -> EegEpoch:
    """Gate, repair and resample one epoch; a pure function of it.

    Seconds that hold a value which no brain makes are taken out and bridged like missing ones, and
    hum of the mains is taken out, see ``preprocess.mains``.

    Args:
        samples: (n_samples, 1) float32 uV, NaN where missing; at least one value is finite.
        limits: the thresholds that the model's manifest states.
        rate_hz: of the samples.
        length_samples: samples at the model's rate.

    Returns:
        The epoch, or the reason for having none.
    """
    whole = fill_missing(samples)
    signal = whole[:, 0].astype(np.float64)
    some = signal[::MEDIAN_STEP]
    centre = float(np.partition(some, len(some) // 2)[len(some) // 2])
    signal -= centre
    seconds = _seconds(len(signal))
    spread_uv, whole_spread_uv = _spread(signal, seconds)
    highest = np.maximum.reduceat(signal, seconds.starts)
    lowest = np.minimum.reduceat(signal, seconds.starts)
    excursion_uv = np.maximum(highest, -lowest)
    flat = spread_uv < limits.flat_below_uv
    artefact = excursion_uv > limits.max_abs_uv
    movement = excursion_uv > limits.movement_uv
    quality = 1.0 - _share(flat | movement | artefact)
    mains = find_mains(signal, rate_hz)
    railed = _share((signal == highest.max()) | (signal == lowest.min()))
    if whole_spread_uv < limits.flat_below_uv:
        return EegEpoch(None, 0.0, AbstainReason.FLAT)
    if mains.share > limits.max_mains_share:
        return EegEpoch(None, 1.0 - mains.share, AbstainReason.MAINS)
    if railed > limits.clipped_above_fraction:
        return EegEpoch(None, 1.0 - railed, AbstainReason.CLIPPED)
    if _share(flat) > limits.max_missing_fraction:
        return EegEpoch(None, quality, AbstainReason.FLAT)
    if _share(artefact) > limits.max_missing_fraction:
        return EegEpoch(None, quality, AbstainReason.ARTEFACT)
    if _share(movement) > limits.max_movement_fraction:
        return EegEpoch(None, quality, AbstainReason.MOVEMENT)
    clean = without_mains(signal, rate_hz, mains)
    if clean is not signal:
        whole = (clean + centre).astype(np.float32)[:, None]
    if artefact.any():
        whole = whole.copy()
        whole[np.repeat(artefact, seconds.counts)] = np.nan
        whole = fill_missing(whole)
    return EegEpoch(resample_window(whole, length_samples), quality, None)


@dataclass(frozen=True, slots=True)
class _Seconds:
    """Where the parts of an epoch begin, and how many samples each has."""

    starts: npt.NDArray[np.intp]
    counts: npt.NDArray[np.intp]


@lru_cache(maxsize=8)
def _seconds(n: int) -> _Seconds:
    starts = np.linspace(0, n, SECONDS, endpoint=False).astype(np.intp)
    return _Seconds(starts, np.diff(starts, append=n))


def _spread(signal: Float64Array, seconds: _Seconds) -> tuple[Float64Array, float]:
    """Return the standard deviation of each second, (SECONDS,), and of the whole."""
    sums = np.add.reduceat(signal, seconds.starts)
    squares = np.add.reduceat(signal * signal, seconds.starts)
    n = len(signal)
    whole = float(squares.sum()) / n - (float(sums.sum()) / n) ** 2
    each = squares / seconds.counts - (sums / seconds.counts) ** 2
    return np.sqrt(np.maximum(each, 0.0)), float(np.sqrt(max(whole, 0.0)))


def _share(marked: npt.NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(marked)) / len(marked)
