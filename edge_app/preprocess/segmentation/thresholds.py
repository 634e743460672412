"""Thresholds: one for the whole picture, or one a window. Pixels below it are background.

OpenCV's own rule is "up to T is background"; a threshold here is one above OpenCV's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError, PreprocessError
from edge_app.preprocess.segmentation.histogram import histogram
from edge_app.preprocess.segmentation.pictures import Mask, check_grey


def foreground(grey: npt.NDArray[Any], threshold: float) -> Mask:
    """Return which pixels are at the threshold or brighter.

    Args:
        grey: (height, width) uint8.
        threshold: in grey levels.

    Returns:
        (height, width) bool.

    Raises:
        PreprocessError: not a grey picture.
    """
    return np.asarray(check_grey(grey) >= threshold, np.bool_)


def basic_global_threshold(grey: npt.NDArray[Any], *, bound: float = 0.5) -> float:
    """Return the threshold midway between the means of the two classes that it makes.

    Begins at the picture's mean and repeats T = (m1 + m2) / 2 until T changes by less than the
    bound. The steps go one way only, so it ends. Ridler & Calvard 1978, IEEE Trans. SMC 8(8):630;
    Gonzalez & Woods 2018, section 10.3.

    Args:
        grey: (height, width) uint8.
        bound: largest last change in grey levels, above 0.

    Returns:
        In grey levels; of a constant picture its level, so that all of it is foreground.

    Raises:
        PreprocessError: not a grey picture.
        ConfigError: a bound that is not above 0.
    """
    if not bound > 0.0:
        raise _wrong("bound", "above 0", bound)
    counts = histogram(grey)
    levels = np.arange(counts.size)
    threshold = float(counts @ levels / counts.sum())
    while True:
        below = levels < threshold
        n_below, n_above = counts[below].sum(), counts[~below].sum()
        if not n_below or not n_above:
            return threshold
        means = counts[below] @ levels[below] / n_below, counts[~below] @ levels[~below] / n_above
        previous, threshold = threshold, float(sum(means)) / 2.0
        if abs(threshold - previous) < bound:
            return threshold


def otsu_variances(
    counts: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the variance within and between the classes of every threshold.

    Otsu 1979, IEEE Trans. SMC 9(1):62. The two add up to the variance of all pixels, so the least
    of the first is where the second is largest.

    Args:
        counts: (n_levels,) pixels of each level.

    Returns:
        Within and between, (n_levels,) each, in squared levels: entry T is for levels below T as
        background. An empty class gives 0 between.

    Raises:
        PreprocessError: no counts, negative ones, or none above 0.
    """
    if counts.ndim != 1 or not counts.size or counts.min() < 0 or not counts.sum() > 0:
        raise PreprocessError(
            "not a histogram",
            expected="(n_levels,) counts of 0 or more with a sum above 0",
            got=f"{counts.shape} {counts.dtype}",
            next_step="Give the histogram of a picture that has pixels",
        )
    shares = counts / counts.sum()
    levels = np.arange(counts.size, dtype=np.float64)
    mean = float(shares @ levels)
    total = float(shares @ (levels - mean) ** 2)
    dark = np.concatenate(([0.0], np.cumsum(shares)[:-1]))
    bright = np.cumsum(shares[::-1])[::-1]
    dark_sum = np.concatenate(([0.0], np.cumsum(shares * levels)[:-1]))
    both = dark * bright
    above = (mean * dark - dark_sum) ** 2
    between = np.divide(above, both, out=np.zeros_like(both), where=both > 0)
    return total - between, between


def otsu_threshold(grey: npt.NDArray[Any]) -> int:
    """Return the threshold with the least variance within its classes, by OpenCV.

    Args:
        grey: (height, width) uint8.

    Returns:
        In grey levels, the lowest of equally good ones up to rounding; of a constant picture its
        level, so that all of it is foreground.

    Raises:
        PreprocessError: not a grey picture.
    """
    import cv2

    grey = check_grey(grey)
    darkest = int(grey.min())
    if darkest == int(grey.max()):
        return darkest
    highest_dark, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return int(highest_dark) + 1


def adaptive_foreground(
    grey: npt.NDArray[Any],
    *,
    window_px: int = 16,
    step_px: int | None = None,
    min_variance: float = 100.0,
) -> Mask:
    """Return the foreground by a threshold a window, for pictures lit unevenly.

    A window slides over the picture. Where the levels in it vary, Otsu's threshold of the window
    decides each pixel; where they hardly do, the window is foreground or background as a whole, by
    its mean against Otsu's threshold of the whole picture. A pixel that several windows cover is
    foreground where at least half of them say so.

    Args:
        grey: (height, width) uint8.
        window_px: side of the window, cut to the picture's.
        step_px: how far it moves; None: half its side. The last ones end at the picture's edge.
        min_variance: least variance, in squared levels, at which a window has two classes.

    Returns:
        (height, width) bool; of a constant picture all foreground.

    Raises:
        PreprocessError: not a grey picture.
        ConfigError: a window below 2 pixels, a step of 0 or wider than the window, or a variance
            that is not above 0.
    """
    import cv2

    grey = check_grey(grey)
    step_px = max(1, window_px // 2) if step_px is None else step_px
    if window_px < 2:
        raise _wrong("window_px", "2 or more", window_px)
    if not 1 <= step_px <= window_px:
        raise _wrong("step_px", f"1 to the window's {window_px}", step_px)
    if not min_variance > 0.0:
        raise _wrong("min_variance", "above 0", min_variance)
    of_all = otsu_threshold(grey)
    votes = np.zeros(grey.shape, np.int32)  # for foreground less those against
    for rows in _windows(grey.shape[0], window_px, step_px):
        for columns in _windows(grey.shape[1], window_px, step_px):
            window = grey[rows, columns]
            mean, deviation = cv2.meanStdDev(window)
            if float(deviation[0, 0]) ** 2 < min_variance:
                votes[rows, columns] += 1 if float(mean[0, 0]) >= of_all else -1
            else:
                bright = window >= otsu_threshold(window)
                votes[rows, columns] += np.where(bright, np.int32(1), np.int32(-1))
    return np.asarray(votes >= 0, np.bool_)


def _windows(side_px: int, window_px: int, step_px: int) -> list[slice]:
    """Return the windows along one side, the last one flush with its end."""
    window_px = min(window_px, side_px)
    starts = [*range(0, side_px - window_px, step_px), side_px - window_px]
    return [slice(start, start + window_px) for start in starts]


def _wrong(name: str, expected: str, got: float) -> ConfigError:
    return ConfigError(
        f"{name} cannot be used", expected=expected, got=f"{got:g}", next_step=f"Correct {name}"
    )
