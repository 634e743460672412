"""Every stream is kept running alone: restarts, isolation, an orderly stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from edge_app.contracts import Prediction, StreamInfo
from edge_app.errors import ConfigError, SourceLostError, SourceNotFoundError
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sources.protocol import Source
from edge_app.supervisor import STOP_WITHIN_S, StreamJob, Supervisor
from edge_app.tasks.protocol import Task
from edge_app.windowing import SlidingWindows, Windower
from tests.scripted import EchoTask, ScriptedSource, seconds

LOST = SourceLostError("gone", source="scripted", next_step="wait")
MISSING = SourceNotFoundError("not there", source="scripted", next_step="wait")


def job(
    name: str,
    sources: list[Callable[[], Source]],
    said: list[Prediction],
    prepare: Callable[[StreamInfo], tuple[Windower, Task]] | None = None,
) -> StreamJob:
    """A job whose n-th attempt uses the n-th source; the last one is repeated."""
    health = StreamHealth(name)
    attempts = iter(sources)
    last = sources[-1]

    def default(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=10, hop_samples=10), EchoTask()

    def build() -> Pipeline:
        source = next(attempts, last)()
        return Pipeline(source, prepare or default, said.append, health, clock=None)

    return StreamJob(health, build)


def wait_until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.005)


def test_a_stream_that_ends_is_done() -> None:
    said: list[Prediction] = []
    supervisor = Supervisor([job("a", [lambda: ScriptedSource(seconds(0, 2))], said)])
    supervisor.start()
    supervisor.join(5.0)
    assert not supervisor.running
    assert len(said) == 3


def test_faults_are_tried_again_until_it_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    said: list[Prediction] = []
    faults: list[Callable[[], Source]] = [
        lambda: ScriptedSource(fail_open=MISSING),
        lambda: ScriptedSource(seconds(0, 1), LOST),
        lambda: ScriptedSource(ValueError("a bug")),
        lambda: ScriptedSource(seconds(0, 1)),
    ]
    work = job("a", faults, said)
    supervisor = Supervisor([work], first_backoff_s=0.01)
    with caplog.at_level(logging.ERROR):
        supervisor.start()
        supervisor.join(5.0)
    assert (work.health.state, work.health.restarts) == ("ended", 3)
    assert [p.final for p in said] == [False, True, False, True]
    assert "not there" in caplog.text
    assert "gone" in caplog.text
    assert "a bug" in caplog.text


def test_what_cannot_mend_itself_is_not_tried_again() -> None:
    wrong = ConfigError("does not fit", next_step="correct it")

    def prepare(_info: StreamInfo) -> tuple[Windower, Task]:
        raise wrong

    work = job("a", [lambda: ScriptedSource(seconds(0, 1))], [], prepare)
    supervisor = Supervisor([work], first_backoff_s=0.01)
    supervisor.start()
    supervisor.join(5.0)
    assert (work.health.state, work.health.restarts) == ("failed", 0)
    assert "does not fit" in work.health.last_error


def test_a_stream_that_fails_or_hangs_never_stops_another() -> None:
    """One raises at once, one blocks its thread as native code would, one goes on counting."""
    release = threading.Event()

    class Blocking(EchoTask):
        def push(self, window: object) -> list[Prediction]:  # noqa: ARG002
            release.wait(20.0)
            return []

    def block(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=10, hop_samples=10), Blocking()

    said: list[Prediction] = []
    jobs = [
        job("fails", [lambda: ScriptedSource(LOST)], []),
        job("hangs", [lambda: ScriptedSource(seconds(0, 1))], [], block),
        job("works", [lambda: ScriptedSource(*[seconds(k, k + 1) for k in range(50)], None)], said),
    ]
    supervisor = Supervisor(jobs, first_backoff_s=0.01)
    supervisor.start()
    try:
        wait_until(lambda: len(said) == 50 and jobs[0].health.restarts >= 2)
    finally:
        begun_s = time.monotonic()
        stuck = supervisor.stop()
        took_s = time.monotonic() - begun_s
        release.set()
    assert stuck == ["hangs"]
    assert took_s < STOP_WITHIN_S + 0.2
    assert said[-1].final  # finished on the way out
    supervisor.join(5.0)
    assert not supervisor.running


def test_a_waiting_stream_stops_at_once() -> None:
    work = job("a", [lambda: ScriptedSource(LOST)], [])
    supervisor = Supervisor([work], first_backoff_s=30.0)
    supervisor.start()
    wait_until(lambda: work.health.state == "waiting")
    assert supervisor.stop() == []
    assert not supervisor.running
