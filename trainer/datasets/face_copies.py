"""Pictures that are the same: to the pixel, or nearly."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
SIDE = 16
NEAR_BITS = 8
"""Of 256 bits: pictures that differ in no more are near copies."""
_ROWS = 1024


def picture_hashes(pixels: Pixels) -> npt.NDArray[np.str_]:
    """Return a hash of each picture's pixels.

    Args:
        pixels: (n, height, width) uint8.

    Returns:
        (n,) 32 hexadecimal digits.
    """
    digests = [hashlib.sha256(picture.tobytes()).hexdigest()[:32] for picture in pixels]
    return np.array(digests, dtype="<U32")


def count_other_labels(
    ours: npt.NDArray[np.str_],
    our_labels: npt.NDArray[np.int64],
    theirs: npt.NDArray[np.str_],
    their_labels: npt.NDArray[np.int64],
) -> int:
    """Count pictures of the second set that have a copy with another label in the first.

    Args:
        ours: (n,) hashes of the first set.
        our_labels: (n,) their classes.
        theirs: (m,) hashes of the second set.
        their_labels: (m,) their classes.

    Returns:
        How many of the m.
    """
    labels: dict[str, set[int]] = {}
    for digest, label in zip(ours, our_labels.tolist(), strict=True):
        labels.setdefault(digest, set()).add(label)
    return sum(
        labels.get(digest, {label}) != {label}
        for digest, label in zip(theirs, their_labels.tolist(), strict=True)
    )


def difference_hashes(pixels: Pixels) -> Pixels:
    """Return 256 bits a picture: whether each of 16 x 17 means is darker than its right neighbour.

    A change of light or of compression leaves most of them alone.

    Args:
        pixels: (n, height, width) uint8.

    Returns:
        (n, 32) uint8, eight bits each.

    Source: N. Krawetz 2013, "Kind of like that"; 16 rows of 16 instead of 8 of 8.
    """
    import cv2

    small = [
        cv2.resize(picture, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA) for picture in pixels
    ]
    if not small:
        return np.zeros((0, SIDE * SIDE // 8), np.uint8)
    grey = np.stack(small)
    return np.packbits((grey[:, :, 1:] > grey[:, :, :-1]).reshape(len(grey), -1), axis=1)


def near_copies(bits: Pixels, others: Pixels) -> npt.NDArray[np.bool_]:
    """Return which pictures have a near or exact copy among others.

    Args:
        bits: (n, 32) of ``difference_hashes``.
        others: (m, 32).

    Returns:
        (n,) True where some other differs in at most ``NEAR_BITS`` bits.
    """
    near = np.zeros(len(bits), dtype=bool)
    if not len(others):
        return near
    signs = _signs(others).T
    least = SIDE * SIDE - 2 * NEAR_BITS  # of the product of two rows of signs
    for start in range(0, len(bits), _ROWS):
        rows = slice(start, start + _ROWS)
        near[rows] = (_signs(bits[rows]) @ signs).max(axis=1) >= least
    return near


def _signs(bits: Pixels) -> npt.NDArray[np.float32]:
    return np.unpackbits(bits, axis=1).astype(np.float32) * 2.0 - 1.0
