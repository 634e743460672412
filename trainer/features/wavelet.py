"""The Haar wavelet transform to its last level, as plain slices inside the exported graph."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edge_app.errors import TrainingError

_HALF_POWER = 1.0 / math.sqrt(2.0)


class HaarWavedec(nn.Module):
    """Transform each channel and lay the coefficients end to end, coarse before fine.

    Input ``(batch, n_channels, n_samples)`` in any unit; output ``(batch, n_channels,
    n_coefficients)`` in the same unit: the approximation of the last level, then the details from
    the last level to the first. Equal to ``pywt.wavedec(x, "db1")`` (mode ``symmetric``, the
    deepest level) with its arrays concatenated. A level of odd length repeats its last sample. All
    lengths follow from ``n_samples``, so an exporter unrolls every level.

    Args:
        n_samples: length of the window, at least 2.

    Raises:
        TrainingError: a window that has no level.

    Source: Haar 1910, doi 10.1007/BF01456326; pyramid: Mallat 1989, doi 10.1109/34.192463.
    """

    def __init__(self, n_samples: int) -> None:
        super().__init__()
        if n_samples < 2:
            raise TrainingError(
                "a wavelet needs at least two samples",
                source="HaarWavedec",
                expected="n_samples of 2 or more",
                got=n_samples,
                next_step="Give a longer window",
            )
        self.n_samples = n_samples
        self.lengths = coefficient_lengths(n_samples)

    def forward(self, signals: Tensor) -> Tensor:
        """Return the coefficients of each channel."""
        approximation, length = signals, self.n_samples
        details: list[Tensor] = []
        for _ in self.lengths[1:]:
            if length % 2:
                approximation = torch.cat((approximation, approximation[:, :, -1:]), dim=2)
            even, odd = approximation[:, :, 0::2], approximation[:, :, 1::2]
            details.append((even - odd) * _HALF_POWER)
            approximation = (even + odd) * _HALF_POWER
            length = (length + 1) // 2
        return torch.cat((approximation, *reversed(details)), dim=2)


def coefficient_lengths(n_samples: int) -> tuple[int, ...]:
    """Return how many coefficients each part has: the approximation, then details, coarse first.

    Args:
        n_samples: length of the signal, at least 2.

    Returns:
        One length more than there are levels, floor(log2(n_samples)).
    """
    lengths: list[int] = []
    length = n_samples
    for _ in range(n_samples.bit_length() - 1):
        length = (length + 1) // 2
        lengths.append(length)
    return (lengths[-1], *reversed(lengths)) if lengths else ()
