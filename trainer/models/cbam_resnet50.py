"""ResNet-50 with CBAM behind its last stage, the best network of the FER-2013 study."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.cbam import Cbam
from trainer.models.resnet50 import ResNet50


class CbamResNet50(nn.Module):
    """Grey faces to logits.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, n_labels)
    logits. With ``ResNet50`` for 7 labels 24,046,761 parameters, 524,386 of them CBAM's.

    Source: "Enhancing Facial Emotion Recognition using CNNs, Transfer Learning, and Attention
    Mechanisms": CBAM, channel then spatial, after the last stage, then pooling and 7 outputs. From
    us, for the paper is silent: reduction 16 and 7x7, the values of CBAM's own paper. The input is
    the one of ``ResNet50``.

    Args:
        base: gives the maps and classifies them.
    """

    def __init__(self, base: ResNet50) -> None:
        super().__init__()
        self.base = base
        self.cbam = Cbam(base.channels)

    @property
    def explain_layer(self) -> nn.Module:
        """The module whose output Grad-CAM reads."""
        return self.cbam

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        return self.base.classify(self.cbam(self.base.features(face)))
