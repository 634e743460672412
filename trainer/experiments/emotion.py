"""Emotion: one face crop to seven facial expressions, learnt from FER-2013."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
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
from trainer.models.vgg_small import VggSmall

logger = logging.getLogger(__name__)


class EmotionOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for emotion."""

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


class EmotionExperiment(Experiment):
    """FER-2013 to a small VGG."""

    task = "emotion"
    input_names = ("face",)
    Options: ClassVar[type[ExperimentOptions]] = EmotionOptions

    def __init__(self, options: EmotionOptions) -> None:
        super().__init__(options)
        self.options: EmotionOptions = options
        self._read: dict[Path, dict[str, fer2013.Faces]] = {}

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
        """Return a fresh VGG."""
        return VggSmall(len(fer2013.LABELS), dropout=self.options.dropout)

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return flipped, turned, scaled, moved, relit and partly erased faces, 0-255 float."""
        options = self.options
        faces = _move(inputs[0].float(), options, generator)
        n = len(faces)
        gain = 1.0 + options.contrast * _uniform(n, generator)
        offset = 255.0 * options.brightness * _uniform(n, generator)
        mean = faces.mean(dim=(1, 2, 3), keepdim=True)
        faces = (faces - mean) * gain[:, None, None, None] + mean + offset[:, None, None, None]
        return (_erase(faces.clamp(0.0, 255.0), options.erase_probability, generator),), targets

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


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    """Return n numbers from -1 to 1."""
    return torch.rand(n, generator=generator, device=generator.device) * 2.0 - 1.0


def _move(faces: Tensor, options: EmotionOptions, generator: torch.Generator) -> Tensor:
    """Flip, turn, scale and shift each face by its own amounts; borders are repeated."""
    n = len(faces)
    flip = torch.where(_uniform(n, generator) < 0, -1.0, 1.0)
    angle = math.radians(options.rotate_deg) * _uniform(n, generator)
    scale = 1.0 + options.scale * _uniform(n, generator)
    # The grid spans -1 to 1, so a shift of the whole width is 2.
    shift_x = 2.0 * options.shift * _uniform(n, generator)
    shift_y = 2.0 * options.shift * _uniform(n, generator)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    top = torch.stack([flip * cos, -sin, shift_x], dim=1)
    bottom = torch.stack([flip * sin, cos, shift_y], dim=1)
    grid = functional.affine_grid(
        torch.stack([top, bottom], dim=1), list(faces.shape), align_corners=False
    )
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _erase(faces: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Paint one rectangle of 2 to 33 % of some faces in one random grey (Zhong et al. 2017)."""
    n, size_px = len(faces), faces.shape[-1]
    device = generator.device

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, device=device)

    area, aspect = draw(0.02, 0.33) * size_px**2, torch.exp(draw(math.log(0.3), math.log(3.3)))
    half_height, half_width = (area * aspect).sqrt() / 2.0, (area / aspect).sqrt() / 2.0
    centre_y, centre_x = draw(0.0, size_px), draw(0.0, size_px)
    grey, chosen = draw(0.0, 255.0), draw(0.0, 1.0) < probability
    at = torch.arange(size_px, device=device, dtype=torch.float32)
    rows = (at[None] - centre_y[:, None]).abs() < half_height[:, None]
    columns = (at[None] - centre_x[:, None]).abs() < half_width[:, None]
    patch = rows[:, None, :, None] & columns[:, None, None, :] & chosen[:, None, None, None]
    return torch.where(patch, grey[:, None, None, None], faces)
