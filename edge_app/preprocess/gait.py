"""One IMU window of a foot: does it walk, and at the model's rate.

Walking is told by how fast the foot turns. A rhythm is not asked for: two seconds do not hold two
of the long strides that frail people take, so a test of rhythm refused just them (half of the
simulated walkers with strides above 1.6 s) and gained nothing on real feet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import AbstainReason, Float32Array
from edge_app.preprocess.resample import fill_missing, resample_window


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


def condition_gait(
    samples: Float32Array,
    *,
    length_samples: int,
    missing_fraction: float,
    invalid_fraction: float,
    max_missing_fraction: float,
    min_gyr_rms_radps: float,
) -> GaitWindow:
    """Gate, repair and resample one window; a pure function of it.

    Args:
        samples: (n_samples, 6) float32, acc_x..acc_z m/s^2 then gyr_x..gyr_z rad/s, NaN where
            missing.
        length_samples: samples at the model's rate.
        missing_fraction: share that never came.
        invalid_fraction: share that came as NaN or infinite.
        max_missing_fraction: above it the window is not classified.
        min_gyr_rms_radps: below it this foot does not walk.

    Returns:
        The window, or the reason for having none.
    """
    usable = max(0.0, 1.0 - missing_fraction - invalid_fraction)
    if missing_fraction + invalid_fraction > max_missing_fraction:
        gap = missing_fraction >= invalid_fraction
        return GaitWindow(None, usable, AbstainReason.GAP if gap else AbstainReason.NOT_FINITE)
    whole = fill_missing(samples)
    if gyr_rms_radps(whole) < min_gyr_rms_radps:
        return GaitWindow(None, usable, AbstainReason.NOT_WALKING)
    return GaitWindow(resample_window(whole, length_samples), usable, None)
