"""Conditioning is a pure function of one window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_app.errors import ConfigError, PreprocessError
from edge_app.preprocess.face import (
    FaceBox,
    HaarDetector,
    YuNetDetector,
    crop_face,
    primary_face,
    to_grey,
)
from edge_app.preprocess.gait.window import gyr_rms_radps
from edge_app.preprocess.resample import fill_missing, resample_window


@pytest.mark.parametrize(("n_from", "n_to"), [(1500, 3000), (7680, 3000), (208, 200)])
def test_resampling_keeps_a_slow_wave_and_an_offset(n_from: int, n_to: int) -> None:
    def wave(n: int) -> np.ndarray:
        return (40 + 10 * np.cos(2 * np.pi * 3 * np.arange(n) / n))[:, None].astype(np.float32)

    got = resample_window(wave(n_from), n_to)
    assert got.shape == (n_to, 1)
    assert got.dtype == np.float32
    inner = slice(n_to // 20, -n_to // 20)
    np.testing.assert_allclose(got[inner], wave(n_to)[inner], atol=0.05)
    np.testing.assert_allclose(got, wave(n_to), atol=1.0)


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    fast = np.sin(2 * np.pi * 100 * np.arange(7680) / 256)[:, None].astype(np.float32)
    got = resample_window(fast, 3000)  # 100 Hz lies above the new Nyquist of 50 Hz
    assert float(np.sqrt(np.mean(got[100:-100] ** 2))) < 0.01


def test_the_right_length_is_left_alone() -> None:
    samples = np.ones((10, 1), np.float32)
    assert resample_window(samples, 10) is samples


def test_missing_samples_lie_on_a_line() -> None:
    samples = np.array([[np.nan, 1], [2, np.inf], [np.nan, 3], [np.nan, 4], [5, 5]], np.float32)
    before = samples.copy()
    got = fill_missing(samples)
    assert got.tolist() == [[2, 1], [2, 2], [3, 3], [4, 4], [5, 5]]
    np.testing.assert_array_equal(samples, before)
    with pytest.raises(PreprocessError):
        fill_missing(np.full((4, 1), np.nan, np.float32))


def test_the_rms_of_a_known_rotation() -> None:
    n = np.arange(200)
    samples = np.zeros((200, 6), np.float32)
    samples[:, 4] = 2 + np.sin(2 * np.pi * n / 80)
    # mean of (2 + sin)^2 over two and a half periods, by the same sum in float64
    expected = np.sqrt(np.mean((2 + np.sin(2 * np.pi * n / 80)) ** 2))
    assert gyr_rms_radps(samples) == pytest.approx(expected, rel=1e-6)


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


def test_a_crop_beyond_the_frame_repeats_its_edge() -> None:
    frame = np.full((60, 60, 3), 7, np.uint8)
    crop = crop_face(frame, FaceBox(40, 40, 40, 40), size_px=48, margin=0.2)
    assert (crop == 7).all()


def test_grey_is_bt601() -> None:
    frame = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert to_grey(frame).tolist() == [[76, 150, 29]]


def test_the_largest_large_enough_face_is_the_patients() -> None:
    small, large = FaceBox(0, 0, 50, 50), FaceBox(9, 9, 80, 70)
    assert primary_face([small, large], min_face_px=48) is large
    assert primary_face([FaceBox(0, 0, 47, 90)], min_face_px=48) is None
    assert primary_face([], min_face_px=48) is None


def read_frames(path: Path) -> list[np.ndarray]:
    import cv2

    capture, found = cv2.VideoCapture(str(path)), []
    while True:
        got, frame = capture.read()
        if not got:
            return found
        found.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


@pytest.mark.parametrize(
    ("clip", "with_face", "at_least", "at_most"),
    [
        ("single_face.mp4", slice(0, 72), 69, 72),
        ("face_noface.mov", slice(0, 72), 68, 72),
        ("face_noface.mov", slice(74, 169), 0, 2),
        ("no_face.mp4", slice(0, 95), 0, 3),
    ],
)
def test_haar_on_real_clips(
    data_dir: Path, clip: str, with_face: slice, at_least: int, at_most: int
) -> None:
    detector = HaarDetector()
    frames = read_frames(data_dir / "faces" / clip)[with_face]
    found = sum(primary_face(detector.detect(f), min_face_px=48) is not None for f in frames)
    assert at_least <= found <= at_most


def test_yunet_on_a_real_clip(data_dir: Path) -> None:
    detector = YuNetDetector(data_dir / "models" / "yunet_n_320_320.onnx")
    frames = read_frames(data_dir / "faces" / "single_face.mp4")
    boxes = [detector.detect(frame) for frame in frames[::8]]
    assert [len(found) for found in boxes] == [1] * 9
    box = boxes[0][0]  # measured at full size: 222, 85, 149 x 212
    assert (box.x_px, box.y_px) == (pytest.approx(222, abs=12), pytest.approx(85, abs=12))
    assert (box.width_px, box.height_px) == (pytest.approx(149, abs=15), pytest.approx(212, abs=20))


def test_a_detector_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no face detector file"):
        YuNetDetector(tmp_path / "missing.onnx")
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="cannot load this detector"):
        YuNetDetector(wrong)
