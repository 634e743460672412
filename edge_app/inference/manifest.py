"""``manifest.json``: everything the runtime must know about a bundle, nearly every field required.

A bundle is a folder ``exports/<name>/`` with the ONNX graphs, ``golden.npz``, ``manifest.json``,
``README.md`` (model card) and ``metrics.json``. Graph inputs and outputs have static shapes with
a leading batch of 1. The graph that ends the chain has the outputs ``logits`` and
``probabilities``; temperature, normalisation and features are inside. The device YAML holds no
model parameter: they are all here.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_app.counted import counted
from edge_app.errors import ManifestError

FORMAT_VERSION = 1
MAX_OPSET = 17
"""onnxruntime 1.23.2, the last wheel for Python 3.10 on aarch64, and TensorRT 10 both take it."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
Illumination = Literal[
    "none",
    "equalise",
    "clahe",
    "gamma",
    "standardise",
    "background_otsu",
    "background_adaptive",
]
"""What is done to a face crop before the model: ``edge_app.preprocess.face_illumination``."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class StreamSpec(_Part):
    """The signal that the model was trained on."""

    kind: Literal["eeg", "imu", "video"]
    rate_hz: Positive | None = Field(description="Samples a second; null for video: any rate.")
    channels: tuple[str, ...] = Field(min_length=1)
    units: tuple[str, ...] = Field(min_length=1)
    placement: str = Field(description="Where the sensor sits, in words.")


class WindowSpec(_Part):
    """Window and hop in samples at ``stream.rate_hz``."""

    length_samples: int = Field(ge=1)
    hop_samples: int = Field(ge=1)


class EpisodeSpec(_Part):
    """When an expression counts as an episode; chosen on the validation pictures."""

    label: str
    enter_probability: Fraction = Field(description="An episode begins at or above this.")
    leave_probability: Fraction = Field(description="It ends below this.")
    min_duration_s: Annotated[float, Field(ge=0.0)] = Field(
        description="Shorter ones do not count."
    )
    ppv: Fraction = Field(
        description="Share of validation pictures at or above enter_probability that carry the"
        " label."
    )
    ppv_low: Fraction = Field(description="Lower end of its 95 % Wilson interval.")
    recall: Fraction = Field(description="Share of the label's pictures that are found so.")
    prevalence: Fraction = Field(description="Share of the label among the validation pictures.")


class FaceConditioning(_Part):
    """Frame to face crop: ``edge_app.preprocess.face`` and its neighbours.

    Grey levels are 0 to 255 of the crop that the model sees.
    """

    kind: Literal["face_crop"]
    size_px: int = Field(ge=16, le=512)
    margin: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        description="Added on each side of the detector's box, as a share of its longer side."
    )
    level_eyes: bool = Field(
        description="Turn the crop until the eyes are level, where the detector tells them."
    )
    illumination: Illumination = Field(
        default="none",
        description="Done to the crop before the model, and to every picture it learnt from; a"
        " manifest without this line is from before there was a choice.",
    )
    min_face_px: int = Field(ge=8, description="Least shorter side of a face's box.")
    detect_every: int = Field(ge=1, description="Frames; between them faces are tracked.")
    min_hits: int = Field(ge=1, description="Detections in a row before a track counts as a face.")
    track_lost_s: Positive = Field(description="A face not found again for so long is gone.")
    min_sharpness: Annotated[float, Field(ge=0.0)] = Field(
        description="Least variance of the crop's Laplacian, in squared grey levels."
    )
    min_exposure: Annotated[float, Field(ge=0.0, le=255.0)] = Field(
        description="Dark: 95 of 100 pixels are below this grey level."
    )
    max_exposure: Annotated[float, Field(ge=0.0, le=255.0)] = Field(
        description="Bright: 95 of 100 pixels are above this grey level."
    )
    max_saturated: Fraction = Field(
        description="Bright too: a larger share of pixels is burnt out, at 250 or above."
    )
    max_turn: Positive = Field(
        description="Largest offset of the nose from the middle of the eyes, in eye distances;"
        " needs landmarks."
    )
    episodes: tuple[EpisodeSpec, ...] = Field(
        description="Expressions whose episodes are told; empty: none."
    )


class EegConditioning(_Part):
    """One EEG epoch at the model's rate: ``edge_app.preprocess.eeg``."""

    kind: Literal["eeg_epoch"]
    max_missing_fraction: Fraction
    flat_below_uv: Positive
    clipped_above_fraction: Fraction
    max_abs_uv: Positive = Field(description="No EEG is farther from the epoch's median.")
    movement_uv: Positive = Field(
        description="A second with a larger excursion from the epoch's median is movement."
    )
    max_movement_fraction: Fraction = Field(
        description="With a larger share of such seconds an epoch is not classified."
    )
    max_mains_share: Fraction = Field(
        description="With a larger share of its power within 1 Hz of 50 or 60 Hz an epoch is not"
        " classified: an electrode is off."
    )
    estimate_every_s: Positive | None = Field(
        description="A passing estimate over the trailing epoch, this often between the epochs'"
        " ends; null: none."
    )


class GaitConditioning(_Part):
    """One IMU window at the model's rate: ``edge_app.preprocess.gait.window``."""

    kind: Literal["gait_window"]
    max_missing_fraction: Fraction
    min_gyr_rms_radps: Positive = Field(description="Below it nobody walks on this foot.")


class StrideConditioning(_Part):
    """A foot's signal to gait parameters of a person: ``edge_app.preprocess.gait.analyser``.

    The graph's input ``gait`` is (1, n_parameters) float32 in the order of ``parameters``, NaN
    where one is not known.
    """

    kind: Literal["gait_strides"]
    parameters: tuple[str, ...] = Field(
        min_length=1, description="Parameter and statistic: stride_time_s_mean, stride_time_s_sd."
    )
    max_missing_fraction: Fraction
    min_strides: int = Field(ge=2, description="Accepted strides needed before an answer.")


Conditioning = FaceConditioning | EegConditioning | GaitConditioning | StrideConditioning


class TensorSpec(_Part):
    """One graph input or output."""

    name: str
    dtype: Literal["float32", "uint8", "int64", "bool"]
    shape: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _static(self) -> TensorSpec:
        if prod(self.shape) < 1 or self.shape[0] != 1:
            raise ValueError(f"shape {self.shape} must be static with a leading batch of 1")
        return self


class GraphSpec(_Part):
    """One ONNX file of the bundle."""

    role: Literal["model", "encoder", "sequence"]
    file: FileName
    sha256: Sha256
    opset: int = Field(ge=13, le=MAX_OPSET)
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)


class RollingSpec(_Part):
    """How single answers become a rolling one: ``edge_app.rolling``."""

    time_constant_s: Positive | None = Field(description="Smoothing in time; null: none.")
    enter_probability: Fraction = Field(description="A label is taken up at or above this.")
    leave_probability: Fraction = Field(description="A label is given up below this.")
    min_dwell_s: Annotated[float, Field(ge=0.0)] = Field(
        description="Least time between two labels."
    )
    lookahead_windows: int = Field(
        ge=0, description="Windows after which a revised answer is final."
    )
    min_evidence_s: Annotated[float, Field(ge=0.0)] = Field(
        description="Signal time needed before a person-level answer."
    )

    @model_validator(mode="after")
    def _ordered(self) -> RollingSpec:
        if self.leave_probability > self.enter_probability:
            raise ValueError("leave_probability must not exceed enter_probability")
        return self


class Calibration(_Part):
    """Temperature scaling, already inside the graph; recorded here."""

    temperature: Positive
    fitted_on: str


class Golden(_Part):
    """Stored inputs and outputs, and how far a backend may stray from them."""

    file: FileName
    sha256: Sha256
    cases: int = Field(ge=1)
    tolerance_fp32: Positive
    tolerance_fp16: Positive


class Data(_Part):
    """What the model learned from."""

    name: str
    source: str
    licence: str
    people: int | None = Field(ge=1, description="Number of people; null when unknown.")
    simulated: bool


class Training(_Part):
    """Where the weights come from."""

    commit: str
    recipe: str
    command: str
    date: str
    seed: int
    data: tuple[Data, ...] = Field(min_length=1)


class Metric(_Part):
    """One measured figure."""

    name: str
    value: float = Field(allow_inf_nan=False)
    data: str
    split: str
    simulated: bool


class Manifest(_Part):
    """The whole of ``manifest.json``."""

    format_version: Literal[1]
    name: FileName
    task: Literal["emotion", "sleep", "frailty"]
    labels: tuple[str, ...] = Field(min_length=2)
    stream: StreamSpec
    window: WindowSpec
    conditioning: Conditioning = Field(discriminator="kind")
    graphs: tuple[GraphSpec, ...] = Field(min_length=1, max_length=2)
    rolling: RollingSpec
    calibration: Calibration
    golden: Golden
    training: Training
    metrics: tuple[Metric, ...]
    intended_use: str
    limits: str

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        roles = tuple(graph.role for graph in self.graphs)
        if roles not in (("model",), ("encoder", "sequence")):
            raise ValueError(f"graphs must be [model] or [encoder, sequence], not {list(roles)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ")
        outputs = {tensor.name: tensor.shape for tensor in self.graphs[-1].outputs}
        for name in ("logits", "probabilities"):
            shape = outputs.get(name)
            if shape is None or shape[-1] != len(self.labels):
                raise ValueError(
                    f"the last graph needs an output {name!r} ending in {len(self.labels)} labels, "
                    f"has {outputs}"
                )
        if len(self.stream.units) != len(self.stream.channels):
            raise ValueError("stream.units must have one unit a channel")
        window = self.window
        if self.conditioning.kind == "gait_strides" and window.hop_samples != window.length_samples:
            raise ValueError("strides need windows that join: window hop must equal its length")
        if self.stream.rate_hz is None and self.stream.kind != "video":
            raise ValueError("stream.rate_hz may be null for video only")
        return self

    @property
    def simulated(self) -> bool:
        """True when any of the training data is simulated."""
        return any(data.simulated for data in self.training.data)


def read_manifest(bundle_dir: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Args:
        bundle_dir: the bundle's folder.

    Returns:
        The manifest; files are not checked here, see ``bundle.load_bundle``.

    Raises:
        ManifestError: no such file, not JSON, a missing, unknown or wrong field.
    """
    path = bundle_dir / "manifest.json"
    if not path.is_file():
        raise ManifestError(
            "no manifest.json: this is not a bundle",
            source=str(bundle_dir),
            next_step="Name a folder made by `trainer export`, such as exports/emotion",
        )
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ManifestError(
            f"{counted(error.error_count(), 'error')}, the first at {where}: {first['msg']}",
            source=str(path),
            next_step="Export the bundle again with `trainer export`; do not edit it by hand",
        ) from error
