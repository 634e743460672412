"""What a recipe may say about the emotion experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from trainer.datasets import fer2013
from trainer.experiment import ExperimentOptions

ModelName = Literal["face_vgg", "vgg_small"]
"""The network: trainer/models/<name>.py."""


class EmotionOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for emotion."""

    model: ModelName = Field(default="vgg_small", description="trainer/models/<name>.py.")
    channels: tuple[int, ...] = Field(
        default=(32, 64, 128, 256), min_length=1, max_length=5, description="Of each stage."
    )
    answer_px: int = Field(
        default=44,
        ge=16,
        le=224,
        description="Side at which face_vgg answers; a tenth above the last of sizes_px is best.",
    )
    sizes_px: tuple[tuple[float, int], ...] = Field(
        default=((0.0, fer2013.SIZE_PX),),
        min_length=1,
        description="Share of the passes done, side of the training pictures from then on. Small"
        " ones first are fast.",
    )
    teachers: tuple[Path, ...] = Field(
        default=(), description="Folders of finished runs whose answers join the labels."
    )
    narrowed_from: Path | None = Field(
        default=None,
        description="Folder of a finished run of a wider face_vgg whose weightiest channels are"
        " what training starts from; null: random weights.",
    )
    teacher_share: float = Field(
        default=0.7, ge=0.0, le=1.0, description="Of each target, where there are teachers."
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
    shear_deg: float = Field(default=0.0, ge=0.0, le=45.0, description="Largest shear.")
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
