"""Bare face pictures put into frames as a camera gives them; the surroundings are made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.preprocess.face import FaceBox, Picture

FRAME_WIDTH_PX, FRAME_HEIGHT_PX = 640, 360
SHRINK = 8
SIDE_PX = (144, 200)
"""Sides of the upscaled pictures, drawn evenly."""
BLUR_SHARE, FEATHER_SHARE = 0.25, 0.04
"""Width of the blurs around a picture and across its border, as shares of its side."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A picture in its frame.

    Args:
        frame: (FRAME_HEIGHT_PX, FRAME_WIDTH_PX, 3) uint8 RGB.
        square: where the picture lies in it.
    """

    frame: Picture
    square: FaceBox


def frame_face(face: Picture, seed: tuple[int, int]) -> Framed:
    """Return a face picture enlarged, at a random place of a frame.

    Around it lie the picture's own border pixels, drawn outwards and blurred, so that it has no
    edge: a detector sees a face without hair and shoulders, which is harder than a real one.

    Args:
        face: (size, size) uint8 grey.
        seed: of size and place: one of all pictures, and the picture's number.

    Returns:
        The frame, and where the picture lies in it.
    """
    import cv2

    rng = np.random.default_rng(seed)
    side = int(rng.integers(SIDE_PX[0], SIDE_PX[1] + 1))
    left = int(rng.integers(0, FRAME_WIDTH_PX - side + 1))
    top = int(rng.integers(0, FRAME_HEIGHT_PX - side + 1))
    large = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    right, bottom = FRAME_WIDTH_PX - side - left, FRAME_HEIGHT_PX - side - top
    whole = np.asarray(
        cv2.copyMakeBorder(large, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8
    )
    around = _blurred(whole, BLUR_SHARE * side)
    inside = _soft_square(left, top, side)
    grey = np.round(inside * whole + (1.0 - inside) * around).astype(np.uint8)
    return Framed(
        frame=np.repeat(grey[:, :, None], 3, axis=2),
        square=FaceBox(float(left), float(top), float(side), float(side)),
    )


def _blurred(picture: Picture, sigma_px: float) -> Picture:
    """Return a picture far out of focus; blurred small, which is fast and looks the same."""
    import cv2

    size = (picture.shape[1], picture.shape[0])
    small = cv2.resize(picture, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / SHRINK)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _soft_square(left: int, top: int, side: int) -> npt.NDArray[np.float32]:
    """Return 1 on the square and 0 far from it; it fades outside only."""
    import cv2

    feather = max(1, round(FEATHER_SHARE * side))
    mask = np.zeros((FRAME_HEIGHT_PX, FRAME_WIDTH_PX), np.float32)
    above, before = max(0, top - feather), max(0, left - feather)
    mask[above : top + side + feather, before : left + side + feather] = 1.0
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), feather / 2), np.float32)
    soft[top : top + side, left : left + side] = 1.0
    return soft
