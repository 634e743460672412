"""Accuracy through detector and crop: made-up faces, detectors that err as they are told."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox
from trainer.emotion_evaluation.framing import (
    FRAME_HEIGHT_PX,
    FRAME_WIDTH_PX,
    SIDE_PX,
    frame_face,
)
from trainer.emotion_evaluation.through_detector import MARGINS, through_detector

CONDITIONING = FaceConditioning.model_construct(
    kind="face_crop",
    size_px=48,
    margin=0.0,
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
)
"""A gate that everything passes."""
N = 24
TARGETS = np.arange(N) % 4


def simulated_faces() -> npt.NDArray[np.uint8]:
    """Grey noise whose brightest quarter, a small square inside it, is the class."""
    rng = np.random.default_rng(0)
    faces = rng.integers(60, 120, (N, 48, 48)).astype(np.uint8)
    for face, target in zip(faces, TARGETS, strict=True):
        top, left = 24 * (target // 2) + 4, 24 * (target % 2) + 4
        face[top : top + 16, left : left + 16] = 230
    return faces


def brightest_quarter(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    quarters = crops.reshape(len(crops), 2, 24, 2, 24).mean(axis=(2, 4)).reshape(len(crops), 4)
    return (quarters / quarters.sum(axis=1, keepdims=True)).astype(np.float32)


class Scripted:
    """Knows where each picture lies and answers with a box that is off by so much."""

    def __init__(
        self,
        *,
        side: float = 1.0,
        right: float = 0.0,
        down: float = 0.0,
        missed: Sequence[int] = (),
    ) -> None:
        self._side, self._right, self._down, self._missed = side, right, down, missed
        self._squares = [frame_face(f, (1, i)).square for i, f in enumerate(simulated_faces())]
        self._calls = 0

    def detect(self, frame: npt.NDArray[np.uint8]) -> list[FaceBox]:
        assert frame.shape == (FRAME_HEIGHT_PX, FRAME_WIDTH_PX, 3)
        i, self._calls = self._calls, self._calls + 1
        if i in self._missed:
            return []
        true = self._squares[i].side_px
        (x, y), side = self._squares[i].centre_px, self._side * true
        left, top = x + self._right * true - side / 2, y + self._down * true - side / 2
        return [FaceBox(left, top, side, side)]


def figures(detector: Scripted, **more: object) -> dict[str, object]:
    found = through_detector(
        simulated_faces(),
        TARGETS,
        detector,
        CONDITIONING,
        brightest_quarter,
        name="scripted",
        **more,  # type: ignore[arg-type]
    )
    return json.loads(json.dumps(found))  # plain JSON values


def test_a_picture_lies_whole_in_its_frame_at_many_places() -> None:
    face = simulated_faces()[0]
    framed = [frame_face(face, (1, i)) for i in range(40)]
    assert len({(f.square.x_px, f.square.y_px) for f in framed}) > 30
    for one in framed:
        box = one.square
        left, top, side = int(box.x_px), int(box.y_px), int(box.width_px)
        assert SIDE_PX[0] <= side <= SIDE_PX[1]
        inside = one.frame[top : top + side, left : left + side]
        assert inside.shape == (side, side, 3)  # nothing is cut off
        small = inside[:, :, 0].reshape(-1)
        assert np.corrcoef(small, _enlarged(face, side).reshape(-1))[0, 1] > 0.95
    np.testing.assert_array_equal(framed[3].frame, frame_face(face, (1, 3)).frame)


def _enlarged(face: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Nearest pixels, written out: independent of any resizing."""
    at = np.minimum((np.arange(side) + 0.5) * 48 / side, 47).astype(int)
    return face[at][:, at]


def test_the_surroundings_are_dim_and_without_an_edge() -> None:
    grey = np.full((48, 48), 90, np.uint8)
    grey[10:38, 10:38] = 200
    framed = frame_face(grey, (1, 5))
    box = framed.square
    outside = np.ones(framed.frame.shape[:2], bool)
    top, left, side = int(box.y_px), int(box.x_px), int(box.width_px)
    outside[top : top + side, left : left + side] = False
    assert np.abs(framed.frame[outside].astype(int) - 90).max() <= 60
    steps = np.abs(np.diff(framed.frame[:, :, 0].astype(int), axis=1))
    assert steps[outside[:, 1:]].max() <= 12


def test_a_detector_that_is_right_loses_nothing() -> None:
    found = figures(Scripted())
    assert found["found"] == 1.0
    assert found["reasons"] == {"found": N}
    assert found["accuracy"]["bare"] == found["accuracy"]["through"] == 1.0
    assert found["geometry"]["side"]["mean"] == pytest.approx(1.0)
    assert found["geometry"]["margin_of_mean_side"] == pytest.approx(0.0)
    assert all(value == pytest.approx(0.0) for value in found["loss"].values())
    assert "margins" not in found


def test_missed_faces_count_as_wrong_and_the_causes_add_up() -> None:
    found = figures(Scripted(missed=(0, 5, 6, 7, 20, 23)))
    accuracy, loss = found["accuracy"], found["loss"]
    assert found["found"] == 0.75
    assert found["reasons"] == {"found": 18, "no_face": 6}
    assert accuracy["through"] == pytest.approx(0.75)
    assert accuracy["through_found"] == 1.0
    assert loss["missed"] == loss["total"] == pytest.approx(0.25)


def test_a_shifted_box_costs_accuracy_and_is_told() -> None:
    found = figures(Scripted(right=0.5, missed=(1, 2)))
    assert found["geometry"]["right"]["mean"] == pytest.approx(0.5)
    assert found["geometry"]["down"]["mean"] == pytest.approx(0.0)
    assert found["accuracy"]["true_square_found"] == 1.0
    assert found["accuracy"]["through_found"] <= 0.6  # half the classes lie outside the crop
    loss = found["loss"]
    assert loss["place_and_size"] > 0.3
    causes = loss["missed"] + loss["resampling"] + loss["place_and_size"]
    assert causes == pytest.approx(loss["total"])


def test_margins_undo_a_box_that_is_too_tight() -> None:
    ways = [(margin, False) for margin in MARGINS] + [(0.0, True)]
    found = figures(Scripted(side=0.8), ways=ways)
    assert found["geometry"]["margin_of_mean_side"] == pytest.approx(0.125, abs=1e-3)
    tight = figures(Scripted(side=0.4, right=-0.15, down=-0.15), ways=[(0.0, False), (0.3, False)])
    assert tight["margins"]["0.00"] < tight["margins"]["0.30"]
    assert set(found["margins"]) == {*(f"{m:.2f}" for m in MARGINS), "0.00, eyes level"}
    assert found["margins"]["0.00"] == found["margins"]["0.00, eyes level"]  # without landmarks


def test_a_detector_that_finds_nothing_is_no_error() -> None:
    found = figures(Scripted(missed=range(N)), ways=[(0.1, False)])
    assert found["found"] == found["accuracy"]["through"] == 0.0
    assert found["geometry"] == found["margins"] == {}
    assert found["loss"]["total"] == found["loss"]["missed"] == 1.0
