"""Frame to face crop: detection, the patient's face, a square grey picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError

Picture = npt.NDArray[np.uint8]
DETECTION_WIDTH_PX = 320
"""Frames are shrunk to this width for detection; the crop is taken from the full frame."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A detected face in pixels of the full frame."""

    x_px: float
    y_px: float
    width_px: float
    height_px: float

    @property
    def size_px(self) -> float:
        """Shorter side."""
        return min(self.width_px, self.height_px)


class FaceDetector(Protocol):
    """Finds faces in a frame."""

    def detect(self, frame: Picture) -> list[FaceBox]:
        """Return the faces of a (height, width, 3) uint8 RGB frame, in any order."""


def to_grey(frame: Picture) -> Picture:
    """Return luma by ITU-R BT.601, as FER-2013 pictures were made grey.

    Args:
        frame: (height, width, 3) uint8 RGB.

    Returns:
        (height, width) uint8.
    """
    import cv2

    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


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
                next_step="Install opencv-python-headless 4.x, or configure a YuNet detector file",
            )
        self._cascade: Any = cv2.CascadeClassifier(str(path))

    def detect(self, frame: Picture) -> list[FaceBox]:
        """Return the faces of a (height, width, 3) uint8 RGB frame."""
        import cv2

        grey = to_grey(frame)
        scale = min(1.0, DETECTION_WIDTH_PX / grey.shape[1])
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = self._cascade.detectMultiScale(
            small, scaleFactor=1.1, minNeighbors=3, minSize=(24, 24)
        )
        return [FaceBox(*(float(side) / scale for side in box)) for box in found]


class YuNetDetector:
    """YuNet through OpenCV's ``FaceDetectorYN``: also turned and partly covered faces.

    Args:
        path: a YuNet ONNX file with a fixed input size.
        min_score: least detection score; 0.7 removes the known false hits.

    Raises:
        ConfigError: no such file, or not a detector that this OpenCV can load.

    Source: Wu, Peng and Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector".
    """

    def __init__(self, path: Path, *, min_score: float = 0.7) -> None:
        import cv2

        if not path.is_file():
            raise ConfigError(
                "no face detector file",
                source=str(path),
                next_step="Correct the path, or leave the detector out to use OpenCV's own",
            )
        try:
            self._detector: Any = cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score)
        except cv2.error as error:
            raise ConfigError(
                f"OpenCV {cv2.__version__} cannot load this detector: {error}",
                source=str(path),
                next_step="Use a YuNet file with a fixed input size, such as yunet_n_320_320.onnx",
            ) from error

    def detect(self, frame: Picture) -> list[FaceBox]:
        """Return the faces of a (height, width, 3) uint8 RGB frame."""
        import cv2

        scale = min(1.0, DETECTION_WIDTH_PX / frame.shape[1])
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, found = self._detector.detect(small)
        rows = [] if found is None else found
        return [FaceBox(*(float(side) / scale for side in row[:4])) for row in rows]


def primary_face(boxes: list[FaceBox], *, min_face_px: int) -> FaceBox | None:
    """Return the largest face that is large enough, or None.

    Args:
        boxes: all faces of a frame.
        min_face_px: least shorter side.
    """
    large = [box for box in boxes if box.size_px >= min_face_px]
    return max(large, key=lambda box: box.width_px * box.height_px, default=None)


def crop_face(frame: Picture, box: FaceBox, *, size_px: int, margin: float) -> Picture:
    """Return the square face crop that the model sees.

    Args:
        frame: (height, width, 3) uint8 RGB.
        box: the face.
        size_px: side of the crop wanted.
        margin: added on each side, as a share of the box's longer side; outside the frame the edge
            pixels are repeated.

    Returns:
        (size_px, size_px) uint8 grey.
    """
    import cv2

    side = max(1, round(max(box.width_px, box.height_px) * (1.0 + 2.0 * margin)))
    left = round(box.x_px + box.width_px / 2 - side / 2)
    top = round(box.y_px + box.height_px / 2 - side / 2)
    height, width = frame.shape[:2]
    before = (max(0, -top), max(0, -left))
    after = (max(0, top + side - height), max(0, left + side - width))
    inside = frame[max(0, top) : top + side, max(0, left) : left + side]
    grey = np.pad(
        to_grey(np.ascontiguousarray(inside)),
        ((before[0], after[0]), (before[1], after[1])),
        mode="edge",
    )
    shrinks = side >= size_px
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (size_px, size_px), interpolation=interpolation), np.uint8)
