"""What every source is: opened, iterated for chunks, closed; and says what it assumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from types import TracebackType

from edge_app.contracts import Chunk, Overflow, StreamInfo


class Source(ABC):
    """One stream of one device, file or simulation.

    The rules, which ``tests/test_source_conformance.py`` holds every source to:

    * ``open`` connects and returns the StreamInfo; when it fails it cleans up and may be called
      again.
    * Iterating yields chunks that match the info. It ends when the stream ends (a file), and raises
      ``SourceLostError`` when a device goes away. It never yields None.
    * ``close`` may be called twice, and ends a pending iteration within a second.
    * Raw stamps are passed on as they are: gaps are the business of windowing.
    * What is wrong but not (yet) fatal, such as silence, a frozen picture or lost packets, is told
      by ``tell_trouble`` within two seconds, and an empty text when it is over.

    Attributes:
        overflow: the declared rule for a slow reader.
        dropped: how many samples (frames) that rule has dropped since ``open``.
        assumptions: sentences about what the source had to assume; for the log, known after
            ``open``.
        trouble: what is wrong at present, in words; empty when nothing is.
        figures: (name, value) of what the source counts or measures itself, units in the names,
            such as lost samples or the battery; replaced, never changed in place.
        on_trouble: called with every change of ``trouble``, from any thread.
    """

    overflow: Overflow = Overflow.BLOCK
    dropped: int = 0
    assumptions: tuple[str, ...] = ()
    trouble: str = ""
    figures: tuple[tuple[str, float], ...] = ()
    on_trouble: Callable[[str], None] | None = None

    @abstractmethod
    async def open(self) -> StreamInfo:
        """Connect and describe the stream.

        Raises:
            SourceNotFoundError: nothing there.
            SourceError: there, but not usable.
        """

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield chunks until the stream ends."""

    @abstractmethod
    async def close(self) -> None:
        """Release the device; may be called twice."""

    def tell_trouble(self, trouble: str) -> None:
        """Say what is wrong at present, once a change; empty when it is over.

        Args:
            trouble: one clause without a full stop, such as ``no data for 1.0 s``.
        """
        if trouble != self.trouble:
            self.trouble = trouble
            if self.on_trouble is not None:
                self.on_trouble(trouble)

    def truth_at(self, time_s: float) -> str | None:  # noqa: ARG002 - only simulations know
        """Return the true label at a stream time, for simulated sources only."""
        return None

    @property
    def duration_s(self) -> float | None:
        """Length of what will be delivered, None when it has no end or no known one."""
        return None

    async def __aenter__(self) -> Source:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
