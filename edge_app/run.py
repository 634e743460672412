"""Run a device: all its streams at once, until told to stop."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from edge_app.build import build_job, open_bundle
from edge_app.clock import MonotonicClock
from edge_app.config import ConsoleConfig, DeviceConfig, JsonlConfig
from edge_app.contracts import StreamInfo
from edge_app.errors import SinkError
from edge_app.health import StreamHealth
from edge_app.sinks.console import ConsoleSink
from edge_app.sinks.jsonl import JsonlSink, iso_utc, make_writable_dir
from edge_app.sinks.protocol import FanOut, Sink
from edge_app.sources.protocol import Source
from edge_app.supervisor import Supervisor

logger = logging.getLogger(__name__)

HEALTH_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Args:
        health: one a stream.
        console: the console sink with its counts, when there was one.
        stuck: streams that did not stop in time.
    """

    health: tuple[StreamHealth, ...]
    console: ConsoleSink | None
    stuck: tuple[str, ...]


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


def _health_writer(directory: Path, healths: list[StreamHealth]) -> Callable[[], None]:
    def write() -> None:
        record = {
            "time": iso_utc(time.time()),
            "streams": [health.snapshot() for health in healths],
        }
        try:
            with (directory / "health.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            logger.error("%s: the health record cannot be written: %s", directory, error)

    return write


def run_device(
    config: DeviceConfig, *, duration_s: float | None = None, speed: float = 1.0
) -> RunResult:
    """Run all streams until they end, the duration is over, or SIGINT or SIGTERM comes.

    Args:
        config: the device.
        duration_s: seconds of stream time to run, None: for ever.
        speed: stream seconds a real second, for simulated sensors.

    Returns:
        Health and counts at the end; everything is flushed.

    Raises:
        ManifestError: a bundle that cannot be trusted; nothing was started.
        SinkError: results cannot be written at all, or what was held could not be written at the
            end.
    """
    clock = MonotonicClock(speed)
    bundles = [open_bundle(stream.bundle) for stream in config.streams]
    healths: list[StreamHealth] = []
    writers: list[Callable[[], None]] = []
    sinks: list[Sink] = []
    console: ConsoleSink | None = None
    for given in config.sinks:
        if isinstance(given, JsonlConfig):
            directory = make_writable_dir(given.directory)
            sinks.append(JsonlSink(directory / "predictions.jsonl"))
            writers.append(_health_writer(directory, healths))
        elif isinstance(given, ConsoleConfig) and console is None:
            console = ConsoleSink(healths, clock)
            sinks.append(console)
    fan_out = FanOut(sinks, strict=False)
    started_unix_s = time.time() - clock.now_s()

    def on_open(info: StreamInfo, source: Source) -> None:
        origin = info.start_unix_s if info.start_unix_s is not None else started_unix_s
        fan_out.set_origin(info.name, origin)
        if console is not None:
            console.watch(info, source)
        for assumption in source.assumptions:
            logger.info("%s: %s", info.name, assumption)

    jobs = [
        build_job(stream, bundle, clock, fan_out.emit, on_open)
        for stream, bundle in zip(config.streams, bundles, strict=True)
    ]
    healths += [job.health for job in jobs]
    supervisor = Supervisor(jobs)
    stop = threading.Event()
    with _stop_on_signal(stop):
        if console is not None:
            console.start()
        supervisor.start()
        try:
            _wait(supervisor, stop, clock, duration_s, writers)
        finally:
            stuck = supervisor.stop()
            fan_out_error = _close(fan_out)
            for write in writers:
                write()
    if fan_out_error is not None:
        raise fan_out_error
    return RunResult(tuple(healths), console, tuple(stuck))


def _wait(
    supervisor: Supervisor,
    stop: threading.Event,
    clock: MonotonicClock,
    duration_s: float | None,
    writers: list[Callable[[], None]],
) -> None:
    end_s = None if duration_s is None else clock.now_s() + duration_s
    next_health_s = time.monotonic() + HEALTH_EVERY_S
    while supervisor.running and not stop.wait(0.1):
        if end_s is not None and clock.now_s() >= end_s:
            return
        if time.monotonic() >= next_health_s:
            next_health_s += HEALTH_EVERY_S
            for write in writers:
                write()


def _close(fan_out: FanOut) -> SinkError | None:
    try:
        fan_out.close()
    except SinkError as error:
        return error
    return None
