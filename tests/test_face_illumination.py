"""Evening out the light of a crop: what each way does, and that trainer and bedside do the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_app.build import find_bundle
from edge_app.contracts import StreamInfo, Window
from edge_app.errors import ManifestError, PreprocessError, TrainingError
from edge_app.inference.bundle import Bundle, load_bundle, seal
from edge_app.inference.manifest import FaceConditioning, Illumination, read_manifest
from edge_app.preprocess.face import FaceBox
from edge_app.preprocess.face_finder import FaceReading
from edge_app.preprocess.face_illumination import normalise_illumination
from edge_app.tasks.emotion import EmotionTask
from tests.bundles import write_bundle

WAYS: tuple[Illumination, ...] = get_args(Illumination)
CAMERA = StreamInfo("face", "video", 10.0, ("rgb",), ("rgb8",), "test", True)


def lit_face(face: int, eyes: int, wall: int) -> np.ndarray:
    """Return a disc with two eyes before a wall with a bar in each corner, made up."""
    crop = np.full((64, 64), wall, np.uint8)
    for x in (0, 54):
        crop[2:12, x : x + 10] = face
    cv2.ellipse(crop, (32, 32), (20, 26), 0, 0, 360, face, -1)
    crop[22:26, 22:28] = eyes
    crop[22:26, 36:42] = eyes
    return crop


@pytest.fixture
def crops() -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 220, (12, 6, 6)).astype(np.uint8)
    return np.stack([cv2.resize(one, (48, 48), interpolation=cv2.INTER_CUBIC) for one in coarse])


@pytest.mark.parametrize("way", WAYS)
def test_a_way_leaves_its_input_alone_and_repeats_itself(
    crops: np.ndarray, way: Illumination
) -> None:
    kept = crops.copy()
    done = np.stack([normalise_illumination(crop, way) for crop in crops])
    assert done.shape == crops.shape
    assert done.dtype == np.uint8
    assert np.array_equal(crops, kept)
    assert np.array_equal(done, [normalise_illumination(crop, way) for crop in crops])
    assert np.array_equal(done, crops) is (way == "none")


@settings(max_examples=60)
@given(
    st.sampled_from(WAYS),
    st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
        lambda shape: arrays(np.uint8, shape)
    ),
)
def test_any_grey_picture_is_taken(way: Illumination, crop: np.ndarray) -> None:
    done = normalise_illumination(crop, way)
    assert (done.shape, done.dtype) == (crop.shape, np.uint8)
    if crop.min() == crop.max():
        assert done.min() == done.max()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((48, 48), np.float32),
        np.zeros((48, 48), np.uint16),
        np.zeros((48, 48, 4), np.uint8),
        np.zeros((0, 48), np.uint8),
    ],
)
def test_anything_else_is_refused(way: Illumination, wrong: np.ndarray) -> None:
    with pytest.raises(PreprocessError, match="not a grey picture"):
        normalise_illumination(wrong, way)


def test_standardised_levels_by_hand() -> None:
    halves = np.repeat(np.uint8([[90, 110]]), 8, axis=0).repeat(4, axis=1)
    # mean 100 and deviation 10 become 128 and 64
    assert np.unique(normalise_illumination(halves, "standardise")).tolist() == [64, 192]
    nearly_flat = np.repeat(np.uint8([[100, 102]]), 8, axis=0).repeat(4, axis=1)
    # a deviation of 1 counts as 4: 16 times, not 64 times, the difference
    assert np.unique(normalise_illumination(nearly_flat, "standardise")).tolist() == [112, 144]


def test_gamma_by_hand() -> None:
    # log(1/2) / log(51/255) = 0.43068: the mean goes to 127.5, white stays white, black black
    crop = np.full((10, 10), 51, np.uint8)
    assert normalise_illumination(crop, "gamma")[0, 0] in (127, 128)
    crop[0, :2] = 2, 100  # still 51 in the mean
    done = normalise_illumination(crop, "gamma")
    assert done[0, 1] == round(255 * (100 / 255) ** 0.43068)
    assert (normalise_illumination(np.full((4, 4), 2, np.uint8), "gamma") == 51).all()  # power 1/3
    for level in (0, 255):
        flat = np.full((4, 4), level, np.uint8)
        assert np.array_equal(normalise_illumination(flat, "gamma"), flat)


@pytest.mark.parametrize(("way", "off"), [("standardise", 4), ("equalise", 12)])
def test_less_light_on_the_same_face_gives_nearly_the_same_crop(
    crops: np.ndarray, way: Illumination, off: int
) -> None:
    for crop in crops:
        dark = np.rint(0.4 * crop).astype(np.uint8)
        before, after = (normalise_illumination(one, way).astype(int) for one in (crop, dark))
        assert np.abs(before - after).max() <= off
        assert np.abs(crop.astype(int) - dark).mean() > 40


@pytest.mark.parametrize(
    ("way", "face", "eyes", "wall"),
    [
        ("background_otsu", 200, 40, 60),
        ("background_otsu", 60, 15, 230),
        ("background_adaptive", 200, 40, 60),
    ],
)
def test_what_is_behind_the_face_is_painted_grey(
    way: Illumination, face: int, eyes: int, wall: int
) -> None:
    crop = lit_face(face, eyes, wall)
    done = normalise_illumination(crop, way)
    mean = round(float(crop.mean()))
    for corner in (done[2:12, 0:6], done[2:12, 58:64], done[-6:, :6], done[-6:, -6:]):
        assert (corner == mean).all()
    assert np.array_equal(done[14:50, 20:44], crop[14:50, 20:44])  # eyes and all


def manifest_with(folder: Path, **changes: object) -> Path:
    path = write_bundle(folder, "emotion")
    document = json.loads((path / "manifest.json").read_text())
    document["conditioning"] |= changes
    (path / "manifest.json").write_text(json.dumps(document))
    seal(path)
    return path


def test_a_manifest_from_before_there_was_a_choice_means_none(tmp_path: Path) -> None:
    path = manifest_with(tmp_path)
    document = json.loads((path / "manifest.json").read_text())
    document["conditioning"].pop("illumination", None)
    (path / "manifest.json").write_text(json.dumps(document))
    for manifest in (read_manifest(path), read_manifest(find_bundle("emotion"))):
        assert isinstance(manifest.conditioning, FaceConditioning)
        assert manifest.conditioning.illumination == "none"
    document["conditioning"]["illumination"] = "candlelight"
    (path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ManifestError, match=r"conditioning\.face_crop\.illumination"):
        read_manifest(path)


class Remembers:
    """A model that keeps what it was given."""

    def __init__(self) -> None:
        self.faces: list[np.ndarray] = []

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.faces.append(feeds["face"])
        answers = np.full((1, 7), 1 / 7, np.float32)
        return {"probabilities": answers, "logits": answers}


class Shows:
    """A finder that shows one crop after the other."""

    def __init__(self, crops: np.ndarray) -> None:
        self._crops = iter(crops)

    def update(self, time_s: float, frame: np.ndarray) -> FaceReading:  # noqa: ARG002
        return FaceReading(next(self._crops), FaceBox(0, 0, 60, 60), 1, None, 1.0, True, 0)

    def forget(self) -> None:
        """Nothing is kept."""


def at_the_bedside(bundle: Bundle, crops: np.ndarray) -> np.ndarray:
    """Return what the model gets of some crops."""
    model = Remembers()
    task = EmotionTask(dataclasses.replace(bundle, runners={"model": model}), CAMERA, Shows(crops))
    for k in range(len(crops)):
        task.push(Window(k, k / 10, (k + 1) / 10, 10.0, np.zeros((1, 2, 2, 3), np.uint8)))
    return np.concatenate(model.faces)


@pytest.mark.torch
@pytest.mark.parametrize("way", WAYS)
def test_the_bedside_gives_the_model_the_very_bytes_it_was_trained_and_scored_on(
    tmp_path: Path, crops: np.ndarray, way: Illumination
) -> None:
    torch = pytest.importorskip("torch")
    from trainer.emotion_evaluation.corruptions import darker
    from trainer.experiment import Split
    from trainer.experiments.emotion import EmotionExperiment, EmotionOptions
    from trainer.experiments.emotion_data import reading

    experiment = EmotionExperiment(EmotionOptions(illumination=way))
    assert experiment.parts().conditioning.illumination == way
    dark = darker(crops)  # the light is spoilt first, as in the real world
    split = Split(
        inputs=(torch.from_numpy(dark[:, None]),),
        targets=torch.zeros(len(crops), dtype=torch.int64),
        groups=np.array([f"{i:032x}" for i in range(len(crops))]),
        name="made up",
        gather=reading(way),
    )
    learnt = split.batch(torch.arange(len(crops)))[0].numpy()
    asked = Remembers()
    experiment.score(lambda _, feeds: asked.run(feeds), split)
    assert np.array_equal(np.concatenate(asked.faces), learnt)
    bedside = at_the_bedside(load_bundle(manifest_with(tmp_path, illumination=way)), dark)
    assert np.array_equal(bedside, learnt)
    assert np.array_equal(learnt[:, 0], [normalise_illumination(one, way) for one in dark])


@pytest.mark.torch
def test_a_teacher_of_another_light_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from trainer.experiments.emotion import EmotionExperiment, EmotionOptions
    from trainer.recipe import load_recipe

    taught = load_recipe(Path("emotion_illumination"), ("experiment.illumination=clahe",))
    (tmp_path / "recipe.yaml").write_text(taught.to_yaml())
    experiment = EmotionExperiment(EmotionOptions(teachers=(tmp_path,)))
    faces = torch.zeros((2, 1, 48, 48), dtype=torch.uint8)
    with pytest.raises(TrainingError, match="another way"):
        experiment.augment((faces,), torch.zeros(2, dtype=torch.int64), torch.Generator())
