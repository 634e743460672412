"""What one experiment gives to the common loop: data, a model, augmentation, and graphs to export.

``trainer/experiments/{emotion,sleep,frailty}.py`` each implement it; ``fit``, ``evaluate`` and ``export``
know nothing else about a task. A new modality is one more file there and one line in ``registry``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_app.inference.manifest import (
    Data,
    EegConditioning,
    FaceConditioning,
    GaitConditioning,
    RollingSpec,
    StreamSpec,
    WindowSpec,
)

IGNORE = -1
"""Target of an example that has no label: it counts in no loss and no metric."""


@dataclass(frozen=True, slots=True)
class Split:
    """One side of a split.

    Args:
        inputs: tensors with the same first axis, in the order of the model's ``forward``.
        targets: (n,) or (n, length) int64, ``IGNORE`` where there is no label.
        groups: the person of each example (a file name where persons are unknown); no group may
            stand on both sides.
        name: what to call it in reports, such as ``PublicTest``.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    groups: npt.NDArray[np.str_]
    name: str


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX graph to export.

    Args:
        role: ``model``, ``encoder`` or ``sequence``, as in the manifest.
        module: its ``forward`` takes the inputs in order and returns the outputs in order.
        inputs: name and an (n_cases, ...) array of real examples each; case i, with a leading 1, is what
            the runtime feeds. They become ``golden.npz``.
        outputs: names of the outputs.
    """

    role: str
    module: nn.Module
    inputs: dict[str, npt.NDArray[np.generic]]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What the manifest needs to know that the loop does not."""

    labels: tuple[str, ...]
    stream: StreamSpec
    window: WindowSpec
    conditioning: FaceConditioning | EegConditioning | GaitConditioning
    rolling: RollingSpec
    data: tuple[Data, ...]
    intended_use: str
    limits: str


class Experiment(ABC):
    """One task's story from data to exported graphs. Built from the recipe's ``experiment`` section."""

    task: str

    @abstractmethod
    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return the training and the validation split, no group on both sides.

        Raises:
            DatasetError: data missing, damaged, or leaking between the sides.
        """

    @abstractmethod
    def load_evaluation(self, path: Path) -> Split:
        """Return the split that ``trainer evaluate BUNDLE --data PATH`` scores."""

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Return a fresh model: ``forward(*inputs)`` gives logits, class axis last."""

    @abstractmethod
    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return an augmented training batch; must be vectorised."""

    @abstractmethod
    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the graphs to export, in the order of the manifest, with real examples from ``split``.

        The last graph's outputs are ``logits`` and ``probabilities`` (softmax of logits / temperature).
        """

    @abstractmethod
    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
