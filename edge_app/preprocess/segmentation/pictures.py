"""What the classical operations take: eight bits a channel, and masks. Anything else is converted.

Nothing is guessed inside an operation: a picture of another kind is refused there, and
``to_eight_bits`` says by which rule it becomes one that is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import PreprocessError
from edge_app.preprocess.face import Picture

Mask = npt.NDArray[np.bool_]
_SIXTEEN_TO_EIGHT = 257
"""65535 / 255: black stays black and white stays white."""


def check_grey(picture: npt.NDArray[Any]) -> Picture:
    """Return the picture, contiguous, where it is a grey one.

    Args:
        picture: (height, width) uint8, at least one pixel.

    Returns:
        The same levels.

    Raises:
        PreprocessError: anything else, such as 16 bits, floats, colour or no pixels.
    """
    if picture.dtype != np.uint8 or picture.ndim != 2 or not picture.size:
        raise _refusal(picture, "a grey picture", "(height, width) uint8, not empty")
    return np.ascontiguousarray(picture)


def check_colour(picture: npt.NDArray[Any]) -> Picture:
    """Return the picture, contiguous, where it is one in colour.

    Args:
        picture: (height, width, 3) uint8 RGB, at least one pixel.

    Returns:
        The same levels.

    Raises:
        PreprocessError: anything else, such as RGBA, 16 bits, floats or no pixels.
    """
    good = picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    if not good or not picture.size:
        raise _refusal(picture, "a colour picture", "(height, width, 3) uint8 RGB, not empty")
    return np.ascontiguousarray(picture)


def check_mask(mask: npt.NDArray[Any]) -> Mask:
    """Return the mask, contiguous, where it is one; a mask without foreground is one.

    Args:
        mask: (height, width) bool, at least one pixel.

    Returns:
        The same mask.

    Raises:
        PreprocessError: anything else, such as 0 and 255 in uint8.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise _refusal(mask, "a mask", "(height, width) bool, not empty")
    return np.ascontiguousarray(mask)


def to_eight_bits(picture: npt.NDArray[Any]) -> Picture:
    """Return a picture with eight bits a channel.

    Args:
        picture: any shape; uint8 as it is, bool as 0 and 255, uint16 from 0-65535 by division by
            257, floats from 0-1 by multiplication with 255; both rounded.

    Returns:
        uint8 of the same shape.

    Raises:
        PreprocessError: another type, or floats that are not finite or not within 0 and 1.
    """
    if picture.dtype == np.uint8:
        return np.asarray(picture, np.uint8)
    if picture.dtype == np.bool_:
        return np.asarray(np.where(picture, 255, 0), np.uint8)
    if picture.dtype == np.uint16:
        rounded = (picture.astype(np.uint32) + _SIXTEEN_TO_EIGHT // 2) // _SIXTEEN_TO_EIGHT
        return np.asarray(rounded, np.uint8)
    if not np.issubdtype(picture.dtype, np.floating):
        raise _refusal(picture, "a picture", "uint8, uint16, bool or float")
    if not bool(((picture >= 0) & (picture <= 1)).all()):  # NaN is neither
        raise PreprocessError(
            "a picture in floats is out of range",
            expected="finite values from 0 to 1",
            got=f"{np.min(picture):g} to {np.max(picture):g}",
            next_step="Scale it to 0-1, or give it as uint8",
        )
    return np.asarray(np.rint(255.0 * picture.astype(np.float64)), np.uint8)


def _refusal(picture: npt.NDArray[Any], kind: str, expected: str) -> PreprocessError:
    return PreprocessError(
        f"not {kind}",
        expected=expected,
        got=f"{picture.shape} {picture.dtype}",
        next_step="Convert it first: to_eight_bits, then as_rgb, then to_grey",
    )
