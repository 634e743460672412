"""Averaged weights: an exponential moving average that is validated and exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Follow a model's weights and buffers; with ``decay`` None it is the model itself.

    Args:
        model: the model that is trained.
        decay: share of the old average kept a step, once many steps are done; early on the average
            is younger, min(decay, (1 + step) / (10 + step)), so that it forgets the first weights.
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self._model = model
        self._decay = decay
        self.steps = 0
        self.average: dict[str, Tensor] = self._copy()

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self._model.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after one step of the optimiser."""
        self.steps += 1
        if self._decay is None:
            return
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        for name, value in self._model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1.0 - decay)
            else:
                self.average[name].copy_(value)

    def put_back(self, average: dict[str, Tensor], steps: int) -> None:
        """Go on from a stored average, on the device of the model.

        Args:
            average: of a model with the same weights, on any device.
            steps: taken in so far.
        """
        self.average = {
            name: average[name].to(value.device) for name, value in self.average.items()
        }
        self.steps = steps

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model its averaged weights for a while; what is changed of them is kept."""
        trained = self._copy()
        if self._decay is None:
            self.average = trained
        self._model.load_state_dict(self.average)
        try:
            yield
            self.average = self._copy()
        finally:
            self._model.load_state_dict(trained)
