"""Evening out the light of a face crop, or painting over what is behind the face.

One function, ``normalise_illumination``, is what the trainer applies to every picture before it is
augmented and what the bedside applies to every crop before the model, by the manifest's
``illumination``. Sharpness and exposure are judged before it, on the crop as the camera gave it.
What each way does to accuracy: ``benchmarks/face_illumination.py``. Each takes less than 1 ms for a
crop of 64 x 64 on one thread: ``benchmarks/segmentation.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.inference.manifest import Illumination
from edge_app.preprocess.face import Picture
from edge_app.preprocess.segmentation.histogram import LEVELS, clahe, equalise
from edge_app.preprocess.segmentation.morphology import full_element, opening
from edge_app.preprocess.segmentation.pictures import Mask, check_grey
from edge_app.preprocess.segmentation.thresholds import (
    adaptive_foreground,
    foreground,
    otsu_threshold,
)

CLIP, TILES = 2.0, 4
"""Of CLAHE: a tile of a 48 px crop is 12 px, about an eye."""
MIDDLE_GREY = 0.5
MAX_GAMMA = 3.0
"""Darker or brighter crops are not pulled further: below it noise is what would be lifted."""
MEAN, DEVIATION = 128.0, 64.0
"""Grey levels that a standardised crop has, but for what is clipped; FER-2013's are 129 and 65."""
MIN_DEVIATION = 4.0
"""A crop that varies less is not spread further: it would be noise."""
WINDOW_PX = 16
ELEMENT = full_element(3)


def normalise_illumination(crop: npt.NDArray[Any], how: Illumination) -> Picture:
    """Return the crop as the model takes it.

    Args:
        crop: (height, width) uint8 grey.
        how: ``none``: as it is. ``equalise``: histogram equalisation. ``clahe``: the same tile by
            tile with bounded contrast. ``gamma``: the power that brings the mean to middle grey
            (Gonzalez & Woods, Digital Image Processing, 4th ed. 2018, section 3.2).
            ``standardise``: mean 128 and deviation 64. ``background_otsu`` and
            ``background_adaptive``: what is outside the convex hull of the foreground in the middle
            becomes the crop's mean grey, by one threshold or by one a tile of 16 px.

    Returns:
        (height, width) uint8; never the same array where anything was changed.

    Raises:
        PreprocessError: not a grey picture.
    """
    return _WAYS[how](check_grey(crop))


def _gamma(crop: Picture) -> Picture:
    mean = float(crop.mean()) / (LEVELS - 1)
    if not 0.0 < mean < 1.0:
        return crop  # black or white throughout: no power changes it
    gamma = min(MAX_GAMMA, max(1.0 / MAX_GAMMA, math.log(MIDDLE_GREY) / math.log(mean)))
    levels = np.linspace(0.0, 1.0, LEVELS) ** gamma
    return _to_bytes((LEVELS - 1) * levels)[crop]


def _standardise(crop: Picture) -> Picture:
    spread = max(MIN_DEVIATION, float(crop.std()))
    return _to_bytes((crop - crop.mean()) * (DEVIATION / spread) + MEAN)


def _without_background(crop: Picture, bright: Mask) -> Picture:
    """Paint what is outside the hull of the foreground in the middle, be it the brighter or not.

    The hull keeps eyes, brows and mouth, which any threshold takes for background.
    """
    import cv2

    down, across = (slice(side // 4, max(1, side - side // 4)) for side in crop.shape)
    face = bright if bright[down, across].mean() >= 0.5 else ~bright
    _, labels = cv2.connectedComponents(opening(face, ELEMENT).astype(np.uint8))
    sizes = np.bincount(labels[down, across].ravel())
    sizes[0] = 0
    if not sizes.any():
        return crop
    rows, columns = np.nonzero(labels == sizes.argmax())
    hull = cv2.convexHull(np.column_stack((columns, rows)).astype(np.int32))
    painted = np.full_like(crop, round(float(crop.mean())))
    kept = cv2.fillConvexPoly(np.zeros_like(crop), hull, 1)
    return np.asarray(np.where(kept, crop, painted), np.uint8)


def _to_bytes(levels: npt.NDArray[np.floating[Any]]) -> Picture:
    return np.asarray(np.clip(np.rint(levels), 0, LEVELS - 1), np.uint8)


_WAYS: dict[Illumination, Callable[[Picture], Picture]] = {
    "none": lambda crop: crop,
    "equalise": equalise,
    "clahe": lambda crop: clahe(crop, clip=CLIP, tiles=TILES),
    "gamma": _gamma,
    "standardise": _standardise,
    "background_otsu": lambda crop: _without_background(
        crop, foreground(crop, otsu_threshold(crop))
    ),
    "background_adaptive": lambda crop: _without_background(
        crop, adaptive_foreground(crop, window_px=WINDOW_PX, step_px=WINDOW_PX)
    ),
}
