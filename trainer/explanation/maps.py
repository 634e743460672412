"""Maps of what speaks for a class in a picture: Grad-CAM, Integrated Gradients, occlusion.

Grad-CAM: Selvaraju et al. 2017, arXiv 1610.02391. Occlusion: Zeiler and Fergus 2014, arXiv
1311.2901. Both by Captum; Integrated Gradients by ``integrated_gradients``, which adds up where
Captum's even steps do not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edge_app.errors import ConfigError, TrainingError
from trainer.explanation.integrated_gradients import integrated_gradients

COMPLETE_WITHIN = 0.05
PATCH_SHARE, STRIDE_SHARE = 8 / 48, 4 / 48
"""Side of the hidden square and its step, as shares of the picture: 8 and 4 pixels of 48."""
METHODS = ("grad_cam", "ig_black", "ig_mean_face", "occlusion")
TITLES = {
    "grad_cam": "Grad-CAM",
    "ig_black": "Integrated Gradients\nfrom black",
    "ig_mean_face": "Integrated Gradients\nfrom the mean face",
    "occlusion": "occlusion",
}
CHUNK = 32


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of some pictures.

    Args:
        maps: method to (n, P, P) float32; what speaks for the class is positive.
        sums: baseline method to (n,) sum of its attributions.
        differences: baseline method to (n,) logit of the picture minus that of the baseline; for
            complete attributions the sum.
        points: baseline method to (n,) gradients that were taken.
    """

    maps: dict[str, Tensor]
    sums: dict[str, Tensor]
    differences: dict[str, Tensor]
    points: dict[str, Tensor]

    def incompleteness(self) -> dict[str, Tensor]:
        """Return baseline method to (n,) shares by which the sum misses the difference."""
        return {
            name: (self.sums[name] - self.differences[name]).abs()
            / self.differences[name].abs().clamp(min=1e-6)
            for name in self.sums
        }


def make_maps(
    model: nn.Module,
    pictures: Tensor,
    classes: Tensor,
    mean_face: Tensor,
    advance: Callable[[int], None] = lambda _: None,
) -> Maps:
    """Return the maps of every method.

    Args:
        model: (n, 1, P, P) grey levels 0-255 to (n, n_labels) logits; has ``explain_layer``.
        pictures: (n, 1, P, P).
        classes: (n,) the class that each map is to explain.
        mean_face: (1, 1, P, P), a baseline, and what hides a patch.
        advance: told how many pictures are done.

    Returns:
        The maps.

    Raises:
        ConfigError: Captum is missing.
        TrainingError: the model names no layer, or a map cannot be computed.
    """
    prepare(model)
    parts = []
    for start in range(0, len(pictures), CHUNK):
        faces = pictures[start : start + CHUNK].float()
        parts.append(_maps_of_chunk(model, faces, classes[start : start + CHUNK], mean_face))
        advance(len(faces))
    return Maps(
        *(
            {name: torch.cat([part[i][name] for part in parts]) for name in parts[0][i]}
            for i in range(4)
        )
    )


def prepare(model: nn.Module) -> None:
    """Make a model ready for gradients to its activations: evaluation, nothing in place."""
    model.eval()
    # A quarter faster on a CPU.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in model.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - mypy takes it for a tensor
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def _captum() -> Any:
    try:
        import captum.attr
    except ImportError as error:
        raise ConfigError(
            "explanations need Captum",
            source="trainer explain",
            next_step="pip install 'bedside[train]'",
        ) from error
    return captum.attr


def _maps_of_chunk(
    model: nn.Module, faces: Tensor, classes: Tensor, mean_face: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    maps = {"grad_cam": _grad_cam(model, faces, classes)}
    sums, differences, points = {}, {}, {}
    for name, baseline in (
        ("ig_black", torch.zeros_like(mean_face)),
        ("ig_mean_face", mean_face),
    ):
        found = [
            integrated_gradients(model, face, int(label), baseline[0].float())
            for face, label in zip(faces, classes, strict=True)
        ]
        maps[name] = torch.stack([one.pixels for one in found])
        sums[name] = maps[name].double().sum(dim=(1, 2))
        differences[name] = torch.tensor([one.difference for one in found], dtype=torch.float64)
        points[name] = torch.tensor([one.points for one in found])
    maps["occlusion"] = _occlusion(model, faces, classes, mean_face)
    return {name: value.detach().float() for name, value in maps.items()}, sums, differences, points


def _grad_cam(model: nn.Module, faces: Tensor, classes: Tensor) -> Tensor:
    layer = getattr(model, "explain_layer", None)
    if not isinstance(layer, nn.Module):
        raise TrainingError(
            "the network does not say which layer Grad-CAM is to read",
            source=type(model).__name__,
            next_step="Give it the property explain_layer: the module with the last maps",
        )
    attributor = _captum().LayerGradCam(model, layer)
    coarse = attributor.attribute(
        faces.clone().requires_grad_(), target=classes, relu_attributions=True
    )
    return nn.functional.interpolate(
        coarse, size=faces.shape[-2:], mode="bilinear", align_corners=False
    )[:, 0]


def _occlusion(model: nn.Module, faces: Tensor, classes: Tensor, mean_face: Tensor) -> Tensor:
    side = faces.shape[-1]
    patch, stride = max(1, round(PATCH_SHARE * side)), max(1, round(STRIDE_SHARE * side))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sliding window.*")
        attribution: Tensor = (
            _captum()
            .Occlusion(model)
            .attribute(
                faces,
                sliding_window_shapes=(1, patch, patch),
                strides=(1, stride, stride),
                baselines=mean_face.float().expand_as(faces),
                target=classes,
            )
        )
    return attribution[:, 0]
