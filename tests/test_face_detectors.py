"""Detectors on real pictures, and on pictures that are hardly any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_app.errors import ConfigError
from edge_app.preprocess.face import FaceDetector
from edge_app.preprocess.face_detectors import HaarDetector, YuNetDetector

YUNET = "models/yunet_n_320_320.onnx"


def read_picture(path: Path) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(str(path))
    got, frame = capture.read()
    assert got
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def test_yunet_gives_boxes_and_landmarks_in_pixels_of_the_full_frame(data_dir: Path) -> None:
    detector = YuNetDetector(data_dir / YUNET)
    frame = read_picture(data_dir / "faces" / "single_face.mp4")
    (box,) = detector.detect(frame)
    # measured with the plain OpenCV call at full size: 222, 85, 149 x 212
    assert (box.x_px, box.y_px) == (pytest.approx(222, abs=3), pytest.approx(85, abs=3))
    assert (box.width_px, box.height_px) == (pytest.approx(149, abs=3), pytest.approx(212, abs=3))
    assert box.score > 0.9
    large = np.repeat(np.repeat(frame, 3, axis=0), 3, axis=1)
    (again,) = detector.detect(large)
    for small, big in zip(np.ravel(box.landmarks), np.ravel(again.landmarks), strict=True):
        assert big == pytest.approx(3 * small, abs=9)
    left, right, nose, mouth, _ = np.array(box.landmarks)
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < mouth[1]


def test_both_detectors_find_the_faces_of_a_group(data_dir: Path) -> None:
    frame = read_picture(data_dir / "faces" / "multi_face.jpg")
    assert len(YuNetDetector(data_dir / YUNET).detect(frame)) == 5
    assert len(HaarDetector().detect(frame)) == 4  # one of them is turned too far for it


@pytest.mark.parametrize("kind", ["haar", "yunet"])
@pytest.mark.parametrize(
    "shape", [(0, 0, 3), (0, 40, 3), (1, 1, 3), (1, 4000, 3), (17, 15, 3), (3000, 4000, 3)]
)
def test_frames_without_room_for_a_face(
    kind: str, shape: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    make: dict[str, Callable[[], FaceDetector]] = {
        "haar": HaarDetector,
        "yunet": lambda: YuNetDetector(request.getfixturevalue("data_dir") / YUNET),
    }
    assert make[kind]().detect(np.full(shape, 90, np.uint8)) == []


def test_a_detector_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no face detector file"):
        YuNetDetector(tmp_path / "missing.onnx")
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="cannot load this detector"):
        YuNetDetector(wrong)


def test_an_opencv_without_haar_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.delattr(cv2, "CascadeClassifier")  # as in OpenCV 5
    with pytest.raises(ConfigError, match="comes without Haar cascades") as raised:
        HaarDetector()
    assert "install-detector" in str(raised.value)
