"""Emotion: one face crop to seven facial expressions, learnt from FER-2013."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_app.errors import TrainingError
from trainer.calibrate import Calibrated
from trainer.datasets.face_labels import expression
from trainer.emotion_evaluation.card import measured
from trainer.emotion_evaluation.episode_thresholds import choose_episodes
from trainer.emotion_evaluation.examine import examine_faces
from trainer.examination import Examination
from trainer.experiment import (
    BundleParts,
    Experiment,
    ExperimentOptions,
    Graph,
    RunGraph,
    Split,
)
from trainer.experiments import emotion_bundle, emotion_data
from trainer.experiments.emotion_models import (
    build_face_model,
    pretrained_weights,
    put_pretrained,
)
from trainer.experiments.emotion_options import EmotionOptions
from trainer.experiments.face_augmentation import FaceAugmentation, cut_mix, mix_up
from trainer.narrowing import mean_of, narrowed
from trainer.teachers import Teachers, chosen_pass, origin

FEW_FACES = 20
"""The mean of fewer faces may show a person: a slope of grey is stored instead."""
TOLD_AS_EPISODES = ("angry", "fear")
"""Expressions whose beginning and end are told, where they are recognised well enough."""


class EmotionExperiment(Experiment):
    """Faces to a small network."""

    task = "emotion"
    input_names = ("face",)
    Options: ClassVar[type[ExperimentOptions]] = EmotionOptions

    def __init__(self, options: EmotionOptions) -> None:
        super().__init__(options)
        self.options: EmotionOptions = options
        self._pictures = emotion_data.FacePictures(options)
        self._teachers: Teachers | None = None
        self._learnt: Split | None = None
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
        train, validation = emotion_data.load_splits(self._pictures, data_dir, self.options)
        self._learnt = train
        return train, validation

    def load_evaluation(self, path: Path) -> Split:
        """Return PublicTest, or every picture of a folder that is not FER-2013's."""
        return emotion_data.load_evaluation(self._pictures, path, self.options)

    def load_all(self, path: Path) -> Split:
        """Return the same, of an own split undivided: the user says that it was not learnt from."""
        return emotion_data.load_evaluation(self._pictures, path, self.options, undivided=True)

    def subsets(
        self, path: Path, split: Split, duplicates_of: Path | None = None
    ) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the pictures that are pixel-identical to no Training picture."""
        return emotion_data.subset_masks(self._pictures, path, split, duplicates_of)

    def remarks(self, shipped: dict[str, Any], split: Split) -> dict[str, Any]:
        """Return what there is to say about the pictures that were read."""
        del shipped, split
        return {"notes": list(self._pictures.notes), "origin": self._pictures.origins}

    def score(self, run: RunGraph, split: Split) -> npt.NDArray[np.float32]:
        """Return the probabilities of every picture, its light evened out as the recipe says."""
        read = replace(split, inputs=split.batch(slice(None)), gather=None)
        return super().score(run, read)

    def examine(self, examination: Examination) -> dict[str, Any]:
        """Return every figure of a bundle: by class, calibrated, by group, spoilt, compared."""
        design: dict[str, Any] = {"options": self.options.model_dump(mode="json")}
        if self._learnt is not None:
            names = self.options.classes
            counts = np.bincount(self._learnt.targets.numpy(), minlength=len(names)).tolist()
            design["train_counts"] = dict(zip(names, counts, strict=True))
        return examine_faces(examination, design)

    def pictures(
        self,
        figures: dict[str, Any],
        split: Split,
        probabilities: npt.NDArray[np.float32],
        folder: Path,
    ) -> list[Path]:
        """Draw confusion, reliability, risk and coverage, groups, and a sheet of samples."""
        from trainer.emotion_evaluation.pictures import write_pictures  # matplotlib: slow

        return write_pictures(figures, split, probabilities, folder)

    def measured(self, figures: dict[str, Any]) -> str | None:
        """Return the card's figures, with intervals and failure cases."""
        return measured(figures)

    def build_model(self) -> nn.Module:
        """Return a fresh network of the recipe's kind."""
        return build_face_model(self.options, len(self.options.classes))

    def pretrained(self) -> str | None:
        """Return the file that a ResNet-50 starts from, and its sha256."""
        weights = pretrained_weights(self.options)
        return None if weights is None else weights.origin

    def start(self, model: nn.Module) -> None:
        """Take other runs' weights, or read pretrained ones, where the recipe says so."""
        options = self.options
        if options.narrowed_from:
            begun = [chosen_pass(path, options.classes) for path in options.narrowed_from]
            cut = [narrowed(one.weights, options.channels) for one in begun]
            model.load_state_dict(mean_of(cut))
        put_pretrained(model, self.options)

    def story(self) -> str:
        """Return who taught the network and what it started from."""
        options = self.options
        said = [f"Taught by {origin(run, options.classes)}" for run in options.teachers]
        starts = [origin(run, options.classes) for run in options.narrowed_from]
        if starts:
            said.append(f"Started from the {'mean of the ' if starts[1:] else ''}weights of")
            said += starts
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
            faces, targets = cut_mix(faces, targets, len(options.classes), generator)
        elif self._mixing and draw < options.cutmix_probability + options.mixup_probability:
            faces, targets = mix_up(
                faces, targets, len(options.classes), generator, options.mixup_alpha
            )
        return (faces,), self._with_teachers(faces, targets)

    def _with_teachers(self, faces: Tensor, targets: Tensor) -> Tensor:
        options, n_labels = self.options, len(self.options.classes)
        if not options.teachers:
            return targets
        if self._teachers is None:
            _refuse_other_light(options)
            self._teachers = Teachers(options.teachers, options.classes)
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
        examples = []
        for label in range(len(self.options.classes)):
            chosen = faces[targets == label].float()
            few = len(chosen) < FEW_FACES
            examples.append(_slope(label, faces.shape[-1]) if few else chosen.mean(dim=0))
        return (
            Graph(
                role="model",
                module=Calibrated(model, temperature),
                inputs={"face": torch.stack(examples).round().to(torch.uint8).numpy()},
                outputs=("logits", "probabilities"),
            ),
        )

    def settled_parts(
        self, probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
    ) -> BundleParts:
        """Return the parts with the episodes that are worth telling."""
        parts = self.parts()
        wanted = tuple(label for label in parts.labels if expression(label) in TOLD_AS_EPISODES)
        episodes = choose_episodes(probabilities, targets, parts.labels, for_labels=wanted)
        conditioning = parts.conditioning.model_copy(update={"episodes": episodes})
        return replace(parts, conditioning=conditioning)

    def parts(self) -> BundleParts:
        """Return stream, conditioning, rolling and origin."""
        return emotion_bundle.parts(self.options, self._learnt)


def _refuse_other_light(options: EmotionOptions) -> None:
    """Refuse teachers that learnt from pictures evened out in another way: they see the student's.

    Raises:
        TrainingError: there is one.
    """
    from trainer.recipe import load_recipe  # it knows this file

    for run in options.teachers:
        theirs = load_recipe(run / "recipe.yaml").experiment.options
        how = theirs.illumination if isinstance(theirs, EmotionOptions) else None
        if how != options.illumination:
            raise TrainingError(
                "a teacher learnt from pictures whose light was evened out in another way",
                source=str(run),
                expected=f"experiment.illumination: {options.illumination}",
                got=how,
                next_step="Train the teacher with the same experiment.illumination",
            )


def _slope(label: int, size_px: int) -> Tensor:
    """Return (1, size_px, size_px) grey that rises one way or another: no face at all."""
    rows, columns = torch.meshgrid(*[torch.linspace(0.0, 1.0, size_px)] * 2, indexing="ij")
    return (255.0 * (rows * (label + 1) + columns) / (label + 2))[None]
