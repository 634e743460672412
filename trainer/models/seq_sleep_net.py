"""SeqSleepNet: spectrograms of 20 epochs to 20 stages by two recurrent nets, one in the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainer.features.stft import BINS, FFT_POINTS, LogStft
from trainer.models.recurrent_batch_norm import BatchNormBiLstm

Normalisation = Literal["recurrent_batch", "layer"]

FRAMES = 29
FILTERS = 32
HIDDEN = 64
ATTENTION = 64
FEATURES = 2 * HIDDEN
RATE_HZ = 100.0


class EpochEncoder(nn.Module):
    """Encode one epoch of raw EEG.

    Input ``(batch, 1, 3000)`` microvolts at 100 Hz; output ``(batch, 128)``: spectrogram,
    standardised by bin (``bin_statistics`` of the nights learnt from), filterbank, bidirectional
    LSTM over 29 frames, attention.

    Args:
        normalisation: of the LSTM.
        dropout: of the LSTM's inputs and outputs in training.
    """

    def __init__(self, normalisation: Normalisation, dropout: float) -> None:
        super().__init__()
        self.spectrogram = LogStft()
        self.register_buffer("mean", torch.zeros(BINS))
        self.register_buffer("std", torch.ones(BINS))
        self.filterbank = Filterbank()
        self.lstm = bidirectional(normalisation, FILTERS, FRAMES, dropout)
        self.attention = GatedAttention()

    def standardise_by(self, mean: Tensor, std: Tensor) -> None:
        """Set each bin's constants, (129,) each."""
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("std").copy_(std)

    def forward(self, eeg: Tensor) -> Tensor:
        """Return the features of each epoch."""
        image = (self.spectrogram(eeg) - self.get_buffer("mean")) / self.get_buffer("std")
        features: Tensor = self.attention(self.lstm(self.filterbank(image)))
        return features


class SequenceStager(nn.Module):
    """Stage every epoch of a sequence of encoded epochs.

    Inputs: ``features`` (batch, length, 128); ``mask`` (batch, length), 1 = epoch present. Output:
    logits (batch, length, n_labels). What a masked epoch's features hold reaches nothing: they are
    zeros to the LSTM, which learns so where training masks epochs too.

    Args:
        n_labels: stages.
        length: epochs a sequence.
        normalisation: of the LSTM.
        dropout: of the LSTM's inputs and outputs in training.
    """

    def __init__(
        self, n_labels: int, length: int, normalisation: Normalisation, dropout: float
    ) -> None:
        super().__init__()
        self.lstm = bidirectional(normalisation, FEATURES, length, dropout)
        self.head = nn.Linear(2 * HIDDEN, n_labels)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of every epoch, masked ones included."""
        present = mask.unsqueeze(2) > 0.5
        logits: Tensor = self.head(self.lstm(features.where(present, torch.zeros_like(features))))
        return logits


class SeqSleepNet(nn.Module):
    """The whole net; each epoch is encoded once, however many sequences it stands in.

    Inputs: ``eeg`` (n_epochs, 3000) microvolts at 100 Hz; ``rows`` (batch, length) int64: the row
    of ``eeg`` at each position, -1 where there is no epoch. Output: logits (batch, length,
    n_labels).

    With ``recurrent_batch`` it has 164,133 parameters: filterbank 129 x 32 = 4,128; epoch LSTM 2 x
    (32 x 256 + 64 x 256) = 49,152 weights; attention 128 x 64 + 64 + 64 = 8,320; sequence LSTM 2 x
    (128 x 256 + 64 x 256) = 98,304; output 128 x 5 + 5 = 645; and for each of the four LSTM cells
    256 offsets of the gates (the one bias vector that an LSTM needs, not the two of torch's), 256 +
    256 gains, 64 gains and 64 offsets of the cell: 896. The paper states 1.64e5. Statistics of the
    normalisation are no parameters, so that they are kept for each step adds none.

    Args:
        n_labels: stages.
        length: epochs a sequence.
        normalisation: ``recurrent_batch`` as in the paper; ``layer``: layer normalisation of the
            inputs and outputs of a plain LSTM, fused in training and one node in the bundle. That
            is another model: its figures stand in a row of their own.
        dropout: of both LSTMs' inputs and outputs in training.

    Source: Phan et al. 2019, arXiv 1809.10932; the temporal smoothness loss: Phan et al., ICASSP
    2023. Where the papers are silent, the authors' public code of 2019 was followed: triangles of
    the filterbank, attention, first weights, statistics for each step, dropout. Its 20 output
    layers, one a position, are one here: only so the number of parameters is the published one.
    """

    def __init__(
        self,
        n_labels: int,
        *,
        length: int = 20,
        normalisation: Normalisation = "recurrent_batch",
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.encoder = EpochEncoder(normalisation, dropout)
        self.sequence = SequenceStager(n_labels, length, normalisation, dropout)

    def forward(self, eeg: Tensor, rows: Tensor) -> Tensor:
        """Return the logits of every position of every sequence."""
        features = self.encoder(eeg.unsqueeze(1))
        logits: Tensor = self.sequence(features[rows.clamp(min=0)], (rows >= 0).to(features))
        return logits


class Filterbank(nn.Module):
    """Learn 32 filters over the bins, each within its triangle and never negative.

    Input ``(..., 129)``, output ``(..., 32)``; weights are squashed by a sigmoid and multiplied by
    fixed triangles, evenly spaced from 0 to 50 Hz, each reaching to its neighbours' peaks. No bias.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(BINS, FILTERS))
        self.register_buffer("triangles", torch.from_numpy(triangles()), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the filtered frames."""
        filters = self.weight.sigmoid() * self.get_buffer("triangles")
        return torch.matmul(image, filters)


class GatedAttention(nn.Module):
    """Weigh the frames by what they hold and add them up.

    Input ``(batch, frames, 128)``, output ``(batch, 128)``; weights are softmax(u tanh(W x + b)).
    """

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(FEATURES, ATTENTION)
        self.context = nn.Parameter(torch.empty(ATTENTION))
        for parameter in (self.lift.weight, self.lift.bias, self.context):
            nn.init.normal_(parameter, std=0.1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return one vector an epoch."""
        weights = (self.lift(frames).tanh() @ self.context).softmax(dim=1)
        summed: Tensor = (weights.unsqueeze(2) * frames).sum(dim=1)
        return summed


class LayerNormBiLstm(nn.Module):
    """Layer normalisation, torch's LSTM in both directions, layer normalisation.

    Input ``(batch, steps, n_in)``, output ``(batch, steps, 128)``.

    Args:
        n_in: values a step.
        dropout: share of inputs, and of outputs, dropped in training.
    """

    def __init__(self, n_in: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(n_in), nn.LayerNorm(2 * HIDDEN)
        self.lstm = nn.LSTM(n_in, HIDDEN, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return both directions' outputs at every step."""
        outputs, _ = self.lstm(self.drop(self.before(sequence)))
        normalised: Tensor = self.drop(self.after(outputs))
        return normalised


def bidirectional(normalisation: Normalisation, n_in: int, steps: int, dropout: float) -> nn.Module:
    """Return the LSTM of that kind, 64 units a direction."""
    if normalisation == "layer":
        return LayerNormBiLstm(n_in, dropout)
    return BatchNormBiLstm(n_in, HIDDEN, steps=steps, dropout=dropout)


@torch.no_grad()
def bin_statistics(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return each bin's mean and spread over all frames of the epochs learnt from.

    Args:
        batches: each (n, 3000) microvolts, every value finite; together at least one epoch.

    Returns:
        (129,) mean and (129,) standard deviation of the log amplitudes, for ``EpochEncoder``.
    """
    spectrogram = LogStft()
    total, squares = torch.zeros(BINS).double(), torch.zeros(BINS).double()
    n = 0
    for epochs in batches:
        frames = spectrogram(epochs.unsqueeze(1)).double().flatten(0, 1)
        total += frames.sum(dim=0)
        squares += frames.square().sum(dim=0)
        n += len(frames)
    mean = total / n
    return mean.float(), (squares / n - mean.square()).clamp(min=1e-6).sqrt().float()


def triangles() -> np.ndarray:
    """Return the fixed shapes of the filters.

    Returns:
        (129, 32) float32, peak 1; corners are rounded down to bins of 0.39 Hz.
    """
    corners_hz = np.linspace(0.0, RATE_HZ / 2, FILTERS + 2)
    corners = np.floor((FFT_POINTS + 1) * corners_hz / RATE_HZ)
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(BINS)[:, None]
    rise, fall = (bins - low) / (peak - low), (high - bins) / (high - peak)
    shapes: np.ndarray = np.clip(np.minimum(rise, fall), 0.0, 1.0).astype(np.float32)
    return shapes
