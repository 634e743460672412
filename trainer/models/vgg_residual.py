"""A small VGG whose second convolutions are residual, for 48x48 grey faces.

The stages of Khaireddin and Chen 2021 (arXiv 2105.03588), the best published single network on
FER-2013 that learnt from nothing else; the residual blocks of He et al. 2016 (arXiv 1512.03385).
Differs from the first paper: one convolution that widens and one residual block a stage, 2.0 M
parameters, a global mean and one linear layer instead of three dense layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.models.vgg_small import GREY_MEAN, GREY_STD, convolution


class VggResidual(nn.Module):
    """Grey faces to logits.

    Input: (n, 1, 48, 48) grey levels 0-255 by BT.601, uint8 or float; normalisation is inside.
    Output: (n, n_labels) logits.

    Args:
        n_labels: number of classes.
        channels: channels of each stage.
        dropout: share of the pooled features left out while training.
    """

    def __init__(
        self,
        n_labels: int,
        channels: tuple[int, ...] = (32, 64, 128, 256),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 1
        for after in channels:
            stages += [convolution(before, after), _Residual(after), nn.MaxPool2d(2)]
            before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(before, n_labels)
        )

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.stages((face.float() - GREY_MEAN) / GREY_STD))
        return logits


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps + self.second(self.first(maps)))
