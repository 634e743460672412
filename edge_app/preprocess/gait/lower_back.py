"""Cadence from an IMU at the lower back: the trunk rises and falls once a step.

Autocorrelation of the vertical acceleration (Moe-Nilssen and Helbostad 2004, doi
10.1016/S0021-9290(03)00233-1), on a band in which nothing but the steps is left. Speed is left
out on purpose: the inverted pendulum (Zijlstra and Hof 2003) needs the leg length, and on real
walks it gave 0.69 to 0.84 of the feet's speed, differently from person to person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from edge_app.contracts import Float32Array, Float64Array
from edge_app.errors import PreprocessError
from edge_app.preprocess.gait.events import peak_position
from edge_app.preprocess.resample import fill_missing

SHORTEST_WINDOW_S = 4.0
BAND_HZ = (0.5, 3.0)
STEP_TIME_RANGE_S = (0.3, 1.5)
"""Half of the stride times of a walking bout, 0.6 to 3 s."""
LEAST_REGULARITY = 0.4
LEAST_RMS_MPS2 = 0.4
FIRST_PEAK_SHARE = 0.6
"""The first peak that reaches this share of the highest is the step; the highest may be two."""


@dataclass(frozen=True, slots=True)
class StepRhythm:
    """How a trunk moves in a window of walking.

    Args:
        step_time_s: mean time of a step, left and right alike.
        regularity: autocorrelation at that time, up to 1.
    """

    step_time_s: float
    regularity: float

    @property
    def cadence_strides_per_min(self) -> float:
        """Strides (two steps) a minute."""
        return 30.0 / self.step_time_s


def step_rhythm(window_samples: Float32Array, rate_hz: float) -> StepRhythm | None:
    """Return the rhythm of the steps in a window; a pure function of it.

    Args:
        window_samples: (n, 3) or (n, 6) float32, first three columns acceleration with gravity in
            m/s^2, any mounting, NaN where missing; at least 4 s.
        rate_hz: samples a second.

    Returns:
        None when there is no rhythm of steps.

    Raises:
        PreprocessError: a window too short, or a channel without a finite value.
    """
    if len(window_samples) < SHORTEST_WINDOW_S * rate_hz:
        raise PreprocessError(
            "a window too short for a rhythm",
            expected=f"{SHORTEST_WINDOW_S:g} s",
            got=f"{len(window_samples) / rate_hz:g} s",
            next_step="Use windows of 5 s",
        )
    acc = fill_missing(window_samples[:, :3]).astype(np.float64)
    gravity = acc.mean(axis=0)
    size = float(np.linalg.norm(gravity))
    if size == 0.0:
        return None
    band = butter(4, BAND_HZ, "bandpass", fs=rate_hz, output="sos")
    vertical = sosfiltfilt(band, acc @ (gravity / size))
    if float(np.sqrt(np.mean(vertical**2))) < LEAST_RMS_MPS2:
        return None
    likeness = _autocorrelation(vertical)
    first, last = (round(limit * rate_hz) for limit in STEP_TIME_RANGE_S)
    inner = likeness[first : last + 1]
    is_peak = (inner > likeness[first - 1 : last]) & (inner >= likeness[first + 1 : last + 2])
    peaks = first + np.flatnonzero(is_peak)
    if len(peaks) == 0 or likeness[peaks].max() < LEAST_REGULARITY:
        return None
    limit = max(LEAST_REGULARITY, FIRST_PEAK_SHARE * likeness[peaks].max())
    step = int(peaks[likeness[peaks] >= limit][0])
    return StepRhythm(peak_position(likeness, step) / rate_hz, float(likeness[step]))


def _autocorrelation(values: Float64Array) -> Float64Array:
    """Return the unbiased autocorrelation, 1 at lag 0, by Fourier transform."""
    n = len(values)
    spectrum = np.fft.rfft(values - values.mean(), 2 * n)
    sums = np.fft.irfft(np.abs(spectrum) ** 2)[:n]
    unbiased = sums / (n - np.arange(n))
    return np.asarray(unbiased / unbiased[0])
