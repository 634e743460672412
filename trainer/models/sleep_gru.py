"""A small recurrent stager of epoch features, with a mask for epochs that are not there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLOOR = 1e-3
"""Added to every power (uV^2/Hz, uV^2) so that a logarithm of zero stays finite."""
MAX_LEVEL = 5.0
"""Standardised logarithms are held within plus and minus this: an amplifier without upper bands, or
an artefact, does not drown what else is there."""


class SleepGru(nn.Module):
    """Stage each epoch of a window from the whole window.

    Inputs: ``features`` (batch, length, n_features), raw powers; ``mask`` (batch, length), 1 =
    epoch present. Output: logits (batch, length, n_labels). Logarithms are standardised by
    constants of the training nights. The second half of the input is each value's distance from
    the mean over the window's present epochs, in which an amplifier's gain cancels. A masked epoch
    is all zeros behind the first layer: what its features hold reaches nothing.

    Args:
        n_features: values an epoch.
        n_labels: stages.
        hidden: recurrent units a direction.
        layers: recurrent layers.
        dropout: share of activations dropped in training.

    Differs from SeqSleepNet (Phan 2019, arXiv 1809.10932): GRU instead of LSTM, band powers instead
    of spectrogram images, no attention; the sequence-to-sequence window of 20 epochs is theirs.
    """

    def __init__(
        self, n_features: int, n_labels: int, *, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.register_buffer("log_mean", torch.zeros(n_features))
        self.register_buffer("log_std", torch.ones(n_features))
        self.lift = nn.Linear(2 * n_features, 32)
        self.gru = nn.GRU(
            33,
            hidden,
            num_layers=layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, n_labels)

    def standardise_by(self, features: Tensor) -> None:
        """Set the constants from ``(n, n_features)`` raw powers of the training nights."""
        logs = torch.log(features.double() + FLOOR)
        self.get_buffer("log_mean").copy_(logs.mean(dim=0))
        self.get_buffer("log_std").copy_(logs.std(dim=0))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of every epoch, masked ones included."""
        present = mask.unsqueeze(2)
        powers = torch.where(present > 0.5, features, torch.ones_like(features))
        logs = torch.log(powers.clamp(min=0.0) + FLOOR)
        levels = (logs - self.get_buffer("log_mean")) / self.get_buffer("log_std")
        levels = levels.clamp(-MAX_LEVEL, MAX_LEVEL) * present
        count = present.sum(dim=1, keepdim=True).clamp(min=1.0)
        changes = levels - levels.sum(dim=1, keepdim=True) / count
        lifted = torch.relu(self.lift(torch.cat((levels, changes), dim=2))) * present
        states, _ = self.gru(torch.cat((lifted, present), dim=2))
        logits: Tensor = self.head(self.drop(states))
        return logits
