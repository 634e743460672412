"""Iterates a camera source in the background and notes what it delivers and tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from edge_app.contracts import Chunk
from edge_app.errors import EdgeAppError
from edge_app.sources.opencv_camera import CameraSource


def descriptors() -> int:
    """Return how many files, sockets and pipes this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Viewer:
    """Reads a source from entering to leaving the context."""

    def __init__(self, source: CameraSource) -> None:
        self.source = source
        self.chunks: list[Chunk] = []
        self.told: list[tuple[float, str]] = []
        self.failure: EdgeAppError | None = None
        source.on_trouble = lambda text: self.told.append((time.monotonic(), text))

    async def __aenter__(self) -> Viewer:
        self.info = await self.source.open()
        self._task = asyncio.create_task(self._view())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()
        await asyncio.wait_for(self._task, 5.0)

    async def _view(self) -> None:
        try:
            async for chunk in self.source:
                self.chunks.append(chunk)
        except EdgeAppError as error:
            self.failure = error

    async def until(self, condition: Callable[[], bool], within_s: float = 20.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain; told {self.told}"
            await asyncio.sleep(0.005)

    async def frames(self, n: int) -> None:
        """Wait for n more frames."""
        wanted = len(self.chunks) + n
        await self.until(lambda: len(self.chunks) >= wanted)

    @property
    def figures(self) -> dict[str, float]:
        return dict(self.source.figures)
