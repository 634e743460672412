"""Replay a recording through a task: the same predictions as live, the same bytes every time."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_app.build import StreamRoad, open_bundle
from edge_app.contracts import Prediction, StreamInfo
from edge_app.errors import ConfigError
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sinks.jsonl import JsonlSink, make_writable_dir
from edge_app.sinks.protocol import FanOut
from edge_app.sources.protocol import Source
from edge_app.sources.recording.player import RecordingSource
from edge_app.tasks.registry import KIND_OF_TASK

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
        face_detector: YuNet file, None: OpenCV's own Haar cascade.
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


@dataclass(slots=True)
class ReplayResult:
    """What came of it.

    Attributes:
        path: the predictions file.
        health: counters.
        wall_s: how long it took.
        recorded_s: stream time covered.
        labels: how often each label was the final answer.
        reasons: how often each reason was the final answer.
        assumptions: what the source had to assume.
    """

    path: Path
    health: StreamHealth
    wall_s: float = 0.0
    recorded_s: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    assumptions: tuple[str, ...] = ()

    def count(self, prediction: Prediction) -> None:
        """Count a final answer."""
        self.recorded_s = max(self.recorded_s, prediction.time_s)
        if not prediction.final:
            return
        if prediction.label is not None:
            self.labels[prediction.label] += 1
        elif prediction.abstained is not None:
            self.reasons[prediction.abstained.value] += 1


def replay(request: ReplayRequest, progress: Progress | None = None) -> ReplayResult:
    """Replay a recording and write ``predictions.jsonl`` and ``health.json``.

    The predictions are written to ``predictions.jsonl.part``, which takes the final name when the
    replay is complete: a failed or stopped replay never replaces an earlier result, and what it
    wrote stays.

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
    source = _open_source(request)
    out = make_writable_dir(request.out)
    part = out / f"{OUT_FILE}.part"
    part.unlink(missing_ok=True)
    result = ReplayResult(out / OUT_FILE, StreamHealth(request.recording.name))
    fan_out = FanOut([JsonlSink(part)], strict=True)
    started_s = time.perf_counter()

    def emit(prediction: Prediction) -> None:
        fan_out.emit(prediction)
        result.count(prediction)
        if progress is not None:
            progress(prediction.time_s, source.duration_s)

    def on_open(info: StreamInfo, opened: Source) -> None:
        fan_out.set_origin(info.name, info.start_unix_s or 0.0)
        result.assumptions = opened.assumptions

    road = StreamRoad(bundle, request.face_detector)
    pipeline = Pipeline(source, road.prepare, emit, result.health, clock=None, on_open=on_open)
    try:
        asyncio.run(pipeline.run())
    finally:
        fan_out.close()
    result.health.state = "ended"
    result.wall_s = time.perf_counter() - started_s
    os.replace(part, result.path)  # noqa: PTH105 - says what it does: atomically
    record = result.health.snapshot() | {"wall_s": round(result.wall_s, 3)}
    (out / "health.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return result


def _open_source(request: ReplayRequest) -> RecordingSource:
    return RecordingSource(
        request.recording,
        kind=KIND_OF_TASK[request.task],
        channel=request.channel,
        unit=request.unit,
        gyr_unit=request.gyr_unit,
        rate_hz=request.rate_hz,
        speed=request.speed,
        chunk_samples=request.chunk_samples,
    )
