"""Which network a recipe of the emotion experiment means, and what its weights start from."""

from __future__ import annotations

from torch import nn

from edge_app.errors import ConfigError
from trainer.experiments.emotion_options import EmotionOptions
from trainer.models.attention_cnn import AttentionCnn
from trainer.models.baseline_cnn import BaselineCnn
from trainer.models.cbam_resnet50 import CbamResNet50
from trainer.models.clinical_cnn import ClinicalCnn
from trainer.models.face_vgg import FaceVgg
from trainer.models.frozen_resnet50 import FrozenResNet50
from trainer.models.resnet50 import ResNet50
from trainer.models.resnet50_weights import WHENCE, ResNet50Weights, read_resnet50_weights

PLAIN_CNNS = {
    "clinical_cnn": ClinicalCnn,
    "baseline_cnn": BaselineCnn,
    "attention_cnn": AttentionCnn,
}


def build_face_model(options: EmotionOptions, n_labels: int) -> nn.Module:
    """Return a fresh network; no file of pretrained weights is read.

    Args:
        options: name the network and its sizes.
        n_labels: number of classes.

    Returns:
        Grey faces (n, 1, height, width), 0-255, to logits (n, n_labels); ``explain_layer``
        is the module whose output Grad-CAM reads.
    """
    name = options.model
    if name == "face_vgg":
        sizes_px = {"crop_px": options.size_px, "answer_px": options.answer_px}
        return FaceVgg(n_labels, options.channels, **sizes_px, dropout=options.dropout)
    if name in PLAIN_CNNS:
        return PLAIN_CNNS[name](n_labels, options.filters, options.dense, options.dropout)
    base = ResNet50(n_labels, imagenet=options.pretrained is not None)
    if name == "frozen_resnet50":
        return FrozenResNet50(base, n_labels, options.dense, options.dropout, freeze=options.freeze)
    return CbamResNet50(base) if name == "cbam_resnet50" else base


def pretrained_weights(options: EmotionOptions) -> ResNet50Weights | None:
    """Return what training starts from.

    Args:
        options: name the network, and the file where there is one.

    Returns:
        The checked weights of ``options.pretrained``; None: from scratch.

    Raises:
        ConfigError: a file that cannot be used, or a base to be frozen that has learnt nothing.
    """
    if options.pretrained is not None:
        return read_resnet50_weights(options.pretrained)
    if options.model == "frozen_resnet50" and options.freeze:
        raise ConfigError(
            "a frozen base without pretrained weights would stay random",
            source="experiment.pretrained",
            expected="a state dict of torchvision's resnet50",
            next_step=f"{WHENCE}, which here needs experiment.freeze=false as well",
        )
    return None


def put_pretrained(model: nn.Module, options: EmotionOptions) -> None:
    """Give a fresh network the weights that training starts from, where there are any.

    Args:
        model: by the same options.
        options: as for ``pretrained_weights``.
    """
    weights = pretrained_weights(options)
    if weights is not None:
        weights.put_into(getattr(model, "base", model))
