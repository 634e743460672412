"""A tiny separable problem with a real experiment's whole interface; its data are simulated."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from edge_app.inference.manifest import (
    Data,
    FaceConditioning,
    RollingSpec,
    StreamSpec,
    WindowSpec,
)
from trainer.calibrate import Calibrated
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, Split
from trainer.metrics import IGNORE

LABELS = ("low", "middle", "high")
FEATURES = 6
KILL_IN_CALL = "TOY_KILL_IN_CALL"
"""Environment variable: the call of augment in which the process is killed, as by kill -9."""


class ToyOptions(ExperimentOptions):
    length: int = Field(default=0, ge=0, le=50, description="Steps a sequence; 0: no sequences.")
    shared_person: bool = Field(default=False, description="Put one person on both sides.")
    interrupt_in_call: int = Field(default=0, ge=0, description="Call of augment that is cut.")
    nan_in_call: int = Field(default=0, ge=0, description="Call of augment that gives NaN.")
    noise: float = Field(default=0.05, ge=0.0, description="Of the augmentation.")
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0, description="Before the last layer.")


class ToyExperiment(Experiment):
    """The class is the third of the line that the sum of the inputs falls into."""

    task = "emotion"
    input_names = ("features",)
    Options: ClassVar[type[ExperimentOptions]] = ToyOptions

    def __init__(self, options: ToyOptions) -> None:
        super().__init__(options)
        self.calls = 0

    def _split(self, seed: int, n: int, name: str) -> Split:
        generator = np.random.default_rng(seed)
        shape = (n, self.options.length) if self.options.length else (n,)
        inputs = generator.normal(size=(*shape, FEATURES)).astype(np.float32)
        targets = np.digitize(inputs.sum(axis=-1), [-1.0, 1.0]).astype(np.int64)
        if self.options.length:
            targets[:, 0] = IGNORE
        people = [f"{name}-{i % 10}" for i in range(n)]
        if self.options.shared_person:
            people[0] = "Ada"
        return Split((torch.from_numpy(inputs),), torch.from_numpy(targets), np.array(people), name)

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        return self._split(1, 600, "simulated training"), self.load_evaluation(data_dir)

    def load_evaluation(self, path: Path) -> Split:
        del path  # drawn, not read
        return self._split(2, 150, "simulated validation")

    def build_model(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(FEATURES, 16),
            nn.ReLU(),
            nn.Dropout(self.options.dropout),
            nn.Linear(16, len(LABELS)),
        )

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        self.calls += 1
        if self.calls == self.options.interrupt_in_call:
            raise KeyboardInterrupt
        if self.calls == int(os.environ.get(KILL_IN_CALL, "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        noise = self.options.noise * torch.randn(inputs[0].shape, generator=generator)
        if self.calls == self.options.nan_in_call:
            noise = noise * float("nan")
        return (inputs[0] + noise,), targets

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        examples: Any = split.inputs[0][:5].numpy()
        module = Calibrated(model, temperature)
        return (Graph("model", module, {"features": examples}, ("logits", "probabilities")),)

    def subsets(
        self, path: Path, split: Split, duplicates_of: Path | None = None
    ) -> dict[str, Any]:
        del path, duplicates_of
        return {"first_half": np.arange(len(split.targets)) < len(split.targets) // 2}

    def parts(self) -> BundleParts:
        return BundleParts(
            labels=LABELS,
            stream=StreamSpec(
                kind="video", rate_hz=None, channels=("rgb",), units=("rgb8",), placement="nowhere"
            ),
            window=WindowSpec(length_samples=1, hop_samples=1),
            conditioning=FaceConditioning(
                kind="face_crop",
                size_px=48,
                margin=0.1,
                level_eyes=False,
                min_face_px=48,
                detect_every=3,
                min_hits=3,
                track_lost_s=0.4,
                min_sharpness=0.0,
                min_exposure=0.0,
                max_exposure=255.0,
                max_saturated=1.0,
                max_turn=0.5,
                episodes=(),
            ),
            rolling=RollingSpec(
                time_constant_s=1.0,
                enter_probability=0.5,
                leave_probability=0.4,
                min_dwell_s=1.0,
                lookahead_windows=0,
                min_evidence_s=0.0,
            ),
            data=(Data(name="toy", source="a test", licence="none", people=10, simulated=True),),
            intended_use="A test.",
            limits="Everything.",
        )
