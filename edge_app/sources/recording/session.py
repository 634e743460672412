"""One opening of a recorded live stream: what the source delivered from its opening to its failure.

A live stream that failed and came back has several openings in its file; each is played as a stream
of its own, in order, so that windows and state start again where they did live.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from edge_app.contracts import Chunk, StreamInfo
from edge_app.errors import SourceError
from edge_app.sources.recording.protocol import check_chunk_samples, refuse
from edge_app.sources.recording.session_format import (
    CHUNK,
    MAGIC,
    OPENED,
    unpack,
    unpack_chunk,
    unpack_opening,
    unpack_times_s,
)


def count_openings(path: Path) -> int:
    """Return how often the stream was opened; 0 for a file of another format.

    Args:
        path: the file.

    Raises:
        SourceError: damaged in the middle.
    """
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return 0
        return sum(1 for _ in unpack(file, str(path), OPENED))


class SessionRecording:
    """One opening of a recorded live stream.

    Args:
        path: the file.
        opening: which one, from 0.
        name: the stream's name; None: as it was live.

    Raises:
        SourceError: nothing was ever opened, or the file is damaged.
    """

    _info: StreamInfo
    assumptions: tuple[str, ...]

    def __init__(self, path: Path, *, opening: int = 0, name: str | None = None) -> None:
        self._path = path
        self._start = 0
        self.duration_s = 0.0
        self._file: BinaryIO | None = path.open("rb")
        try:
            self._find(opening)
        except SourceError:
            self.close()
            raise
        if name is not None:
            self._info = replace(self._info, name=name)

    def _find(self, opening: int) -> None:
        """Find an opening and what lies between its first and last sample."""
        openings = self._records(len(MAGIC), OPENED)
        found = next(itertools.islice(openings, opening, None), None)
        if found is None:
            refuse(self._path, "nothing was delivered while it was recorded", "Record it again")
        _, self._start, body = found
        self._info, self.assumptions = unpack_opening(body)
        stamps_s: list[float] = []
        for body in self._chunks():
            times_s = unpack_times_s(body)
            stamps_s = [*stamps_s[:1], float(times_s[0]), float(times_s[-1])]
        if stamps_s:
            self.duration_s = stamps_s[-1] - stamps_s[0] + 1.0 / self._info.rate_hz

    @property
    def info(self) -> StreamInfo:
        """What the stream was, on the clock of its recording."""
        return self._info

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield what was delivered, in chunks as they came, or cut to at most a size."""
        size = check_chunk_samples(chunk_samples)
        for body in self._chunks():
            chunk = unpack_chunk(body, self._info)
            n = chunk.times_s.shape[0]
            for begin in range(0, n, size or n):
                end = begin + (size or n)
                yield Chunk(chunk.times_s[begin:end], chunk.samples[begin:end])

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _chunks(self) -> Iterator[bytes]:
        """Yield the chunks of this opening, packed."""
        for kind, place, body in self._records(self._start, OPENED + CHUNK):
            if kind == CHUNK:
                yield body
            elif place != self._start:
                return

    def _records(self, start: int, kinds: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        if self._file is not None:
            self._file.seek(start)
            yield from unpack(self._file, str(self._path), kinds)
