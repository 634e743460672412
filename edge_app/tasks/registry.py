"""From a bundle to the task that runs it: one line a modality."""

from __future__ import annotations

from collections.abc import Callable

from edge_app.contracts import Kind, StreamInfo
from edge_app.expression_baseline import RestingBaseline
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import FaceConditioning, StrideConditioning
from edge_app.preprocess.face import FaceDetector
from edge_app.preprocess.face_finder import FaceFinder, Region, settings_for
from edge_app.tasks.emotion import EmotionTask
from edge_app.tasks.frailty import FrailtyTask
from edge_app.tasks.frailty_windows import FrailtyWindowsTask
from edge_app.tasks.person_gait import PersonGait
from edge_app.tasks.protocol import Task, conditioning_of
from edge_app.tasks.sleep import SleepTask

KIND_OF_TASK: dict[str, Kind] = {"emotion": "video", "sleep": "eeg", "frailty": "imu"}


def build_task(
    bundle: Bundle,
    info: StreamInfo,
    detector: Callable[[], FaceDetector],
    person: PersonGait | RestingBaseline | None = None,
    face_region: Region | None = None,
) -> Task:
    """Return the task of a bundle for a stream that fits it.

    Args:
        bundle: a loaded bundle.
        info: the stream, already held against the manifest by ``fit_stream``.
        detector: makes the face detector, called for emotion only.
        person: what is already known: the wearer's gait for frailty by gait parameters, the
            resting face for emotion.
        face_region: where the person's face is looked for, for emotion; None: anywhere.
    """

    def emotion() -> Task:
        conditioning = conditioning_of(bundle.manifest, FaceConditioning)
        settings = settings_for(info.rate_hz, conditioning, face_region)
        finder = FaceFinder(detector(), conditioning, settings)
        return EmotionTask(
            bundle, info, finder, person if isinstance(person, RestingBaseline) else None
        )

    def frailty() -> Task:
        if isinstance(bundle.manifest.conditioning, StrideConditioning):
            return FrailtyTask(bundle, info, person if isinstance(person, PersonGait) else None)
        return FrailtyWindowsTask(bundle, info)

    builders: dict[str, Callable[[], Task]] = {
        "emotion": emotion,
        "sleep": lambda: SleepTask(bundle, info),
        "frailty": frailty,
    }
    return builders[bundle.manifest.task]()
