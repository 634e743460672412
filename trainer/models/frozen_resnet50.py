"""ResNet-50 as a fixed feature extractor under a small head, of the clinical study."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.plain_cnn import dense_head
from trainer.models.resnet50 import ResNet50


class FrozenResNet50(nn.Module):
    """Grey faces to logits; only the head learns.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, n_labels)
    logits. With the defaults and 7 labels 24,066,375 parameters, 558,343 of them the head's.

    Source: "A Clinical Perspective for Monitoring PTSD-Related Emotional Responses". From the
    paper: 224x224, ImageNet weights, all base layers frozen, global average pool, dense ReLU
    layers, dropout, softmax. From us: batch normalisation stays in evaluation mode too, for its
    statistics are part of what is frozen; dense widths and dropout, on which the paper is silent;
    and ImageNet's normalisation of the input, where the paper divides by 255 alone.

    Args:
        base: gives the features; its last layer is taken away.
        n_labels: number of classes.
        dense: width of each dense layer before the last.
        dropout: share of each dense layer left out while training.
        freeze: whether the base is left as it is.
    """

    def __init__(
        self,
        base: ResNet50,
        n_labels: int,
        dense: tuple[int, ...] = (256, 128),
        dropout: float = 0.5,
        *,
        freeze: bool = True,
    ) -> None:
        super().__init__()
        base.fc = nn.Identity()
        self.base = base
        self.head = dense_head(base.channels, dense, dropout, n_labels)
        self.freeze = freeze
        if freeze:
            base.requires_grad_(requires_grad=False)

    @property
    def explain_layer(self) -> nn.Module:
        """The module whose output Grad-CAM reads."""
        return self.base.explain_layer

    def train(self, mode: bool = True) -> FrozenResNet50:
        """Set the head to training or evaluation; a frozen base stays in evaluation."""
        super().train(mode)
        if self.freeze:
            self.base.eval()
        return self

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.base(face))
        return logits
