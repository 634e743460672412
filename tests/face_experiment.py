"""A tiny experiment on made-up faces whose answer lies in one corner; its data are simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from tests.toy_experiment import LABELS, ToyExperiment
from trainer.calibrate import Calibrated
from trainer.experiment import BundleParts, Graph, Split

SIZE_PX = 24
CORNER = (slice(4, 12), slice(12, 20))
"""Rows and columns of the only pixels that tell the class."""


class CornerNet(nn.Module):
    """Two convolutions with batch normalisation, a residual sum, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True)),
        )
        self.last = nn.Linear(8 * 36, len(LABELS))

    @property
    def explain_layer(self) -> nn.Module:
        return self.blocks

    def forward(self, face: Tensor) -> Tensor:
        maps = torch.relu(self.first((face.float() - 128.0) / 64.0))
        maps = nn.functional.avg_pool2d(self.blocks(maps) + maps, 4)
        return self.last(maps.flatten(1))


class FaceExperiment(ToyExperiment):
    """Grey noise; the corner is dark, middling or bright; a fifth of the labels are chance."""

    input_names = ("face",)

    def _split(self, seed: int, n: int, name: str) -> Split:
        rng = np.random.default_rng(seed)
        targets = rng.integers(0, len(LABELS), n)
        faces = rng.normal(128.0, 30.0, (n, 1, SIZE_PX, SIZE_PX))
        faces[(slice(None), 0, *CORNER)] += 60.0 * (targets - 1.0)[:, None, None]
        chance = rng.uniform(size=n) < 0.2  # so that a calibrated answer is not quite sure
        targets = np.where(chance, rng.integers(0, len(LABELS), n), targets)
        people = np.array([f"{name}-{i}" for i in range(n)])
        pixels = torch.from_numpy(faces.clip(0, 255).astype(np.uint8))
        return Split((pixels,), torch.from_numpy(targets), people, name)

    def build_model(self) -> nn.Module:
        return CornerNet()

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        del generator
        return inputs, targets

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        faces = split.inputs[0][:4].numpy()
        module = Calibrated(model, temperature)
        return (Graph("model", module, {"face": faces}, ("logits", "probabilities")),)

    def parts(self) -> BundleParts:
        parts = super().parts()
        conditioning = parts.conditioning.model_copy(update={"size_px": SIZE_PX})
        return replace(parts, conditioning=conditioning)
