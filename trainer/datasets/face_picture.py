"""One image file to one square grey picture, and what had to be done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from edge_app.preprocess.face import to_grey

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
COLOUR, DEEP, TRANSPARENT, RESIZED, SQUEEZED = (
    "colour made grey",
    "16 bits made 8",
    "transparent, put on black",
    "resized",
    "not square, squeezed",
)
"""What may be done to a picture; said in notes with how many."""
_TWELVE_BITS = 4095
_JPEG, _PNG, _WEBP = b"\xff\xd8", b"\x89PNG", b"WEBP"


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Args:
        pixels: (size, size) uint8 grey.
        source_px: height and width in the file.
        changes: what was done to it, of the words above.
    """

    pixels: npt.NDArray[np.uint8]
    source_px: tuple[int, int]
    changes: tuple[str, ...]


def decode(data: bytes, name: str, size_px: int) -> Picture:
    """Decode an image file to grey (ITU-R BT.601), shrunk by area to a square.

    Args:
        data: the file: JPEG, PNG, BMP or WebP.
        name: what to call it in errors.
        size_px: side of the picture.

    Returns:
        The picture.

    Raises:
        DatasetError: it cannot be decoded or is cut short, or its 16 bits have no known white.
    """
    import cv2

    wide = cv2.IMREAD_UNCHANGED if _may_be_transparent(data) else _AS_STORED
    try:  # an empty file, or a header that claims an absurd size, raises
        raw: Any = None if _cut_short(data) else cv2.imdecode(np.frombuffer(data, np.uint8), wide)
    except cv2.error:
        raw = None
    if raw is None:
        raise DatasetError(
            "not a readable picture",
            source=name,
            expected="a whole JPEG, PNG, BMP or WebP file",
            got=f"{len(data)} bytes",
            next_step="Get the picture again, or delete it",
        )
    changes: list[str] = []
    if raw.dtype != np.uint8:
        raw = _eight_bits(raw, name)
        changes.append(DEEP)
    if raw.ndim == 3 and raw.shape[2] == 4:
        if raw[..., 3].min() < 255:
            raw = raw[..., :3] * (raw[..., 3:] / 255.0)
            changes.append(TRANSPARENT)
        raw = np.rint(raw[..., :3]).astype(np.uint8)
    if raw.ndim == 3:
        raw = to_grey(np.ascontiguousarray(raw[..., ::-1]))
        changes.append(COLOUR)
    return shrink(np.asarray(raw, np.uint8), size_px, tuple(changes))


def shrink(grey: npt.NDArray[np.uint8], size_px: int, changes: tuple[str, ...] = ()) -> Picture:
    """Return a grey picture at the wanted size.

    Args:
        grey: (height, width).
        size_px: wanted side; by area downwards, linear upwards.
        changes: what was done to it before.

    Returns:
        The picture.
    """
    import cv2

    height, width = grey.shape
    if (height, width) != (size_px, size_px):
        down = min(height, width) >= size_px
        way = cv2.INTER_AREA if down else cv2.INTER_LINEAR
        grey = np.asarray(cv2.resize(grey, (size_px, size_px), interpolation=way), np.uint8)
        changes = (*changes, RESIZED, SQUEEZED) if height != width else (*changes, RESIZED)
    return Picture(grey, (height, width), changes)


_AS_STORED = 4 | 2
"""cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH: grey stays grey, and pictures are turned upright."""


def _may_be_transparent(data: bytes) -> bool:
    if data.startswith(_PNG):
        return data[25:26] in (b"\x04", b"\x06")  # IHDR: grey or colour with alpha
    return data[8:12] == _WEBP


def _cut_short(data: bytes) -> bool:
    """Return whether a JPEG has no end: some decoders fill what is missing with grey."""
    return data.startswith(_JPEG) and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")


def _eight_bits(raw: npt.NDArray[np.uint16], name: str) -> npt.NDArray[np.uint8]:
    brightest = int(raw.max())
    if raw.dtype != np.uint16 or brightest <= _TWELVE_BITS:
        raise DatasetError(
            "a deep picture whose white is not known",
            source=name,
            expected="8 bits, or 16 that use the whole range",
            got=f"{raw.dtype}, brightest pixel {brightest}",
            next_step="Save it with 8 bits",
        )
    return np.rint(raw / 257.0).astype(np.uint8)
