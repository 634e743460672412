"""Puts the parts together: configuration to sources, tasks, jobs. The only file that knows all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_app.build_source import build_source
from edge_app.clock import Clock
from edge_app.config import DeviceConfig, LslNetworkConfig, PersonConfig, StreamConfig
from edge_app.config_sources import RecordingConfig
from edge_app.contracts import StreamInfo
from edge_app.errors import ConfigError, ManifestError
from edge_app.expression_baseline import RestingBaseline
from edge_app.face_detector_file import choose_detector
from edge_app.health import StreamHealth
from edge_app.inference.backends import load_on_best_backend
from edge_app.inference.bundle import Bundle, require_golden
from edge_app.inference.manifest import FaceConditioning, StrideConditioning, read_manifest
from edge_app.person_file import PersonFile
from edge_app.pipeline import Emit, Pipeline
from edge_app.preprocess.face_finder import Region
from edge_app.sources.protocol import Source
from edge_app.supervisor import StreamJob
from edge_app.tasks.emotion import EmotionTask
from edge_app.tasks.frailty import FrailtyTask
from edge_app.tasks.person_gait import PersonGait
from edge_app.tasks.protocol import Task, build_windower, fit_stream
from edge_app.tasks.registry import build_task
from edge_app.windowing import Windower

logger = logging.getLogger(__name__)

DAY_S = 86_400.0

OnOpen = Callable[[StreamInfo, Source], None]
AnyPersonFile = PersonFile[PersonGait] | PersonFile[RestingBaseline]


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
    """Load a bundle on the best backend, every hash verified, and hold it against golden outputs.

    Args:
        path: the bundle's folder.

    Raises:
        ManifestError: a missing, altered or wrong file.
        InferenceError: this machine's backend does not give the golden outputs.
    """
    bundle = load_on_best_backend(path)
    require_golden(bundle)
    return bundle


@dataclass(slots=True)
class StreamRoad:
    """Windower and task of one stream, kept over restarts of its source.

    Args:
        bundle: the model.
        face_detector: YuNet file, or None for the installed one or OpenCV's own.
        face_region: where the person's face is looked for; None: anywhere.
        open_person: opens the file that keeps what is known of the person, when the stream first
            opens: a bad file stops this stream, not the others; None: nothing is kept.
        baseline_s: seconds of usable face that make the baseline of the resting face; None: none.
        task: made when the stream first opens; after a restart it is reset, not made anew, so
            that what is known about the person stays.
    """

    bundle: Bundle
    face_detector: Path | None = None
    face_region: Region | None = None
    open_person: Callable[[], AnyPersonFile | None] | None = None
    baseline_s: float | None = None
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
            person = self._new_person() if kept is None else kept.person
            detector = choose_detector(self.face_detector).open
            self.task = build_task(self.bundle, info, detector, person, self.face_region)
            if kept is not None and isinstance(self.task, FrailtyTask):
                self.task.on_strides = kept.heard
            if kept is not None and isinstance(self.task, EmotionTask):
                self.task.on_baseline = kept.heard
        else:
            self.task.adopt(info)
        return windower, self.task

    def _new_person(self) -> RestingBaseline | None:
        """Return what is to be learnt of the person and not kept."""
        if self.baseline_s is None:
            return None
        _require_face(self.bundle)
        return _resting_baseline(self.baseline_s, self.bundle)


def with_baseline(config: DeviceConfig, baseline_s: float) -> DeviceConfig:
    """Return a configuration whose streams of facial expression collect a resting baseline.

    Args:
        config: the device.
        baseline_s: seconds of usable face; takes the place of what is configured.

    Raises:
        ConfigError: no stream is of facial expression.
        ManifestError: a bundle that cannot be read.
    """
    faces = [
        isinstance(read_manifest(stream.bundle).conditioning, FaceConditioning)
        for stream in config.streams
    ]
    if not any(faces):
        raise ConfigError(
            "no stream of this device is of facial expression, so there is no resting baseline",
            source=config.device,
            next_step="Leave --baseline out",
        )
    streams = tuple(
        stream.model_copy(update={"baseline_s": baseline_s}) if face else stream
        for stream, face in zip(config.streams, faces, strict=True)
    )
    return config.model_copy(update={"streams": streams})


def _resting_baseline(needed_s: float, bundle: Bundle) -> RestingBaseline:
    return RestingBaseline(needed_s, bundle.manifest.labels, bundle.model_id)


def _require_face(bundle: Bundle) -> None:
    if not isinstance(bundle.manifest.conditioning, FaceConditioning):
        raise ConfigError(
            "a resting baseline is for facial expression only",
            source=bundle.manifest.name,
            got=bundle.manifest.task,
            next_step="Leave baseline_s (--baseline) out for this bundle",
        )


def _warn_if_slow(info: StreamInfo, model_hz: float | None) -> None:
    if model_hz is not None and info.rate_hz < model_hz:
        logger.warning(
            "%s: the sensor sends %g samples a second, the model has learnt from %g: answers may "
            "be less sure",
            info.name,
            info.rate_hz,
            model_hz,
        )


def open_person_file(config: StreamConfig, bundle: Bundle) -> AnyPersonFile | None:
    """Return the file that keeps a stream's person, or None when none is configured.

    Args:
        config: the stream.
        bundle: its bundle.

    Raises:
        ConfigError: the file is damaged, or the bundle can keep nothing of a person.
        SinkError: its folder cannot be written to.
    """
    given: PersonConfig | None = config.person
    if config.baseline_s is not None:
        _require_face(bundle)
    if given is None:
        return None
    if config.baseline_s is not None:
        return PersonFile(given.file, _resting_baseline(config.baseline_s, bundle))
    if not isinstance(bundle.manifest.conditioning, StrideConditioning):
        raise ConfigError(
            "person: is for frailty by gait parameters, or for a baseline of facial expression",
            source=config.name,
            got=f"{bundle.manifest.task}, {bundle.manifest.conditioning.kind}, no baseline_s",
            next_step="Remove person: from this stream, give it such a bundle, or baseline_s: 60",
        )
    days = given.half_life_days
    half_life_s = None if days is None else days * DAY_S
    gait = PersonGait(baseline_strides=given.baseline_strides, half_life_s=half_life_s)
    return PersonFile(given.file, gait)


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
    health = StreamHealth(config.name, bundle.backend)
    health.started(bundle.model_id)
    road = StreamRoad(
        bundle,
        config.face_detector,
        config.face_region,
        lambda: open_person_file(config, bundle),
        baseline_s=config.baseline_s,
    )
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
