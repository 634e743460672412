"""Replay a recording through a task: the same predictions as live, the same bytes every time.

A foot's recording also leaves its strides and a summary of the gait, see ``gait_record``; a night
its hypnogram and sleep statistics, see ``sleep_summary``; a face the episodes of its expressions,
see ``sinks/episodes``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_app.build import StreamRoad, open_bundle
from edge_app.contracts import AbstainReason, Prediction, StreamInfo
from edge_app.errors import ConfigError, EdgeAppError
from edge_app.expression_record import remove_report
from edge_app.gait_record import write_gait
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.preprocess.gait.stride import Stride
from edge_app.sinks.episodes import EPISODES_FILE, EpisodeSink, episode_specs
from edge_app.sinks.files import make_writable_dir, write_whole, writing_to
from edge_app.sinks.jsonl import JsonlSink
from edge_app.sinks.protocol import FanOut
from edge_app.sleep_picture import PICTURE_FILE
from edge_app.sleep_record import read_nights
from edge_app.sleep_report import SleepReport, report_on
from edge_app.sleep_summary import SUMMARY_FILE, write_report
from edge_app.sources.protocol import Source
from edge_app.sources.recording.player import RecordingSource
from edge_app.sources.recording.session import count_openings
from edge_app.tasks.frailty import FrailtyTask
from edge_app.tasks.registry import KIND_OF_TASK

logger = logging.getLogger(__name__)

Progress = Callable[[float, float | None], None]
"""Called with (stream time done, stream time in all or None)."""
OUT_FILE = "predictions.jsonl"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to replay and how.

    Args:
        recording: file or image folder.
        task: ``emotion``, ``sleep`` or ``frailty``.
        bundle: the bundle's folder.
        out: directory for ``predictions.jsonl`` and ``health.json``.
        channel: EEG channel by name, None: the best one there is.
        unit: unit of the signal where the file does not say.
        gyr_unit: unit of the gyroscope where it is not clear.
        rate_hz: rate where the file does not say.
        speed: stream seconds a real second, None: as fast as possible.
        chunk_samples: samples a chunk, None: the source's own choice; never changes the result.
        face_detector: YuNet file, None: the installed one, else OpenCV's own Haar cascade.
        baseline_s: seconds of usable face that become the person's own baseline; None: none.
    """

    recording: Path
    task: str
    bundle: Path
    out: Path
    channel: str | None = None
    unit: str | None = None
    gyr_unit: str | None = None
    rate_hz: float | None = None
    speed: float | None = None
    chunk_samples: int | None = None
    face_detector: Path | None = None
    baseline_s: float | None = None


@dataclass(slots=True)
class ReplayResult:
    """What came of it.

    Attributes:
        path: the predictions file; the partial one when stopped.
        stopped_by: the signal that ended the replay early; None when it is complete.
        health: counters.
        wall_s: how long it took.
        recorded_s: stream time covered.
        labels: how often each label was the final answer.
        reasons: how often each reason was the final answer.
        assumptions: what the source had to assume.
        strides: of a foot, accepted or not.
        last: the last answer that knew something; else the last that says what is lacking.
        sleep: what the night was; None when no epoch is complete, and for other tasks.
    """

    path: Path
    health: StreamHealth
    stopped_by: signal.Signals | None = None
    wall_s: float = 0.0
    recorded_s: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    assumptions: tuple[str, ...] = ()
    strides: list[Stride] = field(default_factory=list)
    last: Prediction | None = None
    sleep: SleepReport | None = None
    _begun_s: float = float("inf")

    def count(self, prediction: Prediction) -> None:
        """Count a final answer."""
        if self.last is None or _says_more(prediction) >= _says_more(self.last):
            self.last = prediction
        self._begun_s = min(self._begun_s, prediction.start_s)
        self.recorded_s = max(self.recorded_s, prediction.time_s - self._begun_s)
        if not prediction.final:
            return
        if prediction.label is not None:
            self.labels[prediction.label] += 1
        elif prediction.abstained is not None:
            self.reasons[prediction.abstained.value] += 1


def _says_more(prediction: Prediction) -> int:
    """Rank an answer: it knows something, it says what is lacking, or the signal was bad."""
    lacking = (AbstainReason.INSUFFICIENT_WALKING, AbstainReason.UNFAMILIAR)
    return 2 if prediction.probabilities else int(prediction.abstained in lacking)


def replay(request: ReplayRequest, progress: Progress | None = None) -> ReplayResult:
    """Replay a recording and write ``predictions.jsonl`` and ``health.json``.

    The predictions are written to ``predictions.jsonl.part``, which takes the final name when the
    replay is complete: a failed or stopped replay never replaces an earlier result, and what it
    wrote stays. SIGINT and SIGTERM stop it in good order.

    Args:
        request: what to replay.
        progress: told how far it is.

    Returns:
        Counts and the path of the predictions.

    Raises:
        ConfigError: the bundle is for another task, or the stream does not fit it.
        ManifestError: a bundle that cannot be trusted.
        SourceError: a recording that cannot be read.
        SinkError: results cannot be written.
    """
    bundle = open_bundle(request.bundle)
    if bundle.manifest.task != request.task:
        raise ConfigError(
            "the bundle is for another task",
            source=str(request.bundle),
            expected=request.task,
            got=bundle.manifest.task,
            next_step="Name the bundle of this task, or the task of this bundle",
        )
    source = _open_source(request, 0)
    out = make_writable_dir(request.out)
    part, episodes = out / f"{OUT_FILE}.part", out / f"{EPISODES_FILE}.part"
    result = ReplayResult(out / OUT_FILE, StreamHealth(request.recording.name, bundle.backend))
    fan_out = FanOut([], strict=True)
    started_s = time.perf_counter()

    def emit(prediction: Prediction) -> None:
        fan_out.emit(prediction)
        result.count(prediction)
        if progress is not None:
            progress(result.recorded_s, source.duration_s)

    def on_open(info: StreamInfo, opened: Source) -> None:
        origin_unix_s = info.start_unix_s or 0.0
        fan_out.set_origin(info.name, lambda: origin_unix_s)
        if opened is source:  # the first opening, and for most recordings the only one
            with writing_to(part):
                part.unlink(missing_ok=True)
                episodes.unlink(missing_ok=True)
            fan_out.add(JsonlSink(part))
            if request.task == "emotion":
                fan_out.add(EpisodeSink(episodes, {info.name: episode_specs(bundle)}))
        result.assumptions = opened.assumptions
        if isinstance(road.task, FrailtyTask):
            road.task.on_strides = result.strides.extend

    road = StreamRoad(bundle, request.face_detector, baseline_s=request.baseline_s)

    def run(opened: Source) -> None:
        pipeline = Pipeline(opened, road.prepare, emit, result.health, clock=None, on_open=on_open)
        result.stopped_by = asyncio.run(_until_stopped(pipeline))

    try:
        try:
            run(source)
            for opening in range(1, count_openings(request.recording)):
                if result.stopped_by is not None:
                    break
                try:  # a live stream that went away and came back
                    run(_open_source(request, opening))
                except ConfigError as error:  # live it was refused too, and looked for again
                    logger.warning("opening %d: %s", opening + 1, error)
        finally:
            fan_out.close()
    except EdgeAppError:
        _remove_empty(part)
        _remove_empty(episodes)
        if result.health.predictions and part.exists():
            logger.warning("what was estimated so far is in %s", part)
        raise
    result.wall_s = time.perf_counter() - started_s
    if result.stopped_by is not None:
        _remove_empty(part)
        _remove_empty(episodes)
        result.path = part
        return result
    result.health.state = "ended"
    record = result.health.snapshot() | {"wall_s": round(result.wall_s, 3)}
    with writing_to(out / OUT_FILE):
        if request.task == "emotion":
            remove_report(out)
            os.replace(episodes, out / EPISODES_FILE)  # noqa: PTH105 - likewise
        os.replace(part, out / OUT_FILE)  # noqa: PTH105 - says what it does: atomically
    write_whole(out / "health.json", json.dumps(record, indent=2) + "\n")
    if isinstance(road.task, FrailtyTask):
        write_gait(out, request.recording.name, road.task, result.strides, result.last)
    if request.task == "sleep":
        result.sleep = _write_sleep(out)
    return result


def _write_sleep(out: Path) -> SleepReport | None:
    """Write ``sleep.json`` from the finished predictions; nothing of an earlier replay stays."""
    for name in (SUMMARY_FILE, PICTURE_FILE):
        with writing_to(out / name):
            (out / name).unlink(missing_ok=True)
    nights = read_nights(out)
    if not nights:
        return None
    report = report_on(nights[0])
    write_report(report, out)
    return report


async def _until_stopped(pipeline: Pipeline) -> signal.Signals | None:
    """Run a pipeline to its end, or until a signal cancels it; open answers are finished."""
    running = asyncio.ensure_future(pipeline.run())
    caught: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        caught.append(number)
        running.cancel()

    loop = asyncio.get_running_loop()
    heard = threading.current_thread() is threading.main_thread()
    for number in (signal.SIGINT, signal.SIGTERM) if heard else ():
        loop.add_signal_handler(number, stop, number)
    try:
        await running
    except asyncio.CancelledError:
        if not caught:
            raise
        return caught[0]
    return None


def _remove_empty(part: Path) -> None:
    with writing_to(part):
        if part.is_file() and part.stat().st_size == 0:
            part.unlink()


def _open_source(request: ReplayRequest, opening: int) -> RecordingSource:
    return RecordingSource(
        request.recording,
        kind=KIND_OF_TASK[request.task],
        channel=request.channel,
        unit=request.unit,
        gyr_unit=request.gyr_unit,
        rate_hz=request.rate_hz,
        speed=request.speed,
        chunk_samples=request.chunk_samples,
        opening=opening,
    )
