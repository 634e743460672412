"""The baseline CNN of the FER-2013 study: three convolutions, two fully connected layers."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.models.face_input import FaceInput
from trainer.models.plain_cnn import convolutions, dense_head, last_convolution

SIZE_PX = 128


class BaselineCnn(nn.Module):
    """Grey faces to logits, the FER-2013 study's first network.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, n_labels)
    logits. With the defaults and 7 labels 8,483,911 parameters.

    Source: "Enhancing Facial Emotion Recognition using CNNs, Transfer Learning, and Attention
    Mechanisms". From the paper: 128x128, grey copied to three channels, values 0 to 1, three
    blocks of convolution, ReLU and max-pool, two fully connected layers. From us, for the paper is
    silent: 3x3, the default filters and dense width, no dropout. Where the paper says softmax, the
    network gives logits: cross-entropy expects them.

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
