"""Run a device: all its streams at once, until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from edge_app.build import Tap, build_job, open_bundle
from edge_app.clock import MonotonicClock
from edge_app.config import DeviceConfig, JsonlConfig
from edge_app.config_sources import RecordingConfig
from edge_app.contracts import StreamInfo
from edge_app.errors import SinkError, SourceError
from edge_app.health import StreamHealth
from edge_app.health_record import EventRecord, HealthRecord, closed
from edge_app.inference.bundle import Bundle
from edge_app.recorder import Recorder
from edge_app.sinks.console import ConsoleSink
from edge_app.sinks.episodes import EPISODES_FILE, EpisodeSink, episode_specs
from edge_app.sinks.files import make_writable_dir
from edge_app.sinks.jsonl import JsonlSink
from edge_app.sinks.protocol import FanOut, OncePerMinute, Origin
from edge_app.sinks.wall_time import WallTime
from edge_app.sources.protocol import Source
from edge_app.supervisor import Supervisor
from edge_app.tasks.registry import KIND_OF_TASK
from edge_app.watchdog import STALLED_AFTER_S, Watchdog

logger = logging.getLogger(__name__)

HEALTH_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Args:
        health: one a stream.
        console: the console sink with its counts, when there was one.
        stuck: streams that did not stop in time; their threads would keep the process from ending.
        error: results that could not be written, None when all are.
    """

    health: tuple[StreamHealth, ...]
    console: ConsoleSink | None
    stuck: tuple[str, ...]
    error: SinkError | None = None

    @property
    def exit_code(self) -> int:
        """Return what the command ends with: lost results, then the first failed stream's error."""
        if self.error is not None:
            return self.error.exit_code
        failed = [health for health in self.health if health.state == "failed"]
        return (failed[0].error_code or SourceError.exit_code) if failed else 0


@dataclass(slots=True)
class _Outputs:
    """Everything that a run writes to.

    Attributes:
        fan_out: takes the predictions.
        console: the live view, if there is one.
        records: health and events, for each directory.
        recorder: keeps what the sensors deliver, if it is kept.
    """

    fan_out: FanOut = field(default_factory=lambda: FanOut([], strict=False))
    console: ConsoleSink | None = None
    records: list[HealthRecord | EventRecord] = field(default_factory=list)
    recorder: Recorder | None = None
    complaints: OncePerMinute = field(default_factory=OncePerMinute)

    def refresh(self, *, health_due: bool) -> None:
        if self.console is not None:
            self.console.refresh()
        for record in self.records:
            if health_due or isinstance(record, EventRecord):
                record.write()
        if self.recorder is not None:
            try:
                self.recorder.write_markers()
            except SinkError as error:
                self.complaints.log(error)

    def close(self) -> SinkError | None:
        """Close everything; return the first loss."""
        losses = [closed(self.fan_out), *(record.close() for record in self.records)]
        if self.recorder is not None:
            losses.append(self.recorder.close())
        return next((loss for loss in losses if loss is not None), None)


@contextmanager
def _stop_on_signal(stop: threading.Event) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_outputs(
    config: DeviceConfig,
    bundles: Sequence[Bundle],
    healths: list[StreamHealth],
    clock: MonotonicClock,
) -> _Outputs:
    outputs = _Outputs()
    specs = {
        stream.name: episode_specs(bundle)
        for stream, bundle in zip(config.streams, bundles, strict=True)
        if episode_specs(bundle)
    }
    for given in config.sinks:
        if isinstance(given, JsonlConfig):
            directory = make_writable_dir(given.directory)
            outputs.fan_out.add(JsonlSink(directory / "predictions.jsonl"))
            if specs:
                outputs.fan_out.add(EpisodeSink(directory / EPISODES_FILE, specs))
            outputs.records.append(HealthRecord(directory / "health.jsonl", healths))
            outputs.records.append(EventRecord(directory / "events.jsonl", healths))
        else:
            outputs.console = ConsoleSink(healths, clock)
            outputs.fan_out.add(outputs.console)
    return outputs


def run_device(
    config: DeviceConfig,
    *,
    duration_s: float | None = None,
    speed: float = 1.0,
    recorder: Recorder | None = None,
) -> RunResult:
    """Run all streams until they end, the duration is over, or SIGINT or SIGTERM comes.

    Args:
        config: the device.
        duration_s: seconds of stream time to run, None: for ever.
        speed: stream seconds a real second, for simulated sensors.
        recorder: keeps what the sensors deliver; None: nothing is kept.

    Returns:
        Health and counts at the end; everything is flushed, or told in ``error``.

    Raises:
        ManifestError: a bundle that cannot be trusted; nothing was started.
        SinkError: results cannot be written at all; nothing was started.
    """
    clock = MonotonicClock(speed)
    bundles = [open_bundle(stream.bundle) for stream in config.streams]
    healths: list[StreamHealth] = []
    outputs = _open_outputs(config, bundles, healths, clock)
    outputs.recorder = recorder
    recordings = {s.name for s in config.streams if isinstance(s.source, RecordingConfig)}
    wall = WallTime(clock)

    def on_open(info: StreamInfo, source: Source) -> None:
        outputs.fan_out.set_origin(info.name, _origin(info, wall, info.name in recordings))
        if outputs.console is not None:
            outputs.console.watch(info, source)
        for assumption in source.assumptions:
            logger.info("%s: %s", info.name, assumption)

    def tap(name: str, bundle: Bundle) -> Tap | None:
        if recorder is None:
            return None
        return recorder.tap(name, KIND_OF_TASK[bundle.manifest.task], wall.origin_unix_s)

    jobs = [
        build_job(
            stream,
            bundle,
            clock,
            outputs.fan_out.emit,
            on_open,
            network=config.lsl,
            tap=tap(stream.name, bundle),
        )
        for stream, bundle in zip(config.streams, bundles, strict=True)
    ]
    healths += [job.health for job in jobs]
    supervisor = Supervisor(jobs)
    stop, watchdog = threading.Event(), Watchdog()
    with _stop_on_signal(stop):
        if outputs.console is not None:
            outputs.console.start()
        supervisor.start()
        watchdog.ready()
        try:
            _wait(supervisor, stop, clock, duration_s, outputs, watchdog)
        finally:
            watchdog.stopping()
            stuck = supervisor.stop()
            for health in healths:
                if health.nothing_came:
                    health.state = "failed"
            error = outputs.close()
    return RunResult(tuple(healths), outputs.console, tuple(stuck), error)


def _origin(info: StreamInfo, wall: WallTime, recorded: bool) -> Origin:
    """Return the wall-clock time of a stream's time 0: its own, the opening's, or the clock's."""
    if info.start_unix_s is None and not recorded:
        return wall.origin_unix_s
    fixed = time.time() if info.start_unix_s is None else info.start_unix_s
    return lambda: fixed


def _wait(
    supervisor: Supervisor,
    stop: threading.Event,
    clock: MonotonicClock,
    duration_s: float | None,
    outputs: _Outputs,
    watchdog: Watchdog,
) -> None:
    end_s = None if duration_s is None else clock.now_s() + duration_s
    next_health_s = time.monotonic() + HEALTH_EVERY_S
    while supervisor.running and not stop.wait(0.1):
        if end_s is not None and clock.now_s() >= end_s:
            return
        health_due = time.monotonic() >= next_health_s
        next_health_s += HEALTH_EVERY_S * health_due
        outputs.refresh(health_due=health_due)
        watchdog.beat(supervisor.stalled(STALLED_AFTER_S), supervisor.status)
