"""Weights of a ResNet-50 from a local file in torchvision's format; nothing is downloaded."""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_app.errors import ConfigError
from trainer.models.resnet50 import ResNet50

WHENCE = (
    "Such a file is named on torchvision's documentation page of resnet50 (ResNet50_Weights,"
    " IMAGENET1K_V1 or IMAGENET1K_V2): fetch it once on any machine and name it by --pretrained."
    " Without one, leave experiment.pretrained out: training is then from scratch"
)
HEAD = ("fc.weight", "fc.bias")
"""The last layer: its classes are not ours, so a file may have any, or none."""


@dataclass(frozen=True, slots=True)
class ResNet50Weights:
    """The layers below the head, and the file that they come from.

    Args:
        weights: float32 tensors by torchvision's names, without ``fc``.
        origin: the file's name and sha256.
    """

    weights: dict[str, Tensor]
    origin: str

    def put_into(self, base: nn.Module) -> None:
        """Replace all of a ``ResNet50`` but its last layer."""
        base.load_state_dict(self.weights, strict=False)


def read_resnet50_weights(path: Path) -> ResNet50Weights:
    """Read and check a state dict of torchvision's ``resnet50``.

    Args:
        path: the file; only tensors are read of it, no code.

    Returns:
        All weights and statistics below the head.

    Raises:
        ConfigError: no such file, no state dict, or one whose names, shapes or values do not fit.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot read the pretrained weights: {error}") from error
    stored = _tensors(path, content)
    with torch.device("meta"):
        wanted = ResNet50(1000).state_dict()
    for name in HEAD:
        stored.pop(name, None)
        del wanted[name]
    # Files written before torch 0.4.1 do not count batches; nothing here reads the count.
    counts = {name for name in wanted if name.endswith(".num_batches_tracked")}
    _check_names(path, set(wanted), set(stored), may_miss=counts)
    for name, tensor in stored.items():
        _check_tensor(path, name, tensor, wanted[name])
    digest = hashlib.sha256(content).hexdigest()
    weights = {name: tensor.to(wanted[name].dtype) for name, tensor in stored.items()}
    return ResNet50Weights(weights, f"{path.name}, sha256 {digest}")


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    problem = "these are no pretrained weights that can be read safely"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            stored: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError) as error:
        raise _refused(path, problem, got=str(error).partition("\n")[0]) from error
    if not isinstance(stored, dict):
        raise _refused(path, problem, got=type(stored).__name__)
    odd = [str(name) for name, value in stored.items() if not isinstance(value, Tensor)]
    if odd:
        raise _refused(path, "the file holds more than tensors", got=_some(odd))
    return {str(name): tensor for name, tensor in stored.items()}


def _check_names(path: Path, wanted: set[str], got: set[str], *, may_miss: set[str]) -> None:
    missing, extra = sorted(wanted - got - may_miss), sorted(got - wanted)
    if missing or extra:
        found = [f"missing {_some(missing)}"] if missing else []
        found += [f"unknown {_some(extra)}"] if extra else []
        raise _refused(path, "these weights are not a ResNet-50's", got="; ".join(found))


def _check_tensor(path: Path, name: str, tensor: Tensor, wanted: Tensor) -> None:
    if tensor.shape != wanted.shape:
        raise _refused(
            path,
            f"{name} has another shape than in a ResNet-50",
            expected=tuple(wanted.shape),
            got=tuple(tensor.shape),
        )
    if tensor.is_floating_point() != wanted.is_floating_point():
        raise _refused(path, f"{name} has another type", expected=wanted.dtype, got=tensor.dtype)
    if not bool(torch.isfinite(tensor).all()):
        raise _refused(path, f"{name} is not finite")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _refused(
    path: Path, problem: str, *, expected: object = None, got: object = None
) -> ConfigError:
    return ConfigError(
        problem,
        source=str(path),
        expected=expected or "a state dict of torchvision's resnet50",
        got=got,
        next_step=WHENCE,
    )
