"""Histogram, what it says about a picture, and two ways to even it out.

Gonzalez & Woods, Digital Image Processing, 4th ed. 2018, section 3.3. CLAHE: Zuiderveld 1994,
Graphics Gems IV, p. 474. Entropy: Shannon 1948. All may run live; ``benchmarks/segmentation.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError
from edge_app.preprocess.face import Picture
from edge_app.preprocess.segmentation.pictures import check_grey

LEVELS = 256
MIN_TILE_PX = 2


def histogram(grey: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return how many pixels have each grey level.

    Args:
        grey: (height, width) uint8.

    Returns:
        (256,) int64, sums to the number of pixels.

    Raises:
        PreprocessError: not a grey picture.
    """
    import cv2

    counts = cv2.calcHist([check_grey(grey)], [0], None, [LEVELS], [0, LEVELS])
    return np.asarray(counts[:, 0], np.int64)  # float32 counts, exact up to 16.7 million pixels


def normalised_histogram(grey: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the share of the pixels that has each grey level.

    Args:
        grey: (height, width) uint8.

    Returns:
        (256,) float64, sums to 1.

    Raises:
        PreprocessError: not a grey picture.
    """
    counts = histogram(grey)
    return np.asarray(counts / counts.sum(), np.float64)


def entropy_bits(grey: npt.NDArray[Any]) -> float:
    """Return the entropy of the grey levels in bits a pixel.

    Args:
        grey: (height, width) uint8.

    Returns:
        From 0 for a constant picture to 8 where all 256 levels are as frequent. Where pixels stand
        does not matter to it.

    Raises:
        PreprocessError: not a grey picture.
    """
    shares = normalised_histogram(grey)
    seen = shares[shares > 0]
    return max(0.0, -float(np.sum(seen * np.log2(seen))))


def equalise(grey: npt.NDArray[Any]) -> Picture:
    """Return the picture with levels spread so that each range of them is about as frequent.

    Args:
        grey: (height, width) uint8; a constant one comes back as it is.

    Returns:
        (height, width) uint8. The darkest level becomes 0, the brightest 255, their order stays.

    Raises:
        PreprocessError: not a grey picture.
    """
    import cv2

    return np.asarray(cv2.equalizeHist(check_grey(grey)), np.uint8)


def clahe(grey: npt.NDArray[Any], *, clip: float = 2.0, tiles: int = 8) -> Picture:
    """Return the picture equalised tile by tile, with bounded contrast.

    Args:
        grey: (height, width) uint8.
        clip: how often the mean count a histogram's bin may hold before it is cut; 1 and above.
        tiles: in each direction; fewer where they would be less than two pixels wide.

    Returns:
        (height, width) uint8. A constant picture stays constant, at another level.

    Raises:
        PreprocessError: not a grey picture.
        ConfigError: clip or tiles below 1.
    """
    import cv2

    grey = check_grey(grey)
    if not clip >= 1.0 or tiles < 1:
        raise ConfigError(
            "CLAHE cannot work like that",
            expected="clip and tiles of 1 or more",
            got=f"clip {clip:g}, tiles {tiles}",
            next_step="Correct clip and tiles",
        )
    down, across = (max(1, min(tiles, side // MIN_TILE_PX)) for side in grey.shape)
    operator = cv2.createCLAHE(clipLimit=clip, tileGridSize=(across, down))
    return np.asarray(operator.apply(grey), np.uint8)
