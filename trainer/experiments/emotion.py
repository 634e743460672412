"""Emotion: one face crop to seven facial expressions, learnt from FER-2013."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.calibrate import Calibrated
from trainer.datasets import fer2013
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, Split
from trainer.experiments import emotion_bundle, emotion_data
from trainer.experiments.emotion_models import build_face_model
from trainer.experiments.emotion_options import EmotionOptions
from trainer.experiments.face_augmentation import FaceAugmentation, cut_mix
from trainer.narrowing import narrowed
from trainer.teachers import Teachers, finished_run, origin


class EmotionExperiment(Experiment):
    """FER-2013 to a small network."""

    task = "emotion"
    input_names = ("face",)
    Options: ClassVar[type[ExperimentOptions]] = EmotionOptions

    def __init__(self, options: EmotionOptions) -> None:
        super().__init__(options)
        self.options: EmotionOptions = options
        self._pictures = emotion_data.FacePictures()
        self._teachers: Teachers | None = None
        self._augmentation = FaceAugmentation(
            rotate_deg=options.rotate_deg,
            scale=options.scale,
            shift=options.shift,
            shear_deg=options.shear_deg,
            brightness=options.brightness,
            contrast=options.contrast,
            erase_probability=options.erase_probability,
        )
        self.begin_pass(0, 1)

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return cleaned Training, and PublicTest."""
        return emotion_data.load_splits(self._pictures, data_dir, self.options)

    def load_evaluation(self, path: Path) -> Split:
        """Return PublicTest, or every picture of a folder that is not FER-2013's."""
        return emotion_data.load_evaluation(self._pictures, path)

    def subsets(self, path: Path, split: Split) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the pictures that are pixel-identical to no Training picture."""
        return emotion_data.subset_masks(self._pictures, path, split)

    def build_model(self) -> nn.Module:
        """Return a fresh network of the recipe's kind."""
        return build_face_model(self.options, len(fer2013.LABELS))

    def start(self, model: nn.Module) -> None:
        """Cut weights out of a wider run, or read pretrained ones, where the recipe says so."""
        if self.options.narrowed_from is not None:
            wide = finished_run(self.options.narrowed_from)
            model.load_state_dict(narrowed(wide.load_best().weights, self.options.channels))

    def story(self) -> str:
        """Return who taught the network and what it started from."""
        options = self.options
        said = [f"Taught by {origin(run)}" for run in options.teachers]
        if options.narrowed_from is not None:
            said.append(f"Started from the weightiest channels of {origin(options.narrowed_from)}")
        return " ".join(said)

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return faces as they might have been, 0-255 float.

        Where faces are mixed or teachers are asked, targets become (n, n_labels) shares.
        """
        options = self.options
        faces = self._augmentation(inputs[0].float(), self._size_px, generator)
        draw = float(torch.rand(1, generator=generator, device=generator.device))
        if self._mixing and draw < options.cutmix_probability:
            faces, targets = cut_mix(faces, targets, len(fer2013.LABELS), generator)
        return (faces,), self._with_teachers(faces, targets)

    def _with_teachers(self, faces: Tensor, targets: Tensor) -> Tensor:
        options, n_labels = self.options, len(fer2013.LABELS)
        if not options.teachers:
            return targets
        if self._teachers is None:
            self._teachers = Teachers(options.teachers, n_labels)
        if not targets.is_floating_point():
            targets = functional.one_hot(targets, n_labels).float()
        share = options.teacher_share
        return (1.0 - share) * targets + share * self._teachers.shares(faces)

    def begin_pass(self, index: int, passes: int) -> None:
        """Set the size and the mixing of the pass."""
        done = index / passes
        self._size_px = [size_px for begins, size_px in self.options.sizes_px if done >= begins][-1]
        self._mixing = done < self.options.cutmix_until

    def loss(
        self, model: nn.Module, logits: Tensor, targets: Tensor, label_smoothing: float
    ) -> Tensor:
        """Return the mean cross-entropy, also with shares of classes as targets."""
        if not targets.is_floating_point():
            return super().loss(model, logits, targets, label_smoothing)
        return functional.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing)

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the one graph, tried on the mean face of each class: a mean shows no person."""
        faces, targets = split.inputs[0], split.targets
        means = [
            faces[targets == label].float().mean(dim=0).round().to(torch.uint8)
            for label in range(len(fer2013.LABELS))
        ]
        return (
            Graph(
                role="model",
                module=Calibrated(model, temperature),
                inputs={"face": torch.stack(means).numpy()},
                outputs=("logits", "probabilities"),
            ),
        )

    def parts(self) -> BundleParts:
        """Return stream, conditioning, rolling and origin."""
        return emotion_bundle.parts(self.options)
