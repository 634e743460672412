"""Who may use one Bluetooth adapter, and when: one scan for all who look, one connecting at a time.

An adapter that scans connects badly, and one that makes two links at once fails often. So turns are
given. A sensor just seen is connected at once; a connection that is not made within ``TURN_S``
while others wait gives way to them and goes on later, so that a sensor which hangs never costs its
neighbours more than one turn. Nothing here knows Bluetooth.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

TURN_S = 1.5
"""Links are usually made in less than 1 s."""
LOOK_EVERY_S = 0.05
GIVE_UP_WITHIN_S = 2.0
"""Time given to an abandoned attempt to tidy up."""


@dataclass(slots=True, eq=False)
class _Job:
    attempt: Callable[[], Awaitable[Any]]
    linked: Callable[[], bool]
    drop: Callable[[Any], Awaitable[None]]
    done: asyncio.Future[Any]
    n_interrupted: int = 0


class AdapterTurns:
    """Shares one adapter among those who look for a sensor and those who connect to one.

    Args:
        scan: the adapter scans while this context is open.
        turn_s: how long one may use the adapter while others wait.
    """

    def __init__(
        self, scan: Callable[[], AbstractAsyncContextManager[None]], *, turn_s: float = TURN_S
    ) -> None:
        self._scan = scan
        self._turn_s = turn_s
        self._seekers: set[asyncio.Future[Any]] = set()
        self._newcomers: set[asyncio.Future[Any]] = set()  # have had no scan yet
        self._fresh: deque[_Job] = deque()
        self._interrupted: deque[_Job] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._leftovers: set[asyncio.Task[None]] = set()

    async def seek(self, found: asyncio.Future[T]) -> T:
        """Scan, in turns with others, until ``found`` is set by whoever sees the scan's results.

        Args:
            found: set by another; cancelled with this call.

        Returns:
            What ``found`` was set to.

        Raises:
            Exception: what starting the scan raised.
        """
        self._seekers.add(found)
        self._newcomers.add(found)
        self._wake()
        try:
            return await found
        finally:
            self._seekers.discard(found)
            self._newcomers.discard(found)

    async def connect(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        linked: Callable[[], bool],
        drop: Callable[[T], Awaitable[None]],
    ) -> T:
        """Run ``attempt`` in a turn of its own; again from its beginning when interrupted.

        Args:
            attempt: makes the connection; cancelled when its turn is over.
            linked: tells that the link is made and the adapter free, though the attempt goes on.
            drop: takes back a connection that nobody waits for any more.

        Returns:
            What the attempt returned.

        Raises:
            Exception: what the attempt raised.
        """
        job = _Job(attempt, linked, drop, asyncio.get_running_loop().create_future())
        self._fresh.append(job)
        self._wake()
        return await job.done  # type: ignore[no-any-return]

    def _wake(self) -> None:
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        """Give turns until nobody wants one."""
        scanned = True  # an interrupted one goes on only after the others had a scan
        while True:
            self._forget_who_left()
            if self._fresh:
                scanned = False
                await self._connect_turn(self._fresh.popleft())
            elif self._interrupted and (scanned or not self._seekers):
                scanned = False
                await self._connect_turn(self._interrupted.popleft())
            elif self._seekers:
                await self._scan_turn()
                scanned = True
            else:
                self._worker = None
                return

    def _forget_who_left(self) -> None:
        for queue in (self._fresh, self._interrupted):
            for job in [job for job in queue if job.done.done()]:
                queue.remove(job)

    async def _scan_turn(self) -> None:
        end_s = _now_s() + self._turn_s
        try:
            async with self._scan():
                self._newcomers.clear()
                while any(not seeker.done() for seeker in self._seekers):
                    await asyncio.sleep(LOOK_EVERY_S)
                    self._forget_who_left()
                    if self._fresh or (self._interrupted and _now_s() >= end_s):
                        return
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            for seeker in self._seekers:
                if not seeker.done():
                    seeker.set_exception(error)
        await asyncio.sleep(0)  # let those who were served leave

    async def _connect_turn(self, job: _Job) -> None:
        begun_s = _now_s()
        task = asyncio.ensure_future(job.attempt())
        while not (task.done() or job.done.done()):
            await asyncio.wait({task, job.done}, timeout=LOOK_EVERY_S)
            used_s = _now_s() - begun_s
            if task.done() or used_s < self._turn_s:
                continue
            if job.linked():
                self._later(self._settle(job, task))
                return
            if self._must_yield(used_s, job):
                break
        task.cancel()
        await asyncio.wait({task}, timeout=GIVE_UP_WITHIN_S)
        if task.done() and task.cancelled() and not job.done.done():
            job.n_interrupted += 1
            self._interrupted.append(job)
        elif task.done():
            await self._settle(job, task)
        else:  # its tidying up hangs too; it is watched, and nobody waits for it
            if not job.done.done():
                job.done.set_exception(asyncio.TimeoutError())
            self._later(self._settle(job, task))

    def _must_yield(self, used_s: float, job: _Job) -> bool:
        """Tell whether a turn has lasted too long: newcomers wait for one turn at most."""
        if self._fresh or any(not seeker.done() for seeker in self._newcomers):
            return True
        others = bool(self._interrupted) or any(not seeker.done() for seeker in self._seekers)
        return others and used_s >= self._turn_s * (1 + job.n_interrupted)

    async def _settle(self, job: _Job, task: asyncio.Task[Any]) -> None:
        """Hand the attempt's end to the one who waits, or take back what nobody waits for."""
        await asyncio.wait({task})
        if task.cancelled():
            if not job.done.done():
                job.done.cancel()
            return
        error = task.exception()
        if job.done.done():
            if error is None:
                await job.drop(task.result())
        elif error is not None:
            job.done.set_exception(error)
        else:
            job.done.set_result(task.result())

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._leftovers.add(task)
        task.add_done_callback(self._leftovers.discard)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
