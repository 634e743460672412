"""CBAM: weigh the channels of feature maps, then their places (Woo et al. 2018, 1807.06521)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Weigh channels: sigmoid(mlp(mean over places) + mlp(max over places)), one shared mlp.

    Input and output: (n, channels, height, width).

    Args:
        channels: of the maps.
        reduction: how many times narrower the hidden layer is; no biases.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels, bias=False),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the weighed maps."""
        logits = self.mlp(maps.mean(dim=(2, 3))) + self.mlp(maps.amax(dim=(2, 3)))
        weighed: Tensor = maps * logits.sigmoid()[:, :, None, None]
        return weighed


class SpatialAttention(nn.Module):
    """Weigh places: sigmoid(convolution of [mean over channels; max over channels]).

    Input and output: (n, channels, height, width).

    Args:
        kernel: side of the convolution, odd; no bias, zeros beyond the border.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the weighed maps."""
        both = torch.cat([maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)], dim=1)
        weighed: Tensor = maps * self.convolution(both).sigmoid()
        return weighed


class Cbam(nn.Module):
    """Channel attention, then spatial attention.

    Input and output: (n, channels, height, width). 2,048 channels make 524,386 parameters.

    Differs from the authors' public code: no batch normalisation behind the 7x7 convolution, which
    the paper does not have either.

    Args:
        channels: of the maps.
        reduction: of the channel part.
        kernel: of the spatial part.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(kernel)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the weighed maps."""
        weighed: Tensor = self.spatial(self.channel(maps))
        return weighed
