"""The gate: each spoilt picture has its own reason, and a good one has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_app.build import find_bundle
from edge_app.contracts import AbstainReason
from edge_app.inference.manifest import FaceConditioning, read_manifest
from edge_app.preprocess.face import FaceBox, crop_face
from edge_app.preprocess.face_detectors import YuNetDetector
from edge_app.preprocess.face_quality import FaceQuality, grade, measure, turn_of, why_not
from tests.face_stage import CONDITIONING
from tests.test_face_detectors import YUNET, read_picture

GOOD = FaceQuality(size_px=200, sharpness=900, dark_end=20, bright_end=220, saturated=0.0, turn=0.1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"size_px": 23.9}, AbstainReason.TOO_SMALL),
        ({"size_px": 24.0}, None),
        ({"bright_end": 39.0}, AbstainReason.DARK),
        ({"dark_end": 181.0}, AbstainReason.BRIGHT),
        ({"saturated": 0.61}, AbstainReason.BRIGHT),
        ({"sharpness": 9.9}, AbstainReason.BLUR),
        ({"turn": 0.51}, AbstainReason.TURNED),
        ({"turn": None}, None),
    ],
)
def test_each_fault_has_its_own_reason(change: dict[str, float], reason: object) -> None:
    assert why_not(replace(GOOD, **change), CONDITIONING) is reason


def test_quality_falls_with_size_sharpness_and_turn() -> None:
    assert grade(GOOD, CONDITIONING) == pytest.approx(0.9)  # the turn: 1 - 0.5 * 0.1 / 0.5
    assert grade(replace(GOOD, size_px=24), CONDITIONING) == pytest.approx(0.5)
    assert grade(replace(GOOD, sharpness=10), CONDITIONING) == pytest.approx(0.25)
    assert grade(replace(GOOD, turn=0.5), CONDITIONING) == pytest.approx(0.5)
    assert grade(replace(GOOD, turn=None), CONDITIONING) == 1.0


def test_figures_of_known_pictures() -> None:
    board = np.indices((48, 48)).sum(axis=0) % 2 * 255
    found = measure(board.astype(np.uint8), FaceBox(0, 0, 70, 60))
    # 4-neighbour Laplacian of a checkerboard of 0 and 255: +-4 * 255
    assert found.sharpness == pytest.approx((4 * 255) ** 2)
    assert (found.size_px, found.dark_end, found.bright_end) == (60, 0, 255)
    assert found.saturated == 0.5
    assert measure(np.full((48, 48), 99, np.uint8), FaceBox(0, 0, 70, 60)).sharpness == 0.0


@pytest.mark.parametrize("tilt_deg", [0.0, 33.0, -80.0])
def test_a_turn_is_the_noses_offset_along_the_eyes(tilt_deg: float) -> None:
    turn = np.radians(tilt_deg)
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def box(nose_x: float) -> FaceBox:
        points = np.array([[-20, 0], [20, 0], [nose_x, 25], [-15, 40], [15, 40]]) @ rotate.T + 99
        return FaceBox(50, 50, 90, 90, landmarks=tuple(map(tuple, points.tolist())))

    assert turn_of(box(0)) == pytest.approx(0.0, abs=1e-9)
    assert turn_of(box(10)) == pytest.approx(0.25)
    assert turn_of(box(-30)) == pytest.approx(0.75)  # beyond an eye: seen from the side


def test_one_eye_behind_the_other_is_turned() -> None:
    box = FaceBox(0, 0, 60, 60, landmarks=((30, 30),) * 5)
    assert why_not(replace(GOOD, turn=turn_of(box)), CONDITIONING) is AbstainReason.TURNED
    assert grade(replace(GOOD, turn=turn_of(box)), CONDITIONING) == 0.0


@pytest.fixture(scope="module")
def real(data_dir: Path) -> tuple[np.ndarray, FaceBox, FaceConditioning]:
    frame = read_picture(data_dir / "faces" / "single_face.mp4")
    (box,) = YuNetDetector(data_dir / YUNET).detect(frame)
    limits = read_manifest(find_bundle("emotion")).conditioning
    assert isinstance(limits, FaceConditioning)
    return frame, box, limits


def spoilt(frame: np.ndarray, how: str) -> np.ndarray:
    import cv2

    if how == "blurred":
        return cv2.GaussianBlur(frame, (0, 0), 12)  # a face of 212 px: 2.7 px of the crop
    gain = {"as it is": 1.0, "half the light": 0.5, "unlit": 0.12, "glare": 8.0}[how]
    return np.clip(frame * gain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("as it is", None),
        ("half the light", None),
        ("blurred", AbstainReason.BLUR),
        ("unlit", AbstainReason.DARK),
        ("glare", AbstainReason.BRIGHT),
    ],
)
def test_the_shipped_limits_on_a_real_face(
    real: tuple[np.ndarray, FaceBox, FaceConditioning], how: str, reason: object
) -> None:
    frame, box, limits = real
    crop = crop_face(spoilt(frame, how), box, size_px=limits.size_px, margin=limits.margin)
    assert why_not(measure(crop, box), limits) is reason
