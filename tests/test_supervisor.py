"""Every stream is kept running alone: restarts, isolation, an orderly stop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_app.build import build_job, open_bundle
from edge_app.clock import MonotonicClock
from edge_app.config import StreamConfig
from edge_app.config_sources import RecordingConfig
from edge_app.contracts import Prediction, StreamInfo
from edge_app.errors import ConfigError, SourceLostError, SourceNotFoundError
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sources.protocol import Source
from edge_app.supervisor import STOP_WITHIN_S, StreamJob, Supervisor
from edge_app.tasks.protocol import Task
from edge_app.windowing import SlidingWindows, Windower
from tests.conftest import ROOT
from tests.scripted import EchoTask, ScriptedSource, seconds

LOST = SourceLostError("gone", source="scripted", next_step="wait")
MISSING = SourceNotFoundError("not there", source="scripted", next_step="wait")


def job(
    name: str,
    sources: list[Callable[[], Source]],
    said: list[Prediction],
    prepare: Callable[[StreamInfo], tuple[Windower, Task]] | None = None,
    *,
    retry_source_errors: bool = True,
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

    return StreamJob(health, build, retry_source_errors)


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
    assert (work.health.state, work.health.restarts) == ("ended", 2)  # it had not run at first
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


@pytest.mark.parametrize("error", [LOST, MISSING])
def test_a_source_that_does_not_come_back_is_not_tried_again(error: SourceLostError) -> None:
    """A recording that is missing or damaged does not mend itself."""
    work = job("a", [lambda: ScriptedSource(fail_open=error)], [], retry_source_errors=False)
    supervisor = Supervisor([work], first_backoff_s=0.01)
    supervisor.start()
    supervisor.join(5.0)
    assert (work.health.state, work.health.restarts) == ("failed", 0)
    assert work.health.last_error == str(error)


def test_a_configured_recording_that_is_missing_fails_for_good(tmp_path: Path) -> None:
    gone = RecordingConfig(kind="recording", path=tmp_path / "gone.edf")
    bundle = open_bundle(ROOT / "exports" / "sleep")
    config = StreamConfig(name="night", bundle=ROOT / "exports" / "sleep", source=gone)
    work = build_job(config, bundle, MonotonicClock(), [].append, lambda _info, _source: None)
    supervisor = Supervisor([work], first_backoff_s=0.01)
    supervisor.start()
    supervisor.join(5.0)
    assert (work.health.state, work.health.restarts) == ("failed", 0)
    assert "gone.edf" in work.health.last_error


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, GeneratorExit])
def test_a_stream_is_never_silently_dead(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever leaves an attempt, unless a stop was asked for, is logged and tried again."""

    class Leaves(ScriptedSource):
        async def open(self) -> StreamInfo:
            raise kind

    said: list[Prediction] = []
    work = job("a", [Leaves, lambda: ScriptedSource(seconds(0, 1))], said)
    supervisor = Supervisor([work], first_backoff_s=0.01)
    with caplog.at_level(logging.ERROR):
        supervisor.start()
        supervisor.join(5.0)
    assert (work.health.state, work.health.restarts) == ("ended", 0)
    assert kind.__name__ in work.health.last_error
    assert "please report it" in caplog.text
    assert said


def test_a_log_line_names_its_stream_once(caplog: pytest.LogCaptureFixture) -> None:
    errors = [LOST, ConfigError("does not fit", next_step="correct it")]
    attempts: list[Callable[[], Source]] = [lambda: ScriptedSource(errors[0]), lambda: wrong]
    wrong = ScriptedSource(errors[1])
    supervisor = Supervisor([job("scripted", attempts, [])], first_backoff_s=0.01)
    with caplog.at_level(logging.ERROR):
        supervisor.start()
        supervisor.join(5.0)
    assert [record.getMessage() for record in caplog.records] == [
        "scripted: gone. wait",
        "scripted: does not fit. correct it",
    ]


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


def test_a_sensor_that_is_away_is_looked_for_without_growing_pauses() -> None:
    """Five searches in vain: with doubled pauses they would take half a minute."""
    away: list[Callable[[], Source]] = [lambda: ScriptedSource(fail_open=MISSING)] * 5
    work = job("a", [*away, lambda: ScriptedSource(seconds(0, 1))], [])
    supervisor = Supervisor([work])
    supervisor.start()
    supervisor.join(15.0)
    assert (work.health.state, work.health.samples) == ("ended", 10)


def test_a_device_that_ran_and_came_back_with_what_does_not_fit_is_tried_again() -> None:
    rates = iter([True, False, True])

    def prepare(info: StreamInfo) -> tuple[Windower, Task]:
        if not next(rates):
            raise ConfigError("too slow for the model", next_step="use a faster sensor")
        return SlidingWindows(info, length_samples=10, hop_samples=10), EchoTask()

    said: list[Prediction] = []
    scripts: list[Callable[[], Source]] = [
        lambda: ScriptedSource(seconds(0, 1), LOST),
        lambda: ScriptedSource(seconds(0, 1)),
    ]
    work = job("a", scripts, said, prepare)
    supervisor = Supervisor([work], first_backoff_s=0.01)
    supervisor.start()
    supervisor.join(5.0)
    assert (work.health.state, work.health.restarts) == ("ended", 1)
    assert [(e.kind, e.text) for e in work.health.events_after(0)] == [
        ("open", "test"),
        ("error", "scripted: gone. wait"),
        ("error", "too slow for the model. use a faster sensor"),
        ("open", "test"),
        ("end", "ended"),
    ]


def test_the_same_failure_again_and_again_is_logged_and_noted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away: list[Callable[[], Source]] = [lambda: ScriptedSource(fail_open=MISSING)] * 8
    work = job("a", [*away, lambda: ScriptedSource(seconds(0, 1))], [])
    supervisor = Supervisor([work], first_backoff_s=0.001)
    with caplog.at_level(logging.ERROR):
        supervisor.start()
        supervisor.join(5.0)
    assert len(caplog.records) == 1
    assert [e.kind for e in work.health.events_after(0)] == ["error", "open", "end"]
    assert [e.number for e in work.health.events_after(1)] == [2, 3]


def test_trouble_is_told_once_a_change_and_is_over_when_the_stream_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Troubled(ScriptedSource):
        async def open(self) -> StreamInfo:
            info = await super().open()
            for trouble in ("no data for 1 s", "no data for 1 s", "", "frozen picture"):
                self.figures = (("battery_percent", 80.0),)
                self.tell_trouble(trouble)
            return info

    scripts: list[Callable[[], Source]] = [
        lambda: Troubled(seconds(0, 1), LOST),
        lambda: ScriptedSource(seconds(0, 1)),
    ]
    work = job("a", scripts, [])
    supervisor = Supervisor([work], first_backoff_s=0.001)
    with caplog.at_level(logging.WARNING):
        supervisor.start()
        supervisor.join(5.0)
    noted = [(e.kind, e.text) for e in work.health.events_after(0)]
    assert noted[:4] == [
        ("trouble", "no data for 1 s"),
        ("over", "no data for 1 s"),
        ("trouble", "frozen picture"),
        ("open", "test"),
    ]
    assert noted[4] == ("over", "frozen picture")  # the failure has taken its place
    assert work.health.trouble == ""
    assert caplog.text.count("a: no data for 1 s") == 1
    assert caplog.text.count("a: over: no data for 1 s") == 1
