"""Our network for faces: a VGG whose second convolutions are residual, at 44 x 44 pixels.

The stages of Khaireddin and Chen 2021 (arXiv 2105.03588), the best published single network on
FER-2013 that learnt from nothing else; the residual blocks of He et al. 2016 (arXiv 1512.03385).
Differs from the first paper: one convolution that widens and one residual block a stage, few
channels where the picture is large, and a global mean with one linear layer instead of three dense
layers. Answers are made at a somewhat larger size than the pictures it learns from, since random
zooming makes faces look larger in training than they are (Touvron et al. 2019, arXiv 1906.06423).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

GREY_MEAN = 129.4
GREY_STD = 65.0
"""Mean and deviation of FER-2013's Training pixels, grey levels 0 to 255."""


class FaceVgg(nn.Module):
    """Grey faces to logits.

    Input: (n, 1, crop_px, crop_px) grey levels 0-255 by BT.601, uint8 or float; shrinking and
    normalisation are inside. While training, pictures of any size are taken as they are.
    Output: (n, n_labels) logits.

    Args:
        n_labels: number of classes.
        channels: channels of each stage.
        crop_px: side of the face crop.
        answer_px: side to which it is shrunk before it is answered.
        dropout: share of the pooled features left out while training.
    """

    shrink: Tensor

    def __init__(
        self,
        n_labels: int,
        channels: tuple[int, ...] = (16, 48, 112, 224),
        crop_px: int = 48,
        answer_px: int = 44,
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
        self.register_buffer("shrink", shrinking(crop_px, answer_px), persistent=False)

    @property
    def explain_layer(self) -> nn.Module:
        """The last convolutional maps, before they are pooled."""
        return self.stages[-2]

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        grey = face.float()
        if not self.training:
            grey = self.shrink @ grey @ self.shrink.T
        return self.answer(grey)

    def answer(self, grey: Tensor) -> Tensor:
        """Return logits of float pictures of any size, taken as they are."""
        logits: Tensor = self.head(self.stages((grey - GREY_MEAN) / GREY_STD))
        return logits


def shrinking(from_px: int, to_px: int) -> Tensor:
    """Return (to_px, from_px) weights: rows times picture times columns is the picture shrunk.

    Args:
        from_px: side of the picture.
        to_px: side wanted.

    Returns:
        Bilinear weights with antialiasing, as torch's own ``interpolate`` has them; the exporter
        knows a product of matrices, but not that.
    """
    identity = torch.eye(from_px)[None, None]
    return functional.interpolate(
        identity, size=(to_px, from_px), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]


def convolution(before: int, after: int) -> nn.Module:
    """Return a 3x3 convolution with batch normalisation and ReLU.

    Args:
        before: channels in.
        after: channels out.
    """
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


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
