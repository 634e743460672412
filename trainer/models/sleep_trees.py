"""What boosted trees say of each epoch, from what a causal stager has heard so far."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainer.features.causal_levels import MOMENTS, PSD
from trainer.features.welch import FEATURES
from trainer.models.stage_trees import StageTrees

LAGS = 3
"""Earlier epochs that are seen as they were."""
MEMORY_EPOCHS = (3.0, 9.0)
"""Time constants of the fading means over all earlier epochs."""
N_SHOWN = 3 * len(FEATURES) - 2
"""Levels, own levels, and the band powers' levels above that of the variance."""
N_FLAGS = 2


class SleepTrees(nn.Module):
    """Boosted trees over an epoch, the three before it, and two fading means.

    They read what ``CausalLevels`` gives, without the recording's running means: by those, trees
    learn who is who among a few people.

    Args:
        trees: grown or to be grown.
    """

    def __init__(self, trees: StageTrees) -> None:
        super().__init__()
        self.trees = trees

    @property
    def state_size(self) -> int:
        """Numbers carried from epoch to epoch."""
        return (LAGS + len(MEMORY_EPOCHS)) * N_SHOWN + len(MEMORY_EPOCHS)

    def inputs(self, levels: Tensor) -> Tensor:
        """Return what the trees read.

        Args:
            levels: (n_recordings, length, N_LEVELS), whole recordings from their start.

        Returns:
            (n_recordings, length, n_inputs).
        """
        state = levels.new_zeros(len(levels), self.state_size)
        steps = []
        for now in levels.unbind(dim=1):
            seen, state = self._see(now, state)
            steps.append(seen)
        return torch.stack(steps, dim=1)

    def forward(self, levels: Tensor) -> Tensor:
        """Return log-probabilities (n_recordings, length, n_labels) of whole recordings."""
        seen = self.inputs(levels)
        said: Tensor = self.trees(seen.flatten(0, 1))
        return said.reshape(*seen.shape[:2], -1)

    def step(self, levels: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for the next epoch.

        Args:
            levels: (n, N_LEVELS).
            state: (n, state_size), zeros at the start.

        Returns:
            Log-probabilities (n, n_labels), and the next state.
        """
        seen, after = self._see(levels, state)
        return self.trees(seen), after

    def _see(self, levels: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        width = len(FEATURES)
        level, own, flags = levels[:, :width], levels[:, width : 2 * width], levels[:, -N_FLAGS:]
        above = (level[:, PSD:MOMENTS] - level[:, MOMENTS : MOMENTS + 1]) * flags[:, :1]
        shown = torch.cat((level, own, above), dim=1)
        sizes = [LAGS * N_SHOWN, len(MEMORY_EPOCHS) * N_SHOWN, len(MEMORY_EPOCHS)]
        lags, means, counts = torch.split_with_sizes(state, sizes, dim=1)
        fading = levels.new_tensor([math.exp(-1.0 / epochs) for epochs in MEMORY_EPOCHS])
        counts = counts * fading + 1.0
        sums = means.reshape(-1, len(MEMORY_EPOCHS), N_SHOWN) * fading[:, None]
        sums = sums + shown.unsqueeze(1)
        faded = (sums / counts.unsqueeze(2)).flatten(1)
        seen = torch.cat((shown, flags, lags, faded), dim=1)
        lags = torch.cat((shown, lags[:, : (LAGS - 1) * N_SHOWN]), dim=1)
        return seen, torch.cat((lags, sums.flatten(1), counts), dim=1)
