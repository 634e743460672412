"""Pictures as a bedside spoils them: dark, bright, lit from behind, cluttered, blurred, covered.

Each takes (n, size, size) uint8 grey levels and returns the same shape; sizes are shares of the
side, so that 48 and 64 px are spoilt alike. The strengths are ours, one each, and are stated.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from edge_app.errors import PreprocessError

Pixels = npt.NDArray[np.uint8]
GREY = 128
SEED = 0
CLUTTER = 40
"""Things drawn behind a face."""


def darker(faces: Pixels) -> Pixels:
    """Return two fifths of the light."""
    return _to_bytes(0.4 * faces)


def brighter(faces: Pixels) -> Pixels:
    """Return 1.8 times the light, clipped: overexposed."""
    return _to_bytes(1.8 * faces)


def back_lit(faces: Pixels) -> Pixels:
    """Return a dark middle before a bright rim: a window behind the head."""
    size = faces.shape[1]
    across = np.linspace(-1.0, 1.0, size)
    away = np.clip(np.hypot(across[:, None], across[None, :]), 0.0, 1.0) ** 2
    return _to_bytes((1.0 - away) * 0.4 * faces + away * (0.4 * faces + 150.0))


def cluttered(faces: Pixels) -> Pixels:
    """Return frames and bars of random greys behind the face: shelves, pillows, other people.

    The face is taken to be the ellipse in the middle with 80 % of the width and 96 % of the height;
    only what is outside it changes.
    """
    size = faces.shape[1]
    middle, axes = (size // 2, size // 2), (round(0.4 * size), round(0.48 * size))
    face = np.zeros((size, size), np.uint8)
    cv2.ellipse(face, middle, axes, 0.0, 0.0, 360.0, 1, thickness=-1)
    rng = np.random.default_rng(SEED)

    def behind(picture: Pixels) -> Pixels:
        scene = picture.copy()
        for _ in range(CLUTTER):
            ends = rng.uniform(0.0, size, (2, 2)).round().astype(int).tolist()
            grey, thickness = int(rng.integers(0, 256)), max(1, round(0.04 * size))
            draw = cv2.rectangle if rng.random() < 0.5 else cv2.line
            draw(scene, ends[0], ends[1], grey, thickness)
        return np.where(face, picture, scene)

    return _each(faces, behind)


def blurred(faces: Pixels) -> Pixels:
    """Return a Gaussian blur with a standard deviation of 3 % of the side."""
    sigma_px = 0.03 * faces.shape[1]
    return _each(faces, lambda face: cv2.GaussianBlur(face, (0, 0), sigma_px))


def noisy(faces: Pixels) -> Pixels:
    """Return Gaussian noise of 20 grey levels added: a cheap sensor at night."""
    noise = np.random.default_rng(SEED).normal(0.0, 20.0, faces.shape)
    return _to_bytes(faces + noise)


def compressed(faces: Pixels) -> Pixels:
    """Return JPEG at quality 15."""

    def squeeze(face: Pixels) -> Pixels:
        done, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 15])
        if not done:
            raise PreprocessError(
                "a picture cannot be compressed",
                got=face.shape,
                next_step="Install opencv-python-headless with JPEG support",
            )
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)

    return _each(faces, squeeze)


def eyes_covered(faces: Pixels) -> Pixels:
    """Return a grey band over 22 to 45 % of the height."""
    return _band(faces, 0.22, 0.45)


def mouth_covered(faces: Pixels) -> Pixels:
    """Return a grey band over 62 to 92 % of the height: a mask."""
    return _band(faces, 0.62, 0.92)


def rotated(faces: Pixels) -> Pixels:
    """Return a turn by 20 degrees about the middle: a head on a pillow."""
    size = faces.shape[1]
    middle = ((size - 1) / 2, (size - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, 20.0, 1.0)
    return _each(
        faces,
        lambda face: cv2.warpAffine(
            face, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
    )


def smaller(faces: Pixels) -> Pixels:
    """Return a face that had half as many pixels across: farther from the camera."""
    size = faces.shape[1]

    def far(face: Pixels) -> Pixels:
        few = cv2.resize(face, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
        back = cv2.resize(few, (size, size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(back, dtype=np.uint8)

    return _each(faces, far)


CORRUPTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "darker": darker,
    "brighter": brighter,
    "back-lit": back_lit,
    "cluttered": cluttered,
    "blurred": blurred,
    "noise": noisy,
    "jpeg": compressed,
    "eyes covered": eyes_covered,
    "mouth covered": mouth_covered,
    "rotated": rotated,
    "smaller face": smaller,
}


def _band(faces: Pixels, top: float, bottom: float) -> Pixels:
    size = faces.shape[1]
    covered: Pixels = faces.copy()
    covered[:, round(top * size) : round(bottom * size)] = GREY
    return covered


def _each(faces: Pixels, change: Callable[[Pixels], npt.NDArray[np.generic]]) -> Pixels:
    changed = np.empty_like(faces)
    for i, face in enumerate(faces):
        changed[i] = change(face)
    return changed


def _to_bytes(values: npt.NDArray[np.floating]) -> Pixels:
    whole: Pixels = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return whole
