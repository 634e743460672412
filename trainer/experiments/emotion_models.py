"""Which network a recipe of the emotion experiment means."""

from __future__ import annotations

from torch import nn

from trainer.experiments.emotion_options import EmotionOptions
from trainer.models.face_vgg import FaceVgg
from trainer.models.vgg_small import VggSmall


def build_face_model(options: EmotionOptions, n_labels: int) -> nn.Module:
    """Return a fresh network.

    Args:
        options: name the network and its sizes.
        n_labels: number of classes.
    """
    if options.model == "face_vgg":
        return FaceVgg(
            n_labels, options.channels, answer_px=options.answer_px, dropout=options.dropout
        )
    return VggSmall(n_labels, options.channels, options.dropout)
