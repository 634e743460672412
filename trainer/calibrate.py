"""Temperature scaling: one number that makes confidences mean what they say.

Guo et al. 2017, arXiv 1706.04599. Fitted on validation only; it changes no label.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_app.errors import TrainingError
from trainer.metrics import IGNORE

LOW, HIGH = 0.05, 20.0
"""A temperature outside is no calibration but a broken model."""


def fit_temperature(logits: Tensor, targets: Tensor, *, balanced: bool = False) -> float:
    """Return the temperature with the least cross-entropy.

    The loss has a single minimum in log temperature, so a golden-section search finds it.

    Args:
        logits: targets' shape plus a class axis.
        targets: classes, ``IGNORE`` where there is no label.
        balanced: let every class that occurs weigh alike, whatever its share: for a model whose
            probabilities are stated for equal shares.

    Returns:
        The temperature: above 1 when the model was too sure.

    Raises:
        TrainingError: no labels, or logits that are not finite.
    """
    if not bool((targets != IGNORE).any()) or not bool(torch.isfinite(logits).all()):
        raise TrainingError(
            "cannot fit a temperature: no labels, or logits that are not finite",
            next_step="Look at the validation split and at the learning curve",
        )
    flat, flat_targets = logits.double().reshape(-1, logits.shape[-1]), targets.reshape(-1)
    weight = None
    if balanced:
        counts = torch.bincount(flat_targets[flat_targets != IGNORE], minlength=flat.shape[-1])
        weight = 1.0 / counts.clamp(min=1).double()

    def loss(log_temperature: float) -> float:
        tempered = flat / math.exp(log_temperature)
        return functional.cross_entropy(
            tempered, flat_targets, weight=weight, ignore_index=IGNORE
        ).item()

    low, high = math.log(LOW), math.log(HIGH)
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(60):
        span = ratio * (high - low)
        if loss(high - span) < loss(low + span):
            high = low + span
        else:
            low = high - span
    return math.exp((low + high) / 2.0)


class Calibrated(nn.Module):
    """A classifier that answers ``(logits, probabilities)``: the last graph of every bundle.

    Args:
        model: ``forward(*inputs)`` gives logits, class axis last.
        temperature: divides the logits before the softmax.
    """

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and softmax(logits / temperature)."""
        logits = self.model(*inputs)
        return logits, torch.softmax(logits / self.temperature, dim=-1)
