"""The plain causal net that ours has to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.features.causal_levels import N_LEVELS, OTHERS, CausalLevels
from trainer.features.welch import FEATURES

OWN = range(len(FEATURES), 2 * len(FEATURES))
RELATIVE = range(N_LEVELS - 2 - len(OTHERS), N_LEVELS - 2)
READ = (*OWN, *RELATIVE)
"""Columns of ``CausalLevels``."""


class PlainGru(nn.Module):
    """Two causal GRU layers over log powers relative to the variance, and causal z-scores.

    Called as ``SleepStream`` is: ``features`` (batch, length, 7) and ``rows`` (1, n, crop); in
    training a leading axis of one member. It answers for the newest epoch only:
    (..., length, 1, n_labels).

    Args:
        n_labels: stages.
        hidden: units a layer.
        layers: recurrent layers.
        dropout: between the layers.
    """

    def __init__(self, n_labels: int, *, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.levels = CausalLevels()
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(len(READ), hidden, layers, batch_first=True, dropout=between)
        self.head = nn.Linear(hidden, n_labels)

    def prepare_for(self, features: Tensor, stages: Tensor, prior_shift: float) -> None:
        """Take the constants from (n, 7) raw powers of the training nights."""
        del stages, prior_shift
        self.levels.standardise_by(features)

    def forward(self, features: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return logits of whole recordings, or of stretches of them."""
        inputs = self.levels(features)[..., READ]
        if rows is not None:
            inputs = inputs.flatten(0, 1)[rows[0]]
        said: Tensor = self.head(self.gru(inputs)[0]).unsqueeze(-2)
        return said.unsqueeze(0) if self.training else torch.log_softmax(said, dim=-1)
