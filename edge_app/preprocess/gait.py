"""One IMU window of a foot: does it walk, and at the model's rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import AbstainReason, Float32Array
from edge_app.preprocess.resample import fill_missing, resample_window

STRIDE_LAGS_S = (0.4, 1.6)
"""Strides looked for by autocorrelation: a stride, or half of it where both swings show."""


@dataclass(frozen=True, slots=True)
class GaitWindow:
    """A conditioned window.

    Args:
        samples: (length_samples, 6) float32 m/s^2 and rad/s, or None when unusable.
        quality: share of its samples that came, 0 to 1.
        reason: why it is unusable, or None.
    """

    samples: Float32Array | None
    quality: float
    reason: AbstainReason | None


def gyr_rms_radps(samples: Float32Array) -> float:
    """Return the root mean square of the angular rate's length.

    Args:
        samples: (n_samples, 6) float32, columns 3 to 5 in rad/s.
    """
    return float(np.sqrt(np.mean(np.sum(np.square(samples[:, 3:6], dtype=np.float64), axis=1))))


def periodicity(samples: Float32Array, rate_hz: float) -> float:
    """Return the highest normalised autocorrelation of the angular rate's length at stride lags.

    Args:
        samples: (n_samples, 6) float32, columns 3 to 5 in rad/s.
        rate_hz: its rate.

    Returns:
        0 (no rhythm, or constant) to 1 (repeats exactly); unbiased estimate, mean removed.
    """
    rate = np.linalg.norm(samples[:, 3:6].astype(np.float64), axis=1)
    rate -= rate.mean()
    n = rate.shape[0]
    variance = float(rate @ rate) / n
    if variance < 1e-12:
        return 0.0
    first = round(STRIDE_LAGS_S[0] * rate_hz)
    last = min(round(STRIDE_LAGS_S[1] * rate_hz), n - 2)
    peaks = [
        float(rate[lag:] @ rate[:-lag]) / (n - lag) / variance for lag in range(first, last + 1)
    ]
    return float(np.clip(max(peaks, default=0.0), 0.0, 1.0))


def condition_gait(
    samples: Float32Array,
    *,
    rate_hz: float,
    length_samples: int,
    missing_fraction: float,
    invalid_fraction: float,
    max_missing_fraction: float,
    min_gyr_rms_radps: float,
    min_periodicity: float,
) -> GaitWindow:
    """Gate, repair and resample one window; a pure function of it.

    Args:
        samples: (n_samples, 6) float32, acc_x..acc_z m/s^2 then gyr_x..gyr_z rad/s, NaN where
            missing.
        rate_hz: the stream's rate.
        length_samples: samples at the model's rate.
        missing_fraction: share that never came.
        invalid_fraction: share that came as NaN or infinite.
        max_missing_fraction: above it the window is not classified.
        min_gyr_rms_radps: below it this foot does not walk.
        min_periodicity: below it the movement is no walking.

    Returns:
        The window, or the reason for having none.
    """
    usable = max(0.0, 1.0 - missing_fraction - invalid_fraction)
    if missing_fraction + invalid_fraction > max_missing_fraction:
        gap = missing_fraction >= invalid_fraction
        return GaitWindow(None, usable, AbstainReason.GAP if gap else AbstainReason.NOT_FINITE)
    whole = fill_missing(samples)
    if gyr_rms_radps(whole) < min_gyr_rms_radps or periodicity(whole, rate_hz) < min_periodicity:
        return GaitWindow(None, usable, AbstainReason.NOT_WALKING)
    return GaitWindow(resample_window(whole, length_samples), usable, None)
