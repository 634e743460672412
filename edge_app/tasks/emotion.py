"""Facial expression from a camera: find the face, crop, classify, smooth, decide with hysteresis.

What is named is the expression on a face, not what the person feels. A frame without a usable
face is an abstention with its reason, never the last label.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import AbstainReason, Float64Array, Prediction, StreamInfo, Window
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceDetector, crop_face, primary_face
from edge_app.rolling import Hysteresis, LogSmoother
from edge_app.tasks.protocol import conditioning_of, settled


class EmotionTask:
    """Rolling facial expression of one video stream.

    Args:
        bundle: one graph, ``face`` (1, 1, size, size) uint8 in.
        info: the stream.
        detector: finds the faces.
    """

    def __init__(self, bundle: Bundle, info: StreamInfo, detector: FaceDetector) -> None:
        rolling = bundle.manifest.rolling
        self._conditioning = conditioning_of(bundle.manifest, FaceConditioning)
        self._bundle = bundle
        self._info = info
        self._detector = detector
        self._labels = bundle.manifest.labels
        self._smoother = LogSmoother(rolling.time_constant_s)
        self._hysteresis = Hysteresis(
            self._labels,
            enter_probability=rolling.enter_probability,
            leave_probability=rolling.leave_probability,
            min_dwell_s=rolling.min_dwell_s,
        )

    def push(self, window: Window) -> list[Prediction]:
        """Take the next frame; return the rolling expression, or why there is none."""
        conditioning = self._conditioning
        frame = window.samples[0]
        box = primary_face(self._detector.detect(frame), min_face_px=conditioning.min_face_px)
        if box is None:
            self._hysteresis.reset()
            return self._say(window, None, None, 0.0, AbstainReason.NO_FACE)
        face = crop_face(frame, box, size_px=conditioning.size_px, margin=conditioning.margin)
        outputs = self._bundle.runners["model"].run({"face": face[None, None]})
        frame_probabilities = outputs["probabilities"][0].astype(np.float64)
        probabilities = self._smoother.update(window.end_s, frame_probabilities)
        label = self._hysteresis.update(window.end_s, probabilities)
        quality = min(1.0, box.size_px / (2.0 * conditioning.size_px))
        reason = None if label else AbstainReason.LOW_CONFIDENCE
        return self._say(window, label, probabilities, quality, reason)

    def finish(self) -> list[Prediction]:
        """Return nothing: every frame's answer is final at once."""
        return []

    def forget(self) -> None:
        """Forget the past frames."""
        self._smoother.reset()
        self._hysteresis.reset()

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the camera opened anew."""
        self._info = info
        self.forget()

    def _say(
        self,
        window: Window,
        label: str | None,
        probabilities: Float64Array | None,
        quality: float,
        abstained: AbstainReason | None,
    ) -> list[Prediction]:
        said = settled(
            self._bundle,
            self._info,
            window,
            label=label,
            probabilities=probabilities,
            quality=quality,
            abstained=abstained,
        )
        return [said]
