"""A face in a frame, and the crop of it that the model sees: the contract with the trainer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge_app.errors import PreprocessError

Picture = npt.NDArray[np.uint8]
Point = tuple[float, float]
Landmarks = tuple[Point, Point, Point, Point, Point]
"""The eye on the picture's left, the other eye, the nose's tip, the mouth's corners alike: x, y."""
LONGEST_SIDE_PX = 32_766
"""OpenCV moves no picture with a longer side: it counts the places in 16 bits."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A detected face in pixels of the full frame.

    Args:
        x_px: left side.
        y_px: upper side.
        width_px: to the right.
        height_px: downwards.
        score: the detector's, 0 to 1; 1 where it gives none.
        landmarks: five points, or None where the detector gives none.
    """

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    score: float = 1.0
    landmarks: Landmarks | None = None

    @property
    def size_px(self) -> float:
        """Shorter side."""
        return min(self.width_px, self.height_px)

    @property
    def side_px(self) -> float:
        """Longer side."""
        return max(self.width_px, self.height_px)

    @property
    def centre_px(self) -> Point:
        """Middle, x and y."""
        return self.x_px + self.width_px / 2, self.y_px + self.height_px / 2


class FaceDetector(Protocol):
    """Finds faces in a frame."""

    def detect(self, frame: Picture) -> list[FaceBox]:
        """Return the faces of a (height, width, 3) uint8 RGB frame, in any order."""


def as_rgb(frame: npt.NDArray[Any]) -> Picture:
    """Return a frame as a detector takes it.

    Args:
        frame: uint8: (height, width) grey, or (height, width, n) grey, RGB or RGBA.

    Returns:
        (height, width, 3) uint8 RGB; opacity is ignored.

    Raises:
        PreprocessError: no picture.
    """
    if frame.dtype == np.uint8 and frame.ndim == 2:
        return np.repeat(frame[:, :, None], 3, axis=2)
    if frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] in (1, 3, 4):
        return (
            np.ascontiguousarray(frame[:, :, :3])
            if frame.shape[2] > 1
            else np.repeat(frame, 3, axis=2)
        )
    raise PreprocessError(
        "not a picture",
        expected="(height, width, 3) uint8",
        got=f"{frame.shape} {frame.dtype}",
        next_step="Correct the source that delivers these frames",
    )


def to_grey(frame: Picture) -> Picture:
    """Return luma by ITU-R BT.601, as FER-2013 pictures were made grey.

    Args:
        frame: (height, width, 3) uint8 RGB.

    Returns:
        (height, width) uint8.
    """
    import cv2

    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def eye_tilt_deg(box: FaceBox) -> float:
    """Return how far the line of the eyes is turned clockwise; 0 without landmarks."""
    if box.landmarks is None:
        return 0.0
    (left_x, left_y), (right_x, right_y) = box.landmarks[:2]
    return math.degrees(math.atan2(right_y - left_y, right_x - left_x))


def crop_face(
    frame: Picture, box: FaceBox, *, size_px: int, margin: float, level_eyes: bool = False
) -> Picture:
    """Return the square face crop that the model sees.

    Args:
        frame: (height, width, 3) uint8 RGB, the full frame, however small detection made it.
        box: the face; never more than the frame's longer side is taken.
        size_px: side of the crop wanted.
        margin: added on each side, as a share of the box's longer side; outside the frame the edge
            pixels are repeated.
        level_eyes: turn the square about its middle until the eyes are level, where the box has
            landmarks.

    Returns:
        (size_px, size_px) uint8 grey.

    Raises:
        PreprocessError: a frame with a side above ``LONGEST_SIDE_PX``.
    """
    import cv2

    if max(frame.shape[:2]) > LONGEST_SIDE_PX:
        raise PreprocessError(
            "too large a picture to take a face from",
            expected=f"at most {LONGEST_SIDE_PX:,} px a side",
            got=f"{frame.shape[1]:,} x {frame.shape[0]:,} px",
            next_step="Shrink it first",
        )
    side = min(max(frame.shape[:2]), max(1, round(box.side_px * (1.0 + 2.0 * margin))))
    x, y = box.centre_px
    left, top = round(x - side / 2), round(y - side / 2)
    tilt_deg = eye_tilt_deg(box) if level_eyes else 0.0
    move = cv2.getRotationMatrix2D((left + (side - 1) / 2, top + (side - 1) / 2), tilt_deg, 1.0)
    move[:, 2] -= left, top  # whole pixels: without a tilt nothing is interpolated
    square = cv2.warpAffine(frame, move, (side, side), borderMode=cv2.BORDER_REPLICATE)
    interpolation = cv2.INTER_AREA if side >= size_px else cv2.INTER_LINEAR
    grey = to_grey(np.asarray(square, np.uint8))
    return np.asarray(cv2.resize(grey, (size_px, size_px), interpolation=interpolation), np.uint8)
