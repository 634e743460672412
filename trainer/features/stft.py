"""Log-magnitude spectrogram of one EEG epoch, as one strided convolution inside the graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW_SAMPLES = 200
"""2 s at 100 Hz."""
STEP_SAMPLES = 100
"""50 % overlap."""
FFT_POINTS = 256
BINS = FFT_POINTS // 2 + 1
FLOOR_UV = 1.0
"""Added in quadrature to every amplitude. The transform is a plain sum, so this is a sine of 0.02
uV: far below an amplifier's noise, and the logarithm of silence stays finite."""


class LogStft(nn.Module):
    """Turn raw EEG into the image that SeqSleepNet reads.

    Input ``(batch, 1, n_samples)`` microvolts at 100 Hz; output ``(batch, n_frames, 129)`` with
    29 frames for 3000 samples: ``log(sqrt(|X|^2 + FLOOR_UV^2))``, natural logarithm, where X is the
    Fourier transform of 200 samples times ``np.hamming(200)``, padded by zeros to 256 points.

    The epoch's mean is taken away first. That is ours: an amplifier's offset of millivolts would
    leak into every bin; in a recording without offset it changes nothing.

    Source: Phan et al. 2019, arXiv 1809.10932; window and logarithm as in the authors' public
    code (symmetric Hamming), where the logarithm is in decibels: the same after standardising.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernels", torch.from_numpy(_kernels()), persistent=False)

    def forward(self, eeg: Tensor) -> Tensor:
        """Return the spectrogram of each epoch."""
        centred = eeg - eeg.mean(dim=2, keepdim=True)
        centred = centred - centred.mean(dim=2, keepdim=True)  # what float32 left of an offset
        waves = functional.conv1d(centred, self.get_buffer("kernels"), stride=STEP_SAMPLES)
        powers = waves[:, :BINS].square() + waves[:, BINS:].square()
        return 0.5 * torch.log(powers + FLOOR_UV**2).transpose(1, 2)


def _kernels() -> np.ndarray:
    """Return windowed cosines, then sines, ``(2 * 129, 1, 200)``."""
    phase = 2 * np.pi * np.outer(np.arange(BINS), np.arange(WINDOW_SAMPLES)) / FFT_POINTS
    kernels = np.concatenate((np.cos(phase), np.sin(phase))) * np.hamming(WINDOW_SAMPLES)
    return kernels[:, None].astype(np.float32)
