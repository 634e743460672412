"""What a recipe may say about the emotion experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edge_app.inference.manifest import Illumination
from trainer.datasets import fer2013
from trainer.datasets.face_labels import class_key
from trainer.experiment import ExperimentOptions

ModelName = Literal[
    "face_vgg",
    "clinical_cnn",
    "frozen_resnet50",
    "baseline_cnn",
    "resnet50",
    "attention_cnn",
    "cbam_resnet50",
]
"""The network: trainer/models/<name>.py."""
RESNETS = ("frozen_resnet50", "resnet50", "cbam_resnet50")


def _several(value: Any) -> Any:
    """Return a path as a tuple of one, and nothing as none: recipes once named at most one."""
    if value is None:
        return ()
    return (value,) if isinstance(value, (str, Path)) else value


class EmotionOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for emotion."""

    model: ModelName = Field(default="face_vgg", description="trainer/models/<name>.py.")
    classes: tuple[str, ...] = Field(
        default=fer2013.LABELS,
        min_length=2,
        description="In the order of the answers; pictures are matched by name, in any spelling.",
    )
    size_px: int = Field(
        default=fer2013.SIZE_PX, ge=16, le=512, description="Side of the crop that the model gets."
    )
    illumination: Illumination = Field(
        default="none",
        description="Done to every picture before anything else, here and, by the manifest, at the"
        " bedside: edge_app/preprocess/face_illumination.py. Teachers need the same.",
    )
    split: Literal["official", "own"] = Field(
        default="official",
        description="official: FER-2013's Training and PublicTest, or folders train and validation."
        " own: divided by person where persons are known, else by picture.",
    )
    split_seed: int = Field(default=1, ge=0, description="Start of the search for an own split.")
    validation_share: float = Field(
        default=0.2, gt=0.0, lt=1.0, description="Of the persons, in an own split."
    )
    test_share: float = Field(
        default=0.2,
        ge=0.0,
        lt=1.0,
        description="Of the persons, in an own split: never seen in training, scored by evaluate.",
    )
    clean_copies: bool = Field(
        default=True,
        description="Drop training pictures that are also in validation; kept, they need"
        " --allow-leak.",
    )
    channels: tuple[int, ...] = Field(
        default=(16, 48, 128, 192), min_length=1, max_length=5, description="Of each stage."
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
    filters: tuple[int, ...] = Field(
        default=(32, 64, 128),
        min_length=1,
        max_length=5,
        description="Channels after each convolution of clinical_, baseline_ and attention_cnn.",
    )
    dense: tuple[int, ...] = Field(
        default=(128,),
        max_length=5,
        description="Widths of the layers before the last: those three, and frozen_resnet50.",
    )
    pretrained: Path | None = Field(
        default=None,
        description="State dict of torchvision's resnet50, learnt on ImageNet, that the three with"
        " a ResNet-50 start from; null: from scratch. Read when a run begins, never again.",
    )
    freeze: bool = Field(
        default=True, description="Whether frozen_resnet50 leaves its pretrained base as it is."
    )
    teachers: tuple[Path, ...] = Field(
        default=(), description="Folders of finished runs whose answers join the labels."
    )
    narrowed_from: Annotated[tuple[Path, ...], BeforeValidator(_several)] = Field(
        default=(),
        description="Folders of finished runs of a face_vgg, as wide or wider (their best pass), or"
        " the last.pt in one (its last), whose weightiest channels are what training starts from;"
        " of several, which must descend from one another, the mean. Empty: random weights.",
    )
    teacher_share: float = Field(
        default=0.7, ge=0.0, le=1.0, description="Of each target, where there are teachers."
    )
    cutmix_probability: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Share of batches with faces mixed by squares."
    )
    mixup_probability: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of batches with faces laid over each other; never the same batches.",
    )
    mixup_alpha: float = Field(
        default=0.2, gt=0.0, le=10.0, description="Of Beta(alpha, alpha), the share of one face."
    )
    cutmix_until: float = Field(
        default=0.9,
        ge=0.0,
        le=1.0,
        description="Share of the passes after which no faces are mixed, by squares or laid over.",
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
    def _classes_differ(self) -> EmotionOptions:
        keys = {class_key(name) for name in self.classes}
        if len(keys) < len(self.classes) or "" in keys:
            raise ValueError(
                "classes need names that differ in their letters a to z, one an expression"
            )
        return self

    @model_validator(mode="after")
    def _shares_leave_someone_to_learn_from(self) -> EmotionOptions:
        if self.validation_share + self.test_share >= 1.0:
            raise ValueError("validation_share and test_share together need to be below 1")
        return self

    @model_validator(mode="after")
    def _only_a_resnet_is_pretrained(self) -> EmotionOptions:
        if self.pretrained is not None and self.model not in RESNETS:
            raise ValueError(f"pretrained weights fit {', '.join(RESNETS)}, not {self.model}")
        return self

    @model_validator(mode="after")
    def _only_ours_is_narrowed(self) -> EmotionOptions:
        if self.narrowed_from and self.model != "face_vgg":
            raise ValueError(f"narrowed_from fits face_vgg, not {self.model}: set it to []")
        return self

    @model_validator(mode="after")
    def _widths_are_positive(self) -> EmotionOptions:
        if min((*self.channels, *self.filters, *self.dense)) < 1:
            raise ValueError("channels, filters and dense need numbers of at least 1")
        return self

    @model_validator(mode="after")
    def _a_batch_is_mixed_in_one_way(self) -> EmotionOptions:
        if self.cutmix_probability + self.mixup_probability > 1.0:
            raise ValueError("cutmix_probability and mixup_probability together are at most 1")
        return self

    @model_validator(mode="after")
    def _sizes_begin_at_the_start(self) -> EmotionOptions:
        begins = [share for share, _ in self.sizes_px]
        if begins[0] != 0.0 or begins != sorted(begins) or any(s < 16 for _, s in self.sizes_px):
            raise ValueError("sizes_px needs rising shares from 0.0 and sides of at least 16")
        return self
