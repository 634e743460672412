"""The crop is the contract between trainer and bedside."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.errors import PreprocessError
from edge_app.preprocess.face import FaceBox, as_rgb, crop_face, eye_tilt_deg, to_grey


def test_a_crop_is_square_grey_and_centred() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[40:60, 90:110] = 255
    crop = crop_face(frame, FaceBox(80, 30, 40, 40), size_px=40, margin=0.0)
    assert crop.shape == (40, 40)
    assert crop.dtype == np.uint8
    assert crop[10:30, 10:30].min() == 255
    assert crop.sum() == 20 * 20 * 255
    wide = crop_face(frame, FaceBox(80, 30, 40, 40), size_px=80, margin=0.5)
    assert wide[30:50, 30:50].min() == 255
    assert wide.sum() == 20 * 20 * 255


def test_a_crop_of_the_same_size_is_the_frame_itself() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    crop = crop_face(frame, FaceBox(11, 7, 48, 48), size_px=48, margin=0.0)
    np.testing.assert_array_equal(crop, to_grey(frame)[7:55, 11:59])


def test_a_tall_box_gives_a_square_about_its_middle() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (90, 90, 3), np.uint8)
    crop = crop_face(frame, FaceBox(30, 21, 30, 48), size_px=48, margin=0.0)
    np.testing.assert_array_equal(crop, to_grey(frame)[21:69, 21:69])


def test_a_crop_beyond_the_frame_repeats_its_edge() -> None:
    frame = np.full((60, 60, 3), 7, np.uint8)
    crop = crop_face(frame, FaceBox(40, 40, 40, 40), size_px=48, margin=0.2)
    assert (crop == 7).all()
    frame[:, -1] = 200
    crop = crop_face(frame, FaceBox(40, 6, 48, 48), size_px=48, margin=0.0)
    assert (crop[:, 19:] == 200).all()
    assert (crop[:, :19] == 7).all()


def test_grey_is_bt601() -> None:
    frame = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert to_grey(frame).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("tilt_deg", [-30.0, 20.0, 75.0])
def test_eyes_are_levelled_about_the_middle(tilt_deg: float) -> None:
    turn = np.radians(tilt_deg)
    along = np.array([np.cos(turn), np.sin(turn)])
    middle = np.array([100.0, 100.0])
    eyes = [middle - 30 * along, middle + 30 * along]
    frame = np.zeros((200, 200, 3), np.uint8)
    for x, y in eyes:
        frame[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = 255
    points = (*(tuple(eye) for eye in eyes), (100.0, 100.0), (95.0, 120.0), (105.0, 120.0))
    box = FaceBox(50, 50, 100, 100, landmarks=points)
    assert eye_tilt_deg(box) == pytest.approx(tilt_deg)
    crop = crop_face(frame, box, size_px=100, margin=0.0, level_eyes=True)
    rows, columns = np.nonzero(crop > 128)
    left, right = columns < 50, columns >= 50
    assert abs(rows[left].mean() - rows[right].mean()) < 1.0
    assert columns[right].mean() - columns[left].mean() == pytest.approx(60, abs=1.5)
    bent = crop_face(frame, box, size_px=100, margin=0.0)
    rows, columns = np.nonzero(bent > 128)
    assert np.ptp(rows) > 20


def test_without_landmarks_nothing_is_levelled() -> None:
    frame = np.random.default_rng(2).integers(0, 256, (80, 80, 3), np.uint8)
    box = FaceBox(10, 10, 50, 50)
    np.testing.assert_array_equal(
        crop_face(frame, box, size_px=48, margin=0.1, level_eyes=True),
        crop_face(frame, box, size_px=48, margin=0.1),
    )


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (1200, 1600, 3)])
def test_any_box_in_any_frame_gives_a_crop(shape: tuple[int, ...]) -> None:
    frame = np.full(shape, 90, np.uint8)
    for box in (FaceBox(0, 0, 1, 1), FaceBox(-1e4, -1e4, 1e6, 1e6), FaceBox(1e5, 1e5, 30, 30)):
        crop = crop_face(frame, box, size_px=48, margin=1.0)
        assert crop.shape == (48, 48)
        assert (crop == 90).all()


def test_grey_and_rgba_become_rgb() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = np.stack([grey] * 3, axis=2)
    np.testing.assert_array_equal(as_rgb(grey), expected)
    np.testing.assert_array_equal(as_rgb(grey[:, :, None]), expected)
    rgba = np.concatenate([expected, np.full((3, 4, 1), 9, np.uint8)], axis=2)
    np.testing.assert_array_equal(as_rgb(rgba), expected)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(5, np.uint8)],
)
def test_what_is_no_picture_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(PreprocessError, match="not a picture"):
        as_rgb(frame)


@pytest.mark.parametrize("shape", [(20, 32_767, 3), (40_000, 20, 3)])
def test_a_picture_larger_than_opencv_can_move_is_refused(shape: tuple[int, int, int]) -> None:
    frame, box = np.zeros(shape, np.uint8), FaceBox(4, 4, 12, 12)
    with pytest.raises(PreprocessError, match="too large") as refused:
        crop_face(frame, box, size_px=48, margin=0.1)
    assert "32,766" in str(refused.value)
    assert f"{shape[1]:,} x {shape[0]:,} px" in str(refused.value)


def test_the_largest_picture_is_still_cropped() -> None:
    frame = np.full((20, 32_766, 3), 9, np.uint8)
    crop = crop_face(frame, FaceBox(32_740, 4, 12, 12), size_px=48, margin=0.1, level_eyes=True)
    assert (crop == 9).all()
