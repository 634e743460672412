"""Whether a face's picture can be judged at all: one reason each, cheapest first.

All figures are of the crop that the model sees, so a threshold means the same for any camera.
Exposure is judged by the bright end for darkness and by the dark end for glare, never by the mean:
a dark skin in good light has bright points, an unlit face of any skin has none.
Whether a hand or a mask covers the face cannot be told from a box and five points, which YuNet
places on covered faces too; so there is no such reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import AbstainReason
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox, Picture

BURNT_OUT = 250
"""Grey level from which on nothing is told apart."""
GOOD_SIZE, GOOD_SHARPNESS = 2.0, 4.0
"""Times the least allowed from which on quality is not held back."""


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """What is measured of one face.

    Args:
        size_px: shorter side of its box in the full frame.
        sharpness: variance of the crop's Laplacian, in squared grey levels.
        dark_end: grey level below which 5 of 100 pixels lie.
        bright_end: grey level above which 5 of 100 pixels lie.
        saturated: share of pixels that are burnt out.
        turn: offset of the nose from the middle of the eyes along their line, in eye distances;
            0 from the front; None without landmarks.
    """

    size_px: float
    sharpness: float
    dark_end: float
    bright_end: float
    saturated: float
    turn: float | None


def measure(crop: Picture, box: FaceBox) -> FaceQuality:
    """Return the figures of a face.

    Args:
        crop: (size_px, size_px) uint8 grey.
        box: its face.
    """
    import cv2

    dark_end, bright_end = np.percentile(crop, (5, 95))
    sharpness = float(cv2.Laplacian(crop, cv2.CV_64F).var())
    return FaceQuality(
        size_px=box.size_px,
        sharpness=sharpness,
        dark_end=float(dark_end),
        bright_end=float(bright_end),
        saturated=float(np.mean(crop >= BURNT_OUT)),
        turn=turn_of(box),
    )


def turn_of(box: FaceBox) -> float | None:
    """Return how far a face is turned sideways, or None without landmarks."""
    if box.landmarks is None:
        return None
    left, right, nose = (np.array(point) for point in box.landmarks[:3])
    line = right - left
    eyes_px = math.hypot(*line)
    if eyes_px < 1.0:
        return math.inf  # one eye behind the other
    return float(abs((nose - (left + right) / 2) @ line)) / eyes_px**2


def why_not(found: FaceQuality, limits: FaceConditioning) -> AbstainReason | None:
    """Return why a face cannot be judged, or None.

    Args:
        found: its figures.
        limits: what the model takes.
    """
    if found.size_px < limits.min_face_px:
        return AbstainReason.TOO_SMALL
    if found.bright_end < limits.min_exposure:
        return AbstainReason.DARK
    if found.dark_end > limits.max_exposure or found.saturated > limits.max_saturated:
        return AbstainReason.BRIGHT
    if found.sharpness < limits.min_sharpness:
        return AbstainReason.BLUR
    if found.turn is not None and found.turn > limits.max_turn:
        return AbstainReason.TURNED
    return None


def grade(found: FaceQuality, limits: FaceConditioning) -> float:
    """Return the quality, 0 to 1: the worst of size, sharpness and turn.

    Args:
        found: a face's figures.
        limits: what the model takes.
    """
    shares = [
        found.size_px / (GOOD_SIZE * limits.min_face_px),
        found.sharpness / max(1e-9, GOOD_SHARPNESS * limits.min_sharpness),
        1.0 - 0.5 * (found.turn or 0.0) / limits.max_turn,
    ]
    return float(np.clip(min(shares), 0.0, 1.0))
