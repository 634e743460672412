"""A folder of pictures as if it were a slow video, in the order a person would sort them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_app.contracts import UNIT_RGB8, VIDEO_CHANNELS, Array, Chunk, StreamInfo
from edge_app.sources.recording.protocol import check_chunk_samples, refuse

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
)
_DEFAULT_RATE_HZ = 1.0


def find_images(folder: Path) -> list[Path]:
    """Return the pictures of a folder, ``frame2`` before ``frame10``."""
    return sorted(
        (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()),
        key=lambda p: (_natural(p.name), p.name),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key in which numbers sort by value."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


class ImageRecording:
    """The pictures of a folder, or one picture.

    Args:
        path: the folder or file.
        rate_hz: pictures a second; None: 1.
        name: the stream's name; None: the folder's.

    Raises:
        SourceError: no picture in it.
    """

    def __init__(
        self, path: Path, *, rate_hz: float | None = None, name: str | None = None
    ) -> None:
        self._files = find_images(path) if path.is_dir() else [path]
        if not self._files:
            refuse(path, "no pictures in this folder", "Name a folder of JPEG or PNG pictures")
        _read_rgb(self._files[0])
        self.assumptions: tuple[str, ...] = ()
        if rate_hz is None:
            self.assumptions = (
                "pictures have no times: taken as 1 a second, so that seconds count pictures;"
                " another rate with --rate-hz",
            )
        self.info = StreamInfo(
            name=name or path.name,
            kind="video",
            rate_hz=_DEFAULT_RATE_HZ if rate_hz is None else rate_hz,
            channels=VIDEO_CHANNELS,
            units=(UNIT_RGB8,),
            device=path.name,
            simulated=False,
        )
        self.duration_s = len(self._files) / self.info.rate_hz

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield the pictures in order, those of another size than the last in a new chunk."""
        size = check_chunk_samples(chunk_samples) or 1
        held: list[Array] = []
        for index, file in enumerate(self._files):
            picture = _read_rgb(file)
            if held and (len(held) == size or held[0].shape != picture.shape):
                yield self._chunk(index, held)
                held = []
            held.append(picture)
        yield self._chunk(len(self._files), held)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _chunk(self, end: int, pictures: list[Array]) -> Chunk:
        times_s = np.arange(end - len(pictures), end) / self.info.rate_hz
        return Chunk(times_s, np.stack(pictures))


def _read_rgb(file: Path) -> Array:
    import cv2

    try:
        encoded = np.fromfile(file, np.uint8)
        picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    except (OSError, cv2.error) as error:
        return refuse(file, f"cannot be read: {error}", _UNREADABLE, cause=error)
    if picture is None:
        return refuse(file, "is no picture that can be decoded", _UNREADABLE)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


_UNREADABLE = "Remove it from the folder, or replace it"
