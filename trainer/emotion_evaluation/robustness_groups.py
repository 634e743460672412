"""Groups by what a picture is like. They are about pictures, not people: robustness, not fairness.

Who is shown is not known of web pictures, and guessing it would distort more than it tells.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

TERCILES = ("low", "middle", "high")


def picture_properties(pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float64]]:
    """Return brightness, contrast and sharpness of each picture.

    Args:
        pixels: (n, height, width) grey levels.

    Returns:
        Name to (n,): ``brightness`` (mean) and ``contrast`` (standard deviation) in grey levels,
        ``sharpness`` (variance of the Laplacian) in squared grey levels.
    """
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    sharpness = [float(cv2.Laplacian(picture, cv2.CV_64F).var()) for picture in pixels]
    return {
        "brightness": flat.mean(axis=1),
        "contrast": flat.std(axis=1),
        "sharpness": np.array(sharpness, dtype=np.float64),
    }


def terciles(values: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """Return ``low``, ``middle`` or ``high`` for each value: thirds by rank, ties kept together.

    Args:
        values: (n,).

    Returns:
        (n,) of ``TERCILES``.
    """
    edges = np.quantile(values, (1 / 3, 2 / 3)) if len(values) else (0.0, 0.0)
    return np.array(TERCILES)[np.digitize(values, edges, right=True)]


def robustness_groups(pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.str_]]:
    """Return the tercile of each picture by each property.

    Args:
        pixels: (n, height, width) grey levels.

    Returns:
        ``brightness``, ``contrast`` and ``sharpness`` to (n,) of ``TERCILES``.
    """
    return {name: terciles(values) for name, values in picture_properties(pixels).items()}
