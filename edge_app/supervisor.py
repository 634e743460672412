"""Keeps every stream running: one thread and event loop each, restarts with backoff, orderly stop.

A stream that fails, or hangs in native code, never stops another: nothing is shared but the
sinks. A stream that ends (a recording) is done; one that fails is opened again, for ever, because
at a bedside the sensor may come back at any hour: a sensor that went away or is not there is looked
for again at once, one that cannot be used as it is after 1, 2, 2 ... s, anything else after 1, 2, 4
... 30 s.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_app.errors import (
    ConfigError,
    ContractError,
    EdgeAppError,
    ManifestError,
    SinkError,
    SourceError,
    SourceLostError,
    SourceNotFoundError,
)
from edge_app.health import StreamHealth
from edge_app.memory import give_back_memory
from edge_app.pipeline import Pipeline

logger = logging.getLogger(__name__)

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
MAX_SOURCE_BACKOFF_S = 2.0
"""A sensor with a wrong rate, channel or service may be right again at any moment."""
LOOK_AGAIN_S = 0.25
"""Pause before a sensor that is away is looked for again: opening it waits for it by itself."""
SAY_AGAIN_S = 60.0
"""The same failure again and again is logged this often."""
HEALTHY_AFTER_S = 60.0
"""A stream that has run this long starts its backoff anew."""
STOP_WITHIN_S = 0.8
"""Time given to all streams together to close when asked to stop; then they are left behind."""
PERMANENT = (ConfigError, ManifestError, ContractError, SinkError)
"""Trying again cannot mend these, when a stream has never run: a device that ran may come back."""
BEAT_EVERY_S = 0.5
"""How often each event loop shows that it turns."""
GIVE_BACK_EVERY_S = 60.0
"""Failed attempts leave memory in pieces."""
AWAY = (SourceLostError, SourceNotFoundError)


@dataclass(frozen=True, slots=True)
class StreamJob:
    """One stream to keep running.

    Args:
        health: its counters; ``health.stream`` is its name.
        build: makes a fresh pipeline for each attempt.
        retry_source_errors: True for devices, which come back; False for recordings, which do
            not mend themselves.
    """

    health: StreamHealth
    build: Callable[[], Pipeline]
    retry_source_errors: bool = True


class Supervisor:
    """Runs streams in threads until they end or ``stop`` is called.

    Args:
        jobs: the streams, names unique.
        first_backoff_s: pause before the first restart; doubled for each further one. A sensor that
            is away is looked for again after ``LOOK_AGAIN_S`` at most.
    """

    def __init__(self, jobs: list[StreamJob], *, first_backoff_s: float = FIRST_BACKOFF_S) -> None:
        self._stopping = threading.Event()
        self._workers = [_Worker(job, self._stopping, first_backoff_s) for job in jobs]

    def start(self) -> None:
        """Start every stream."""
        for worker in self._workers:
            worker.thread.start()

    @property
    def running(self) -> bool:
        """Whether any stream still runs or waits to be restarted."""
        return any(worker.thread.is_alive() for worker in self._workers)

    def stalled(self, after_s: float) -> list[str]:
        """Return the names of the streams whose thread lives and whose event loop does not turn.

        Args:
            after_s: silence that counts as hanging.
        """
        return [worker.thread.name for worker in self._workers if worker.silent_s > after_s]

    @property
    def status(self) -> str:
        """Every stream, its state and what runs its model, in one line."""
        return ", ".join(worker.status for worker in self._workers)

    def join(self, timeout_s: float) -> None:
        """Wait until all streams have ended, at most ``timeout_s``."""
        deadline_s = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.thread.join(max(0.0, deadline_s - time.monotonic()))

    def stop(self) -> list[str]:
        """Stop all streams at once and wait shortly for them.

        Returns:
            Names of streams that did not end in time. Their threads stay, and the interpreter
            waits at its exit for what they have handed to an executor: a process that is to end
            now must then leave by ``os._exit``, after flushing.
        """
        self._stopping.set()
        for worker in self._workers:
            worker.cancel()
        self.join(STOP_WITHIN_S)
        stuck = [w.thread.name for w in self._workers if w.thread.is_alive()]
        for name in stuck:
            logger.error("%s did not stop within %.1f s and is left behind", name, STOP_WITHIN_S)
        return stuck


class _Worker:
    def __init__(self, job: StreamJob, stopping: threading.Event, first_backoff_s: float) -> None:
        self._job = job
        self._stopping = stopping
        self._first_backoff_s = first_backoff_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._said: tuple[str, float] | None = None  # the failure logged last, and when
        self._trimmed_s = time.monotonic()
        self._beat_s = time.monotonic()  # in the future while it waits for its next attempt
        self.thread = threading.Thread(target=self._run, name=job.health.stream, daemon=True)

    @property
    def status(self) -> str:
        """Name and state of its stream, and what runs its model."""
        health = self._job.health
        backend = f" ({health.backend})" if health.backend else ""
        return f"{health.stream} {health.state}{backend}"

    @property
    def silent_s(self) -> float:
        """Seconds since its loop last turned; 0 or less when it has ended or waits."""
        return time.monotonic() - self._beat_s if self.thread.is_alive() else 0.0

    def cancel(self) -> None:
        """Cancel the running attempt, from any thread."""
        with self._lock:
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _run(self) -> None:
        health = self._job.health
        backoff_s = self._first_backoff_s
        while not self._stopping.is_set():
            started_s = time.monotonic()
            met: BaseException | None = None
            try:
                asyncio.run(self._attempt())
                break
            except EdgeAppError as error:
                met = error
                self._failed(error)
                if self._is_permanent(error):
                    health.ended("failed")
                    return
            # The thread's top. SystemExit and a cancellation that nobody asked for are failures
            # too: a stream must not be dead and look alive.
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and self._stopping.is_set():
                    break
                logger.exception("%s: unforeseen error, please report it", health.stream)
                self._failed(error)
            if time.monotonic() - started_s > HEALTHY_AFTER_S:
                backoff_s = self._first_backoff_s
            health.state = "waiting"
            if time.monotonic() - self._trimmed_s > GIVE_BACK_EVERY_S:
                self._trimmed_s = time.monotonic()
                give_back_memory()
            backoff_s = min(backoff_s, _longest_backoff_s(met))
            self._beat_s = time.monotonic() + backoff_s
            if self._stopping.wait(backoff_s):
                break
            backoff_s *= 2.0
        health.ended("ended")

    async def _attempt(self) -> None:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        beating = asyncio.create_task(self._beat())
        try:
            if not self._stopping.is_set():
                await self._job.build().run()
        finally:
            beating.cancel()
            with self._lock:
                self._loop = self._task = None

    async def _beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(BEAT_EVERY_S)

    def _is_permanent(self, error: EdgeAppError) -> bool:
        live = self._job.retry_source_errors
        if isinstance(error, SourceError):
            return not live
        # An outlet that came back at another rate may come back as it was.
        came_back_wrong = live and isinstance(error, ConfigError) and self._job.health.samples > 0
        return isinstance(error, PERMANENT) and not came_back_wrong

    def _failed(self, error: BaseException) -> None:
        health = self._job.health
        said, now_s = str(error) or repr(error), time.monotonic()
        health.failed(said, error.exit_code if isinstance(error, EdgeAppError) else 1)
        if self._said is not None and said == self._said[0] and now_s - self._said[1] < SAY_AGAIN_S:
            return
        self._said = (said, now_s)
        about = f"{health.stream}: "  # the errors of a source begin with it already
        logger.error("%s%s", "" if said.startswith(about) else about, said)


def _longest_backoff_s(error: BaseException | None) -> float:
    if isinstance(error, AWAY):
        return LOOK_AGAIN_S
    # What ran and came back with another rate is a ConfigError: it does not fit the model.
    if isinstance(error, (SourceError, ConfigError)):
        return MAX_SOURCE_BACKOFF_S
    return MAX_BACKOFF_S
