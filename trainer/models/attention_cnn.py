"""The attention CNN of the FER-2013 study: spatial attention just before the classifier."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.cbam import SpatialAttention
from trainer.models.face_input import FaceInput
from trainer.models.plain_cnn import convolutions, dense_head

SIZE_PX = 128


class AttentionCnn(nn.Module):
    """Grey faces to logits; where to look is learnt.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, n_labels)
    logits. With the defaults and 7 labels 8,484,009 parameters: those of ``BaselineCnn`` and the 98
    of the attention, so that the two compare.

    Source: "Enhancing Facial Emotion Recognition using CNNs, Transfer Learning, and Attention
    Mechanisms". From the paper: 128x128, grey copied to three channels, values 0 to 1, spatial
    attention (mean and max over channels, one convolution, sigmoid, multiply) just before the
    classifier. From us, for the paper is silent: the rest as in ``BaselineCnn``; the attention's
    7x7 without bias is CBAM's.

    Args:
        n_labels: number of classes.
        filters: channels after each convolution.
        dense: width of each dense layer before the last.
        dropout: share of each dense layer left out while training.
    """

    def __init__(
        self,
        n_labels: int,
        filters: tuple[int, ...] = (32, 64, 128),
        dense: tuple[int, ...] = (256,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input = FaceInput(SIZE_PX)
        self.convolutions = convolutions(3, filters)
        self.attention = SpatialAttention()
        side = SIZE_PX >> len(filters)
        self.head = dense_head(filters[-1] * side**2, dense, dropout, n_labels)

    @property
    def explain_layer(self) -> nn.Module:
        """The module whose output Grad-CAM reads."""
        return self.attention

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        maps = self.attention(self.convolutions(self.input(face)))
        logits: Tensor = self.head(maps.flatten(1))
        return logits
