"""Face detectors behind one interface: YuNet from a file, Haar cascade from the OpenCV package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_app.errors import ConfigError
from edge_app.preprocess.face import FaceBox, Landmarks, Picture, to_grey

YUNET_WIDTH_PX = 640
HAAR_WIDTH_PX = 320
"""Frames are shrunk until their longer side is this; crops are taken from the full frame."""
LEAST_SIDE_PX = 16
"""In a smaller picture there is no face to be found."""


def _shrink(frame: Picture, longest_px: int) -> tuple[Picture | None, float]:
    """Return the frame for detection and its scale; None: too small to hold a face."""
    import cv2

    if min(frame.shape[:2]) < 1:
        return None, 1.0
    scale = min(1.0, longest_px / max(frame.shape[:2]))
    small = frame
    if scale < 1.0:
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return (small if min(small.shape[:2]) >= LEAST_SIDE_PX else None), scale


class HaarDetector:
    """The frontal-face cascade that comes with OpenCV 4: works offline, frontal faces only.

    Raises:
        ConfigError: this OpenCV has no cascades (5.x dropped them).

    Source: Viola and Jones 2001; cascade ``haarcascade_frontalface_alt2`` of the OpenCV package.
    """

    def __init__(self) -> None:
        import cv2

        path = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / (
            "haarcascade_frontalface_alt2.xml"
        )
        if not hasattr(cv2, "CascadeClassifier") or not path.is_file():
            raise ConfigError(
                f"OpenCV {cv2.__version__} comes without Haar cascades",
                next_step="Install a YuNet file with `edge-app install-detector FILE`, or "
                "opencv-python-headless 4.x",
            )
        self._cascade: Any = cv2.CascadeClassifier(str(path))

    def detect(self, frame: Picture) -> list[FaceBox]:
        """Return the faces of a (height, width, 3) uint8 RGB frame, without landmarks."""
        small, scale = _shrink(frame, HAAR_WIDTH_PX)
        if small is None:
            return []
        found = self._cascade.detectMultiScale(
            to_grey(small), scaleFactor=1.1, minNeighbors=3, minSize=(24, 24)
        )
        return [_haar_box(np.asarray(box) / scale) for box in found]


class YuNetDetector:
    """YuNet through OpenCV's ``FaceDetectorYN``: also turned and partly covered faces.

    Args:
        path: a YuNet ONNX file with a fixed input size.
        min_score: least detection score; 0.7 removes the known false hits.
        longest_px: frames with a longer side are shrunk to it.

    Raises:
        ConfigError: no such file, or not a detector that this OpenCV can load.

    Source: Wu, Peng and Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector".
    """

    def __init__(
        self, path: Path, *, min_score: float = 0.7, longest_px: int = YUNET_WIDTH_PX
    ) -> None:
        import cv2

        if not path.is_file():
            raise ConfigError(
                "no face detector file",
                source=str(path),
                next_step="Correct the path, or leave the detector out to use OpenCV's own",
            )
        before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._detector: Any = cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score)
            self._detector.detect(np.zeros((320, 320, 3), np.uint8))  # another network fails here
        except cv2.error as error:
            why = error.err.strip("> \n").partition("\n")[0].partition(": OpenCV(")[0]
            raise ConfigError(
                f"OpenCV {cv2.__version__} cannot load this detector: {why}",
                source=str(path),
                next_step="Use a YuNet file with a fixed input size, such as yunet_n_320_320.onnx",
            ) from error
        finally:
            cv2.utils.logging.setLogLevel(before)
        self._longest_px = longest_px
        self._size = (320, 320)

    def detect(self, frame: Picture) -> list[FaceBox]:
        """Return the faces of a (height, width, 3) uint8 RGB frame, with landmarks."""
        import cv2

        small, scale = _shrink(frame, self._longest_px)
        if small is None:
            return []
        size = (small.shape[1], small.shape[0])
        if size != self._size:
            self._detector.setInputSize(size)
            self._size = size
        _, found = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return [] if found is None else [_yunet_box(row / scale, row[14]) for row in found]


def _haar_box(sides: Any) -> FaceBox:
    x_px, y_px, width_px, height_px = map(float, sides)
    return FaceBox(x_px, y_px, width_px, height_px)


def _yunet_box(row: Any, score: Any) -> FaceBox:
    """Return a row of FaceDetectorYN: box, then five points, x and y."""
    x_px, y_px, width_px, height_px = map(float, row[:4])
    a, b, c, d, e = ((float(x), float(y)) for x, y in row[4:14].reshape(5, 2))
    landmarks: Landmarks = (a, b, c, d, e)
    return FaceBox(x_px, y_px, width_px, height_px, score=float(score), landmarks=landmarks)
