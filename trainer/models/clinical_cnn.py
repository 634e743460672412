"""The small CNN of the clinical study: three convolutions with max-pools, then dense layers."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.face_input import FaceInput
from trainer.models.plain_cnn import convolutions, dense_head, last_convolution

SIZE_PX = 48


class ClinicalCnn(nn.Module):
    """Grey faces to logits, the clinical study's network for 48x48 pictures.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, n_labels)
    logits. With the defaults and 7 labels 683,527 parameters.

    Source: "A Clinical Perspective for Monitoring PTSD-Related Emotional Responses". From the
    paper: 48x48, pixels / 255, three convolutions with a max-pool after each, flattened into fully
    connected layers, cross-entropy over softmax. From us, for the paper is silent: one grey
    channel, 3x3 with ReLU, the default filters, dense widths and dropout.

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
        dense: tuple[int, ...] = (128,),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.input = FaceInput(SIZE_PX, channels=1)
        self.convolutions = convolutions(1, filters)
        side = SIZE_PX >> len(filters)
        self.head = dense_head(filters[-1] * side**2, dense, dropout, n_labels)

    @property
    def explain_layer(self) -> nn.Module:
        """The module whose output Grad-CAM reads."""
        return last_convolution(self.convolutions)

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.convolutions(self.input(face)).flatten(1))
        return logits
