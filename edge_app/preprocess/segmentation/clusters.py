"""k-means on the pixels of a picture, by colour or by colour and place. Not for live use.

Lloyd 1982, IEEE Trans. Information Theory 28(2):129, begun as in Arthur & Vassilvitskii 2007
(k-means++), both by OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError, PreprocessError
from edge_app.preprocess.face import Picture
from edge_app.preprocess.segmentation.pictures import check_colour

_ATTEMPTS = 3
_MAX_ITERATIONS = 100
_CENTRE_MOVED = 0.01
"""In grey levels: centres that move less have settled."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which cluster each pixel is of; cluster 0 has the darkest centre (mean of R, G and B).

    Args:
        labels: (height, width) int32, 0 to k - 1.
        centres: (k, 3) float32 R, G, B from 0 to 255; or (k, 5) with column and row in pixels.
    """

    labels: npt.NDArray[np.int32]
    centres: npt.NDArray[np.float32]

    def painted(self) -> Picture:
        """Return each pixel in its cluster's mean colour, (height, width, 3) uint8 RGB."""
        colours = np.clip(np.rint(self.centres[:, :3]), 0, 255).astype(np.uint8)
        return np.asarray(colours[self.labels], np.uint8)


def kmeans_colour(rgb: npt.NDArray[Any], k: int, *, seed: int = 0) -> Clusters:
    """Cluster pixels by colour alone, in three dimensions.

    Args:
        rgb: (height, width, 3) uint8.
        k: number of clusters.
        seed: of OpenCV's random numbers in this thread, which are set anew; the same seed gives
            the same answer.

    Returns:
        The clusters.

    Raises:
        PreprocessError: not a colour picture, or fewer different colours than clusters.
        ConfigError: k below 1.
    """
    rgb = check_colour(rgb)
    return _kmeans(rgb.reshape(-1, 3).astype(np.float32), rgb.shape[:2], k, seed)


def kmeans_colour_and_place(
    rgb: npt.NDArray[Any], k: int, *, place_weight: float = 1.0, seed: int = 0
) -> Clusters:
    """Cluster pixels by colour and place, in five dimensions, for clusters that hang together.

    Args:
        rgb: (height, width, 3) uint8.
        k: number of clusters.
        place_weight: how many times 255 grey levels the picture's longer side counts; above 0.
        seed: of OpenCV's random numbers in this thread, which are set anew.

    Returns:
        The clusters.

    Raises:
        PreprocessError: not a colour picture, or fewer pixels than clusters.
        ConfigError: k below 1, or a weight that is not above 0.
    """
    rgb = check_colour(rgb)
    if not 0.0 < place_weight < np.inf:
        raise ConfigError(
            "place_weight cannot be used",
            expected="above 0",
            got=f"{place_weight:g}",
            next_step="Correct place_weight, or cluster by colour alone",
        )
    height, width = rgb.shape[:2]
    scale = np.float32(255.0 * place_weight / max(height - 1, width - 1, 1))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    points = np.dstack((rgb, scale * columns, scale * rows)).astype(np.float32).reshape(-1, 5)
    found = _kmeans(points, (height, width), k, seed)
    found.centres[:, 3:] /= scale
    return found


def _kmeans(points: npt.NDArray[np.float32], shape: tuple[int, ...], k: int, seed: int) -> Clusters:
    import cv2

    if k < 1:
        raise ConfigError(
            "no clusters asked for", expected="1 or more", got=k, next_step="Correct k"
        )
    n_different = len(np.unique(points, axis=0)) if points.shape[1] == 3 else len(points)
    if n_different < k:
        raise PreprocessError(
            "the picture has fewer different pixels than clusters asked for",
            expected=f"at least {k}",
            got=n_different,
            next_step="Ask for fewer clusters",
        )
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, _MAX_ITERATIONS, _CENTRE_MOVED)
    cv2.setRNGSeed(seed)
    samples = points[:, None, :]  # so that OpenCV takes a single pixel for one, not for three
    of = np.empty((len(points), 1), np.int32)
    begin = cv2.KMEANS_PP_CENTERS
    _, found, settled = cv2.kmeans(samples, k, of, until, _ATTEMPTS, begin)
    centres = np.asarray(settled, np.float32).reshape(k, -1)
    order = np.argsort(centres[:, :3].sum(axis=1), kind="stable")
    rank = np.empty(k, np.int32)
    rank[order] = np.arange(k, dtype=np.int32)
    return Clusters(rank[np.asarray(found)[:, 0]].reshape(shape), centres[order])
