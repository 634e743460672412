"""Morphology of masks: Gonzalez & Woods, Digital Image Processing, 4th ed. 2018, chapter 9.

A structuring element is a bool array with odd sides whose centre is the origin. Outside the picture
its edge pixels are repeated; opening and closing look only at what is inside, which for full
elements is the same. A mask without foreground is a mask like any other: nothing is found
in it and nothing grows from it. ``thin`` and ``thicken`` need scikit-image and are not for live
use; the rest is OpenCV's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError
from edge_app.preprocess.face import Picture
from edge_app.preprocess.segmentation.pictures import Mask, check_mask


def full_element(side_px: int) -> Mask:
    """Return the full square element.

    Args:
        side_px: odd.

    Returns:
        (side_px, side_px) bool, all True.

    Raises:
        ConfigError: an even side, or none.
    """
    if side_px < 1:
        raise _wrong_element(f"a side of {side_px}")
    return _checked(np.ones((side_px, side_px), np.bool_))


def erode(mask: npt.NDArray[Any], element: npt.NDArray[Any]) -> Mask:
    """Return where the element, placed at a pixel, covers foreground only.

    Args:
        mask: (height, width) bool.
        element: bool, odd sides, at least one True.

    Returns:
        (height, width) bool.

    Raises:
        PreprocessError: not a mask.
        ConfigError: not an element.
    """
    import cv2

    return _bool(cv2.erode(_levels(mask), _kernel(element), borderType=cv2.BORDER_REPLICATE))


def dilate(mask: npt.NDArray[Any], element: npt.NDArray[Any]) -> Mask:
    """Return what is covered by the element placed at every foreground pixel.

    Args:
        mask: (height, width) bool.
        element: bool, odd sides, at least one True.

    Returns:
        (height, width) bool; of a single pixel far from the edge, the element itself.

    Raises:
        PreprocessError: not a mask.
        ConfigError: not an element.
    """
    import cv2

    return _bool(cv2.dilate(_levels(mask), _reflected(element), borderType=cv2.BORDER_REPLICATE))


def opening(mask: npt.NDArray[Any], element: npt.NDArray[Any]) -> Mask:
    """Return what of the foreground the element can be laid over: specks and hairs go.

    Args:
        mask: (height, width) bool.
        element: bool, odd sides, at least one True.

    Returns:
        (height, width) bool, within the mask.

    Raises:
        PreprocessError: not a mask.
        ConfigError: not an element.
    """
    import cv2

    return _bool(cv2.dilate(cv2.erode(_levels(mask), _kernel(element)), _reflected(element)))


def closing(mask: npt.NDArray[Any], element: npt.NDArray[Any]) -> Mask:
    """Return the mask with what of the background no reflected element can be laid over: holes go.

    Args:
        mask: (height, width) bool.
        element: bool, odd sides, at least one True.

    Returns:
        (height, width) bool, the mask and more.

    Raises:
        PreprocessError: not a mask.
        ConfigError: not an element.
    """
    import cv2

    return _bool(cv2.erode(cv2.dilate(_levels(mask), _reflected(element)), _kernel(element)))


def hit_or_miss(
    mask: npt.NDArray[Any], wanted: npt.NDArray[Any], unwanted: npt.NDArray[Any]
) -> Mask:
    """Return where foreground and background around a pixel are as described.

    Args:
        mask: (height, width) bool.
        wanted: bool, odd sides; True where there has to be foreground.
        unwanted: bool of the same shape; True where there has to be background. Where both are
            False anything may be.

    Returns:
        (height, width) bool.

    Raises:
        PreprocessError: not a mask.
        ConfigError: elements that differ in shape, want both of a pixel, or want nothing.
    """
    import cv2

    if wanted.shape != unwanted.shape or bool(np.logical_and(wanted, unwanted).any()):
        raise _wrong_element(f"{wanted.shape} wanted, {unwanted.shape} unwanted")
    _checked(wanted if wanted.any() else unwanted)
    kernel = wanted.astype(np.int8) - unwanted.astype(np.int8)
    border = cv2.BORDER_REPLICATE
    return _bool(cv2.morphologyEx(_levels(mask), cv2.MORPH_HITMISS, kernel, borderType=border))


def thin(mask: npt.NDArray[Any], *, passes: int | None = None) -> Mask:
    """Return the foreground thinned to lines one pixel wide, pieces and holes kept.

    Lam, Lee & Suen 1992, IEEE Trans. PAMI 14(9):869, section III; by scikit-image.

    Args:
        mask: (height, width) bool.
        passes: how many layers to take off at most; None: until nothing changes.

    Returns:
        (height, width) bool, within the mask. What is 8-connected stays so.

    Raises:
        PreprocessError: not a mask.
        ConfigError: passes below 1, or scikit-image is not installed.
    """
    mask = check_mask(mask)
    if passes is not None:
        _check_passes(passes)
    try:
        from skimage import morphology
    except ImportError as error:
        raise ConfigError(
            "thinning and thickening need scikit-image",
            source="segmentation",
            next_step="Install it with: pip install 'bedside[report]'",
        ) from error
    thinned: Any = morphology.thin
    return np.asarray(thinned(mask, max_num_iter=passes), np.bool_)


def thicken(mask: npt.NDArray[Any], *, passes: int) -> Mask:
    """Return the foreground grown by layers that never join two pieces: the background thinned.

    Args:
        mask: (height, width) bool.
        passes: how many layers to put on at most.

    Returns:
        (height, width) bool, the mask and more. What is not 4-connected stays so.

    Raises:
        PreprocessError: not a mask.
        ConfigError: passes below 1, or scikit-image is not installed.
    """
    _check_passes(passes)
    around = passes + 1  # so that the picture's edge is no edge of the background
    padded = np.pad(check_mask(mask), around)
    grown = ~thin(~padded, passes=passes)
    return np.ascontiguousarray(grown[around:-around, around:-around])


def _check_passes(passes: int) -> None:
    if passes < 1:
        raise ConfigError(
            "no passes asked for", expected="1 or more", got=passes, next_step="Correct passes"
        )


def _checked(element: npt.NDArray[Any]) -> Mask:
    odd = element.ndim == 2 and all(side % 2 == 1 for side in element.shape)
    if element.dtype != np.bool_ or not odd or not element.any():
        raise _wrong_element(f"{element.shape} {element.dtype}, {np.count_nonzero(element)} set")
    return element


def _kernel(element: npt.NDArray[Any]) -> Picture:
    return np.asarray(_checked(element), np.uint8)


def _reflected(element: npt.NDArray[Any]) -> Picture:
    """Return the element as ``cv2.dilate`` wants it, which looks from where it reaches."""
    return np.ascontiguousarray(_kernel(element)[::-1, ::-1])


def _wrong_element(got: str) -> ConfigError:
    return ConfigError(
        "not a structuring element",
        expected="bool with odd sides and at least one pixel set; two of one shape, apart",
        got=got,
        next_step="Correct the element, such as full_element(3)",
    )


def _levels(mask: npt.NDArray[Any]) -> Picture:
    return np.asarray(check_mask(mask).view(np.uint8) * np.uint8(255), np.uint8)


def _bool(levels: npt.NDArray[Any]) -> Mask:
    return np.asarray(levels > 0, np.bool_)
