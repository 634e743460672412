"""One long-lived thread that waits in liblsl, and hands what comes to an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque

from edge_app.sources.lsl_inlet import LslInlet, Pulled

_MAX_HELD = 1000
"""Batches; a reader that is slower still lets liblsl hold a minute, and then lose the oldest."""
_FULL_WAIT_S = 0.01


class LslReader:
    """Pulls from an inlet until stopped or until the outlet has gone.

    Args:
        inlet: connected; used by this thread alone until ``stop`` has returned.
        loop: where ``take`` is awaited.
    """

    def __init__(self, inlet: LslInlet, loop: asyncio.AbstractEventLoop) -> None:
        self._inlet = inlet
        self._loop = loop
        self._held: deque[Pulled] = deque()
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._something = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="lsl-reader", daemon=True)
        self._thread.start()

    async def take(self, within_s: float) -> list[Pulled]:
        """Return what has come, oldest first; empty when nothing came in time or after a stop.

        Args:
            within_s: how long to wait.

        Raises:
            SourceLostError: the outlet has gone, and all that came before has been taken.
        """
        timer = self._loop.call_later(within_s, self._something.set)  # cheaper than wait_for
        try:
            await self._something.wait()
        finally:
            timer.cancel()
        self._something.clear()
        taken = []
        while self._held:
            taken.append(self._held.popleft())
        if self._error is not None:
            if not taken and not self._held:
                raise self._error
            self._something.set()  # told at the next call
        return taken

    def ask_to_stop(self) -> None:
        """Wake whoever waits in ``take``; from the loop's own thread."""
        self._stopping.set()
        self._something.set()

    def stop(self) -> None:
        """End the thread, within one slice of waiting; not from the loop's own thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                pulled = self._inlet.pull()
                while len(self._held) >= _MAX_HELD and not self._stopping.wait(_FULL_WAIT_S):
                    pass
                if pulled is not None:
                    self._held.append(pulled)
                    self._wake()
        except BaseException as error:  # noqa: BLE001 - raised where it is read
            self._error = error
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._something.set)
