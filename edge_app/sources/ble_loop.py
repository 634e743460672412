"""A thread with an event loop that outlives those who hand it work from loops of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs an event loop.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``work`` in the thread's loop; it goes on whatever becomes of its caller."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def run(
        self,
        work: Coroutine[Any, Any, T],
        *,
        drop: Callable[[T], Coroutine[Any, Any, None]] | None = None,
    ) -> T:
        """Run ``work`` in the thread's loop and return its result; cancelled with its caller.

        Args:
            work: what to do.
            drop: takes back a result that came though the caller was cancelled.

        Returns:
            What ``work`` returned.
        """
        tasks: list[asyncio.Task[Any]] = []

        async def tracked() -> T:
            task = asyncio.current_task()
            if task is not None:
                tasks.append(task)
            return await work

        async def abandon() -> None:
            task = tasks[0]  # began before this, for the loop keeps the order
            task.cancel()
            await asyncio.wait({task})
            if drop is not None and not task.cancelled() and task.exception() is None:
                await drop(task.result())

        future = self.start(tracked())
        try:
            await ended(future)
        except asyncio.CancelledError:
            self.start(abandon())
            raise
        return future.result()

    def close(self) -> None:
        """End the thread, and what goes on there; only tests and short commands need it."""
        if self._thread.is_alive():
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._tidy(), self._loop).result(10.0)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
            self._loop.close()

    async def _tidy(self) -> None:
        """Cancel what goes on; runs in the loop before it ends."""
        ours = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not ours]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


async def ended(future: Future[Any]) -> None:
    """Wait in this loop for the end of what another thread does, without cancelling it."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def tell(_future: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop that waited may be closed by then
            loop.call_soon_threadsafe(event.set)

    future.add_done_callback(tell)
    await event.wait()
