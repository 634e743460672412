"""A small VGG: four stages of two 3x3 convolutions, for 48x48 grey faces; 1.2 M parameters.

After Khaireddin and Chen 2021 (arXiv 2105.03588), the best published single network on FER-2013
that learnt from nothing else.
Differs from the paper: 32-64-128-256 channels, and a global mean with one linear layer instead of
three dense layers, so that the file stays under 6 MB.
"""

from __future__ import annotations

from torch import Tensor, nn

GREY_MEAN = 129.4
GREY_STD = 65.0
"""Mean and deviation of FER-2013's Training pixels, grey levels 0 to 255."""


class VggSmall(nn.Module):
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
        stages = []
        before = 1
        for after in channels:
            stages += [convolution(before, after), convolution(after, after), nn.MaxPool2d(2)]
            before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(before, n_labels)
        )

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.stages((face.float() - GREY_MEAN) / GREY_STD))
        return logits


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
