"""A small convolutional classifier of one window of a foot's movement."""

from __future__ import annotations

import torch
from torch import Tensor, nn

N_CHANNELS = 6


class GaitCnn(nn.Module):
    """Classify 2 s of walking.

    Input ``imu`` (batch, 6, n_samples): m/s^2 and rad/s in the sensor's axes. Output: logits
    (batch, n_labels). The lengths of both vectors, which no mounting changes, join the six
    channels; all are standardised by constants of the training windows. Mean and maximum over time
    make the answer nearly indifferent to where in a stride the window begins.

    Args:
        n_labels: classes.
        width: channels of the first layer; the others have twice as many.
        dropout: share of activations dropped in training.
    """

    def __init__(self, n_labels: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_CHANNELS + 2, 1))
        self.register_buffer("std", torch.ones(N_CHANNELS + 2, 1))
        self.layers = nn.Sequential(
            *_convolution(N_CHANNELS + 2, width, 9),
            *_convolution(width, 2 * width, 5),
            *_convolution(2 * width, 2 * width, 5),
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(4 * width, n_labels)

    def standardise_by(self, imu: Tensor) -> None:
        """Set the constants from ``(n, 6, n_samples)`` training windows."""
        channels = with_lengths(imu)
        self.get_buffer("mean").copy_(channels.mean(dim=(0, 2))[:, None])
        self.get_buffer("std").copy_(channels.std(dim=(0, 2))[:, None].clamp(min=1e-3))

    def forward(self, imu: Tensor) -> Tensor:
        """Return the logits of each window."""
        channels = (with_lengths(imu) - self.get_buffer("mean")) / self.get_buffer("std")
        activity = self.layers(channels)
        pooled = torch.cat((activity.mean(dim=2), activity.amax(dim=2)), dim=1)
        logits: Tensor = self.head(self.drop(pooled))
        return logits


def with_lengths(imu: Tensor) -> Tensor:
    """Return (batch, 8, n_samples): the six channels, then |acceleration| and |angular rate|."""
    acceleration = imu[:, :3].square().sum(dim=1, keepdim=True).sqrt()
    rate = imu[:, 3:].square().sum(dim=1, keepdim=True).sqrt()
    return torch.cat((imu, acceleration, rate), dim=1)


def _convolution(channels_in: int, channels_out: int, taps: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv1d(channels_in, channels_out, taps, stride=2, padding=taps // 2, bias=False),
        nn.BatchNorm1d(channels_out),
        nn.ReLU(),
    )
