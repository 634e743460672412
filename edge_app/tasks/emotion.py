"""Facial expression from a camera: find the face, crop, classify, smooth, decide with hysteresis.

What is named is the expression on a face, not what the person feels. A frame without a usable
face is an abstention with its reason, never the last label. With every answer goes how the last
30 and 60 seconds were shared out between the expressions, and how much of them had a usable face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge_app.contracts import AbstainReason, Float64Array, Prediction, StreamInfo, Window
from edge_app.expression_baseline import RestingBaseline
from edge_app.expression_shares import (
    SHARE_WINDOWS_S,
    AnsweredTime,
    RollingShares,
    longest_step_s,
)
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face_finder import FaceFinder, FaceReading
from edge_app.preprocess.face_illumination import normalise_illumination
from edge_app.rolling import Hysteresis, LogSmoother
from edge_app.tasks.protocol import conditioning_of, settled

OnBaseline = Callable[[Sequence[float]], None]


class EmotionTask:
    """Rolling facial expression of one video stream.

    Args:
        bundle: one graph, ``face`` (1, 1, size, size) uint8 in.
        info: the stream.
        finder: finds the person's face in each frame.
        baseline: of the person's resting face, collected while it is not complete, and only from
            the face first followed; None: none is wanted.

    Attributes:
        baseline: the same.
        on_baseline: told of the seconds that went into the baseline; with none of them when it is
            complete, and when the stream ends. May be set later.
    """

    def __init__(
        self,
        bundle: Bundle,
        info: StreamInfo,
        finder: FaceFinder,
        baseline: RestingBaseline | None = None,
    ) -> None:
        rolling = bundle.manifest.rolling
        self._bundle = bundle
        self._info = info
        self._finder = finder
        self._labels = bundle.manifest.labels
        self._illumination = conditioning_of(bundle.manifest, FaceConditioning).illumination
        self.baseline = baseline
        self.on_baseline: OnBaseline | None = None
        self._smoother = LogSmoother(rolling.time_constant_s)
        self._hysteresis = Hysteresis(
            self._labels,
            enter_probability=rolling.enter_probability,
            leave_probability=rolling.leave_probability,
            min_dwell_s=rolling.min_dwell_s,
        )
        self._shares = RollingShares(longest_step_s=longest_step_s(info.rate_hz))
        self._answered = AnsweredTime(longest_step_s(info.rate_hz))
        self._person: int | None = None  # the face now followed; None: whoever comes next
        self._first_followed = True

    def push(self, window: Window) -> list[Prediction]:
        """Take the next frame; return the rolling expression, or why there is none."""
        time_s = window.end_s
        reading = self._finder.update(window.start_s, window.samples[0])
        if self._person not in (None, reading.person):
            self._first_followed = False
            self._start_anew()
        elif self._smoother.is_stale(time_s):
            self._start_anew()
        self._person = reading.person
        stands_for_s = time_s - self._answered.since_s(time_s)
        if reading.crop is None:
            self._hysteresis.reset()
            self._shares.add(time_s, None, usable=False)
            return self._say(window, reading, None, None, reading.reason or AbstainReason.NO_FACE)
        face = normalise_illumination(reading.crop, self._illumination)
        outputs = self._bundle.runners["model"].run({"face": face[None, None]})
        frame_probabilities = outputs["probabilities"][0].astype(np.float64)
        self._collect(frame_probabilities, stands_for_s)
        probabilities = self._smoother.update(time_s, frame_probabilities)
        label = self._hysteresis.update(time_s, probabilities)
        self._shares.add(time_s, label, usable=True)
        unsure = None if label else AbstainReason.LOW_CONFIDENCE
        return self._say(window, reading, label, probabilities, unsure)

    def finish(self) -> list[Prediction]:
        """Return nothing: every frame's answer is final at once."""
        if self.on_baseline is not None:
            self.on_baseline([])
        return []

    def forget(self) -> None:
        """Forget the past frames; whose face it is stays, and so does the baseline."""
        self._finder.forget()
        self._person = None
        self._start_anew()

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the camera opened anew."""
        self._info = info
        self.forget()

    def _start_anew(self) -> None:
        """Let nothing of another moment, or another person, into the next answer."""
        self._smoother.reset()
        self._hysteresis.reset()

    def _collect(self, probabilities: Float64Array, seconds_s: float) -> None:
        if self.baseline is None or self.baseline.complete or seconds_s <= 0.0:
            return
        if not self._first_followed:
            return
        self.baseline.add(probabilities, seconds_s)
        if self.on_baseline is not None:
            self.on_baseline([] if self.baseline.complete else [seconds_s])

    def _say(
        self,
        window: Window,
        reading: FaceReading,
        label: str | None,
        probabilities: Float64Array | None,
        abstained: AbstainReason | None,
    ) -> list[Prediction]:
        evidence = [("faces", float(reading.faces)), ("person", float(reading.person))]
        for window_s in SHARE_WINDOWS_S:
            evidence += self._shares.evidence(self._labels, window_s)
        if self.baseline is not None:
            evidence += self.baseline.evidence(probabilities)
        said = settled(
            self._bundle,
            self._info,
            window,
            label=label,
            probabilities=probabilities,
            quality=reading.quality,
            abstained=abstained,
            evidence=tuple(evidence),
        )
        return [said]
