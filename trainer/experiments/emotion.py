"""Emotion: one face crop to seven facial expressions, learnt from FER-2013."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from edge_app.contracts import UNIT_RGB8, VIDEO_CHANNELS
from edge_app.errors import DatasetError
from edge_app.inference.manifest import (
    Data,
    FaceConditioning,
    RollingSpec,
    StreamSpec,
    WindowSpec,
)
from trainer.calibrate import Calibrated
from trainer.datasets import fer2013
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, Split
from trainer.experiments.face_augmentation import cut_mix, erase, move, relight
from trainer.models.vgg_residual import VggResidual
from trainer.models.vgg_small import VggSmall

logger = logging.getLogger(__name__)


class EmotionOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for emotion."""

    model: Literal["vgg_small", "vgg_residual"] = Field(
        default="vgg_small", description="The network: trainer/models/<name>.py."
    )
    channels: tuple[int, ...] = Field(
        default=(32, 64, 128, 256), min_length=1, max_length=5, description="Of each stage."
    )
    sizes_px: tuple[tuple[float, int], ...] = Field(
        default=((0.0, fer2013.SIZE_PX),),
        min_length=1,
        description="Share of the passes done, side of the training pictures from then on. Small"
        " ones first are fast; answers are always made at the full size.",
    )
    cutmix_probability: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Share of batches with faces mixed by squares."
    )
    cutmix_until: float = Field(
        default=0.9, ge=0.0, le=1.0, description="Share of the passes after which none are mixed."
    )
    drop_conflicting: bool = Field(
        default=True, description="Drop identical training pictures with different labels."
    )
    drop_blank: bool = Field(default=True, description="Drop training pictures of one grey level.")
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0, description="Before the last layer.")
    rotate_deg: float = Field(default=10.0, ge=0.0, le=45.0, description="Largest turn.")
    scale: float = Field(default=0.15, ge=0.0, le=0.5, description="Largest share grown or shrunk.")
    shift: float = Field(
        default=0.1, ge=0.0, le=0.5, description="Largest share of the width moved."
    )
    brightness: float = Field(
        default=0.15, ge=0.0, le=1.0, description="Largest share of 255 added."
    )
    contrast: float = Field(default=0.2, ge=0.0, lt=1.0, description="Largest share changed.")
    erase_probability: float = Field(
        default=0.5, ge=0.0, le=1.0, description="Share of pictures with a patch painted grey."
    )

    @model_validator(mode="after")
    def _sizes_begin_at_the_start(self) -> EmotionOptions:
        begins = [share for share, _ in self.sizes_px]
        if begins[0] != 0.0 or begins != sorted(begins) or any(s < 16 for _, s in self.sizes_px):
            raise ValueError("sizes_px needs rising shares from 0.0 and sides of at least 16")
        return self


class EmotionExperiment(Experiment):
    """FER-2013 to a small network."""

    task = "emotion"
    input_names = ("face",)
    Options: ClassVar[type[ExperimentOptions]] = EmotionOptions

    def __init__(self, options: EmotionOptions) -> None:
        super().__init__(options)
        self.options: EmotionOptions = options
        self._read: dict[Path, dict[str, fer2013.Faces]] = {}
        self.begin_pass(0, 1)

    def _faces(self, path: Path) -> dict[str, fer2013.Faces]:
        if path not in self._read:
            self._read[path] = fer2013.read_faces(path)
        return self._read[path]

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return cleaned Training, and PublicTest."""
        faces = self._faces(data_dir)
        missing = {"Training", "PublicTest"} - set(faces)
        if missing:
            raise DatasetError(
                f"no {' and no '.join(sorted(missing))} pictures",
                source=str(data_dir),
                expected="FER-2013 with Training and PublicTest",
                got=sorted(faces),
                next_step=f"Point --data at the folder that holds {fer2013.ARCHIVE}",
            )
        train, validation = faces["Training"], faces["PublicTest"]
        fer2013.check_counts(train)
        fer2013.check_counts(validation)
        options = self.options
        train, cleaning = fer2013.clean(
            train,
            validation,
            drop_conflicting=options.drop_conflicting,
            drop_blank=options.drop_blank,
        )
        logger.info(
            "FER-2013: left out of Training %d copies of PublicTest pictures, %d with conflicting "
            "labels, %d blank; %d remain. PublicTest %d.",
            cleaning.copies,
            cleaning.conflicting,
            cleaning.blank,
            len(train.labels),
            len(validation.labels),
        )
        return _split(train), _split(validation)

    def load_evaluation(self, path: Path) -> Split:
        """Return PublicTest, or every picture of a folder that is not FER-2013's."""
        faces = self._faces(path)
        for usage in ("PublicTest", fer2013.OWN):
            if usage in faces:
                if usage != fer2013.OWN:
                    fer2013.check_counts(faces[usage])
                return _split(faces[usage])
        raise DatasetError(
            "no pictures to evaluate on",
            source=str(path),
            expected=f"PublicTest pictures, or folders named {', '.join(fer2013.LABELS)}",
            got=sorted(faces),
            next_step="Training pictures are learnt from: evaluate on others",
        )

    def subsets(self, path: Path, split: Split) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the pictures that are pixel-identical to no Training picture."""
        faces = self._faces(path)
        if "Training" not in faces:
            return {}
        return {"duplicate_free": ~np.isin(split.groups, faces["Training"].groups)}

    def build_model(self) -> nn.Module:
        """Return a fresh network of the recipe's kind."""
        make = {"vgg_small": VggSmall, "vgg_residual": VggResidual}[self.options.model]
        return make(len(fer2013.LABELS), self.options.channels, self.options.dropout)

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return faces as they might have been, 0-255 float; where mixed, shares for targets."""
        options = self.options
        faces = move(
            inputs[0].float(),
            generator,
            size_px=self._size_px,
            rotate_deg=options.rotate_deg,
            scale=options.scale,
            shift=options.shift,
        )
        faces = relight(faces, generator, brightness=options.brightness, contrast=options.contrast)
        faces = erase(faces, generator, probability=options.erase_probability)
        draw = float(torch.rand(1, generator=generator, device=generator.device))
        if self._mixing and draw < options.cutmix_probability:
            faces, targets = cut_mix(faces, targets, len(fer2013.LABELS), generator)
        return (faces,), targets

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

    def _left_out(self) -> list[str]:
        left_out = ["copies of PublicTest"]
        if self.options.drop_conflicting:
            left_out.append("conflicts")
        if self.options.drop_blank:
            left_out.append("blanks")
        return left_out

    def parts(self) -> BundleParts:
        """Return stream, conditioning, rolling and origin."""
        return BundleParts(
            labels=fer2013.LABELS,
            stream=StreamSpec(
                kind="video",
                rate_hz=None,
                channels=VIDEO_CHANNELS,
                units=(UNIT_RGB8,),
                placement="a camera that sees one face from the front",
            ),
            window=WindowSpec(length_samples=1, hop_samples=1),
            conditioning=FaceConditioning(
                kind="face_crop", size_px=fer2013.SIZE_PX, margin=0.1, min_face_px=48
            ),
            rolling=RollingSpec(
                time_constant_s=1.0,
                enter_probability=0.5,
                leave_probability=0.35,
                min_dwell_s=1.0,
                lookahead_windows=0,
                min_evidence_s=0.0,
            ),
            data=(
                Data(
                    name=f"FER-2013 Training, without {', '.join(self._left_out())}",
                    source="Goodfellow et al. 2013, arXiv 1307.0414",
                    licence="none stated; pictures collected from the web, research use",
                    people=None,
                    simulated=False,
                ),
            ),
            intended_use="Rolling facial expression of one consenting adult in front of a camera, "
            "for research. Facial expression, not felt emotion. Not a medical device.",
            limits="Learnt from web pictures, many posed, without age, gender or origin: no "
            "subgroup was or can be tested. Stiff faces (Parkinson's disease, palsy) read as "
            "neutral or sad. Seen from the side, in the dark, or covered, it guesses. People "
            "agree with these labels about 65 times in 100.",
        )


def _split(faces: fer2013.Faces) -> Split:
    name = faces.usage if faces.usage == fer2013.OWN else f"FER-2013 {faces.usage}"
    return Split(
        inputs=(torch.from_numpy(faces.pixels[:, None]),),
        targets=torch.from_numpy(faces.labels),
        groups=faces.groups,
        name=name,
    )
