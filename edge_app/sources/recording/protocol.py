"""What every reader of a recording offers, and how samples in order become chunks of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol

from edge_app.contracts import Chunk, Float32Array, Float64Array, StreamInfo
from edge_app.errors import SourceError

BLOCK_SAMPLES = 65_536
"""Samples read from the file at once: 256 s of EEG at 256 Hz, half a megabyte of stamps."""

ReadBlock = Callable[[int, int], tuple[Float64Array, Float32Array]]
"""Return stamps and samples ``start`` to ``stop`` (not included)."""


class Recording(Protocol):
    """One stream of an opened file. Reading is synchronous; ``player`` makes a source of it."""

    @property
    def info(self) -> StreamInfo:
        """What the stream is; stream time 0 is its first sample."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the file does not say and the reader had to assume, one sentence each."""

    @property
    def duration_s(self) -> float:
        """Length; of a video as its header tells, which may be off by some frames."""

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield the whole recording from its start; may be called again.

        Args:
            chunk_samples: samples (frames) a chunk, the last may be shorter; None: one second of
                signal, or one frame. Stamps and samples do not depend on it.

        Raises:
            SourceError: the file cannot be read any further.
        """

    def close(self) -> None:
        """Let go of the file; may be called twice."""


def signal_chunks(
    n_samples: int, chunk_samples: int | None, rate_hz: float, read: ReadBlock
) -> Iterator[Chunk]:
    """Yield a signal in chunks, read block by block so that little of it is in memory.

    Args:
        n_samples: length of the signal.
        chunk_samples: samples a chunk; None: one second.
        rate_hz: nominal rate.
        read: gives stamps and samples of a range.
    """
    size = check_chunk_samples(chunk_samples) or max(1, round(rate_hz))
    size = min(size, max(1, n_samples))
    block = size * max(1, BLOCK_SAMPLES // size)
    for start in range(0, n_samples, block):
        times_s, samples = read(start, min(start + block, n_samples))
        for begin in range(0, times_s.shape[0], size):
            yield Chunk(times_s[begin : begin + size], samples[begin : begin + size])


def check_chunk_samples(chunk_samples: int | None) -> int | None:
    """Return the chunk size as it is.

    Raises:
        SourceError: below 1.
    """
    if chunk_samples is not None and chunk_samples < 1:
        raise SourceError(
            "a chunk needs at least one sample",
            got=chunk_samples,
            next_step="Give 1 or more samples a chunk, or leave it out",
        )
    return chunk_samples


def refuse(
    path: Path,
    problem: str,
    next_step: str,
    *,
    expected: object = None,
    got: object = None,
    cause: BaseException | None = None,
) -> NoReturn:
    """Raise the SourceError of a file.

    Args:
        path: the file.
        problem: one sentence, what is wrong.
        next_step: one sentence, what to do about it.
        expected: what would have been right.
        got: what was found.
        cause: the library's exception, where there is one.

    Raises:
        SourceError: always.
    """
    raise SourceError(
        problem, source=str(path), expected=expected, got=got, next_step=next_step
    ) from cause
