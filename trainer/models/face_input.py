"""What the papers' networks see of a grey face: resized, scaled, copied to their channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue in shares of 255; weights learnt on ImageNet expect them."""


class FaceInput(nn.Module):
    """Turn grey crops into what a network was described for.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, channels,
    size_px, size_px) float: bilinear, then divided by 255 and, where asked, normalised by ImageNet.
    Crops larger than ``size_px`` alias, for bilinear resizing does not average: the graph has to
    stay one that every runtime knows.

    Args:
        size_px: side of the output.
        channels: copies of the grey picture.
        imagenet: whether ImageNet's mean is taken off and its deviation divided by; 3 channels.
    """

    def __init__(self, size_px: int, channels: int = 3, *, imagenet: bool = False) -> None:
        super().__init__()
        self.size_px = size_px
        mean = IMAGENET_MEAN if imagenet else (0.0,) * channels
        std = IMAGENET_STD if imagenet else (1.0,) * channels
        # Not part of the state dict: keys stay those of torchvision.
        self.register_buffer("mean", 255.0 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255.0 * torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, face: Tensor) -> Tensor:
        """Return the pictures."""
        grey = face.float()
        if tuple(face.shape[-2:]) != (self.size_px, self.size_px):
            grey = functional.interpolate(
                grey, size=(self.size_px, self.size_px), mode="bilinear", align_corners=False
            )
        return (grey - self.get_buffer("mean")) / self.get_buffer("std")
