"""Band powers of one EEG epoch by Welch's method, as plain operators inside the exported graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SEGMENT_SAMPLES = 256
STEP_SAMPLES = 128
BANDS_HZ = ((0.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 50.0))
"""Delta, theta, alpha, beta, gamma; both edges belong to the band."""
FEATURES = (
    "psd_delta",
    "psd_theta",
    "psd_alpha",
    "psd_beta",
    "psd_gamma",
    "variance",
    "diff_variance",
)
"""Mean densities in uV^2/Hz, then two variances in uV^2."""


class WelchFeatures(nn.Module):
    """Turn raw EEG into the seven values of ``FEATURES``, in that order.

    Input ``(batch, 1, n_samples)`` microvolts, at least one segment; output ``(batch, 7)``. Equal
    to ``scipy.signal.welch(x, rate_hz, nperseg=256)`` averaged over the bins of each band, and to
    ``np.var(x)`` and ``np.var(np.diff(x))``. The segments' Fourier transform is one strided
    convolution: taking each kernel's mean away is the same as detrending each segment by its mean.

    Args:
        rate_hz: sampling rate, at least twice the highest band edge.

    Source: Welch 1967, doi 10.1109/TAU.1967.1161901; values as in the Sleep-EDF band-power set.
    """

    def __init__(self, rate_hz: float) -> None:
        super().__init__()
        kernels, band_weights = _kernels_and_weights(rate_hz)
        self.register_buffer("kernels", torch.from_numpy(kernels), persistent=False)
        self.register_buffer("band_weights", torch.from_numpy(band_weights), persistent=False)

    def forward(self, eeg: Tensor) -> Tensor:
        """Return the seven values of each epoch."""
        centred = eeg - eeg.mean(dim=2, keepdim=True)
        waves = functional.conv1d(centred, self.get_buffer("kernels"), stride=STEP_SAMPLES)
        powers = waves.square().mean(dim=2) @ self.get_buffer("band_weights")
        variance = centred.square().mean(dim=2)
        steps = centred[:, :, 1:] - centred[:, :, :-1]
        steps = steps - steps.mean(dim=2, keepdim=True)
        return torch.cat((powers, variance, steps.square().mean(dim=2)), dim=1)


def _kernels_and_weights(rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Return windowed cosines, then sines, ``(2 bins, 1, 256)``, and weights ``(2 bins, 5)``."""
    n = np.arange(SEGMENT_SAMPLES)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / SEGMENT_SAMPLES)  # periodic Hann, as in scipy
    bins = np.arange(SEGMENT_SAMPLES // 2 + 1)
    bins_hz = bins * rate_hz / SEGMENT_SAMPLES
    inside = np.stack([(low <= bins_hz) & (bins_hz <= high) for low, high in BANDS_HZ], axis=1)
    used = inside.any(axis=1)
    phase = 2 * np.pi * np.outer(bins[used], n) / SEGMENT_SAMPLES
    kernels = np.concatenate((np.cos(phase), np.sin(phase))) * window
    kernels -= kernels.mean(axis=1, keepdims=True)
    sides = np.where((bins == 0) | (bins == SEGMENT_SAMPLES // 2), 1.0, 2.0)[used]
    density = sides / (rate_hz * np.square(window).sum())
    weights = inside[used] / inside.sum(axis=0) * density[:, None]
    return (
        kernels[:, None].astype(np.float32),
        np.concatenate((weights, weights)).astype(np.float32),
    )
