"""One IMU window of a foot: does it walk, and at the model's rate.

Walking is told by how fast the foot turns. A rhythm is not asked for: two seconds do not hold two
of the long strides that frail people take, so a test of rhythm refused just them (half of the
simulated walkers with strides above 1.6 s) and gained nothing on real feet.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import Float32Array
from edge_app.preprocess.resample import fill_missing, resample_window


def gyr_rms_radps(samples: Float32Array) -> float:
    """Return the root mean square of the angular rate's length.

    Args:
        samples: (n_samples, 6) float32, columns 3 to 5 in rad/s.

    Returns:
        rad/s.
    """
    return float(np.sqrt(np.mean(np.sum(np.square(samples[:, 3:6], dtype=np.float64), axis=1))))


def condition_gait(
    samples: Float32Array, *, length_samples: int, min_gyr_rms_radps: float
) -> Float32Array | None:
    """Repair and resample one window of walking; a pure function of it.

    Args:
        samples: (n_samples, 6) float32, acc_x..acc_z m/s^2 then gyr_x..gyr_z rad/s, NaN where
            missing; each channel has a finite value.
        length_samples: samples at the model's rate.
        min_gyr_rms_radps: below it this foot does not walk.

    Returns:
        (length_samples, 6) float32, finite, or None when nobody walks.
    """
    whole = fill_missing(samples)
    if gyr_rms_radps(whole) < min_gyr_rms_radps:
        return None
    return resample_window(whole, length_samples)
