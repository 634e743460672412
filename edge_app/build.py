"""Puts the parts together: configuration to sources, tasks, jobs. The only file that knows all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_app.build_source import build_source
from edge_app.clock import Clock
from edge_app.config import LslNetworkConfig, PersonConfig, StreamConfig
from edge_app.config_sources import RecordingConfig
from edge_app.contracts import StreamInfo
from edge_app.errors import ConfigError, ManifestError
from edge_app.health import StreamHealth
from edge_app.inference.bundle import Bundle, load_bundle, require_golden
from edge_app.inference.manifest import StrideConditioning
from edge_app.person_file import PersonFile
from edge_app.pipeline import Emit, Pipeline
from edge_app.preprocess.face import FaceDetector, HaarDetector, YuNetDetector
from edge_app.sources.protocol import Source
from edge_app.supervisor import StreamJob
from edge_app.tasks.frailty import FrailtyTask
from edge_app.tasks.protocol import Task, build_windower, fit_stream
from edge_app.tasks.registry import build_task
from edge_app.windowing import Windower

logger = logging.getLogger(__name__)

DAY_S = 86_400.0

OnOpen = Callable[[StreamInfo, Source], None]


def find_bundle(task: str) -> Path:
    """Return the shipped bundle of a task.

    Looked for in ``$BEDSIDE_EXPORTS``, in ``./exports`` and beside the installed sources.

    Args:
        task: ``emotion``, ``sleep`` or ``frailty``.

    Raises:
        ManifestError: in none of them.
    """
    roots = [Path("exports"), Path(__file__).resolve().parents[1] / "exports"]
    if "BEDSIDE_EXPORTS" in os.environ:
        roots.insert(0, Path(os.environ["BEDSIDE_EXPORTS"]))
    for root in roots:
        if (root / task / "manifest.json").is_file():
            return root / task
    raise ManifestError(
        f"no bundle for {task}",
        expected=[str(root / task) for root in roots],
        next_step="Name one with --bundle, or set BEDSIDE_EXPORTS to the folder that holds them",
    )


def open_bundle(path: Path) -> Bundle:
    """Load a bundle, every hash verified, and hold it against its golden outputs.

    Args:
        path: the bundle's folder.

    Raises:
        ManifestError: a missing, altered or wrong file.
        InferenceError: this machine's backend does not give the golden outputs.
    """
    bundle = load_bundle(path)
    require_golden(bundle)
    return bundle


def _detector(config_file: Path | None) -> Callable[[], FaceDetector]:
    if config_file is None:
        return HaarDetector
    return lambda: YuNetDetector(config_file)


@dataclass(slots=True)
class StreamRoad:
    """Windower and task of one stream, kept over restarts of its source.

    Args:
        bundle: the model.
        face_detector: YuNet file, or None for OpenCV's own.
        open_person: opens the file that keeps the wearer's gait, when the stream first opens: a bad
            file stops this stream, not the others; None: nothing is kept.
        task: made when the stream first opens; after a restart it is reset, not made anew, so
            that what is known about the person stays.
    """

    bundle: Bundle
    face_detector: Path | None = None
    open_person: Callable[[], PersonFile | None] | None = None
    task: Task | None = None

    def prepare(self, info: StreamInfo) -> tuple[Windower, Task]:
        """Hold an opened stream against the model and return its windower and task.

        Raises:
            ConfigError: the stream does not fit the model.
        """
        windower = build_windower(fit_stream(self.bundle.manifest, info), info)
        if self.task is None:
            _warn_if_slow(info, self.bundle.manifest.stream.rate_hz)
            kept = None if self.open_person is None else self.open_person()
            if kept is not None:
                kept.claim(simulated=info.simulated)
            person = None if kept is None else kept.person
            self.task = build_task(self.bundle, info, _detector(self.face_detector), person)
            if kept is not None and isinstance(self.task, FrailtyTask):
                self.task.on_strides = kept.heard
        else:
            self.task.adopt(info)
        return windower, self.task


def _warn_if_slow(info: StreamInfo, model_hz: float | None) -> None:
    if model_hz is not None and info.rate_hz < model_hz:
        logger.warning(
            "%s: the sensor sends %g samples a second, the model has learnt from %g: answers may "
            "be less sure",
            info.name,
            info.rate_hz,
            model_hz,
        )


def open_person_file(config: StreamConfig, bundle: Bundle) -> PersonFile | None:
    """Return the file that keeps a stream's wearer, or None when none is configured.

    Args:
        config: the stream.
        bundle: its bundle.

    Raises:
        ConfigError: the file is damaged, or the bundle does not read gait parameters.
        SinkError: its folder cannot be written to.
    """
    given: PersonConfig | None = config.person
    if given is None:
        return None
    if not isinstance(bundle.manifest.conditioning, StrideConditioning):
        raise ConfigError(
            "person: is for frailty by gait parameters only",
            source=config.name,
            got=f"{bundle.manifest.task}, {bundle.manifest.conditioning.kind}",
            next_step="Remove person: from this stream, or give it such a bundle",
        )
    days = given.half_life_days
    return PersonFile(
        given.file,
        baseline_strides=given.baseline_strides,
        half_life_s=None if days is None else days * DAY_S,
    )


Tap = Callable[[Source], Source]
"""Wraps a source, such as to record what it delivers."""


def build_job(
    config: StreamConfig,
    bundle: Bundle,
    clock: Clock,
    emit: Emit,
    on_open: OnOpen,
    *,
    network: LslNetworkConfig | None = None,
    tap: Tap | None = None,
) -> StreamJob:
    """Return a configured stream as a job for the supervisor.

    Args:
        config: the stream.
        bundle: its bundle, loaded.
        clock: the stream clock.
        emit: takes the predictions.
        on_open: told of every opening.
        network: which LSL outlets this device hears; None: the default.
        tap: put around every source of this stream; None: nothing.
    """
    health = StreamHealth(config.name)
    health.started(bundle.model_id)
    road = StreamRoad(bundle, config.face_detector, lambda: open_person_file(config, bundle))
    live = not isinstance(config.source, RecordingConfig)

    def pipeline() -> Pipeline:
        source = build_source(config, bundle.manifest.task, clock, network or LslNetworkConfig())
        return Pipeline(
            source if tap is None else tap(source),
            road.prepare,
            emit,
            health,
            clock=clock if live else None,
            on_open=on_open,
        )

    # A file that is missing or damaged does not mend itself.
    return StreamJob(health, pipeline, retry_source_errors=live)
