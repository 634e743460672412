"""Frailty from windows of raw signal: walking windows only, evidence gathered over the person.

For bundles that read the signal itself, such as DeepConvLSTM; ``frailty`` is the task for those
that read gait parameters. Frailty does not change in minutes: the rolling answer is the estimate
so far, over all walking seen since the program started, whoever wears the sensor. Below
``min_evidence_s`` of walking there is no label. A window in which nobody walks says nothing and is
answered with that reason.
"""

from __future__ import annotations

import numpy as np

from edge_app.contracts import AbstainReason, Float64Array, Prediction, StreamInfo, Window
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import GaitConditioning
from edge_app.preprocess.gait.window import condition_gait
from edge_app.rolling import Evidence, Hysteresis
from edge_app.tasks.protocol import conditioning_of, settled, spoilt_by


class FrailtyWindowsTask:
    """Rolling frailty of the wearer of one foot IMU.

    Args:
        bundle: one graph, ``imu`` (1, 6, samples) float32 in.
        info: the stream, acc_x..gyr_z, already held against the manifest.
    """

    def __init__(self, bundle: Bundle, info: StreamInfo) -> None:
        manifest = bundle.manifest
        rolling = manifest.rolling
        self._conditioning = conditioning_of(manifest, GaitConditioning)
        self._bundle = bundle
        self._info = info
        self._labels = manifest.labels
        self._length_samples = manifest.window.length_samples
        # rate_hz is never null for an IMU: the manifest sees to it
        self._hop_s = manifest.window.hop_samples / (manifest.stream.rate_hz or 1.0)
        self._min_evidence_s = rolling.min_evidence_s
        self._evidence = Evidence()
        self._hysteresis = Hysteresis(
            self._labels,
            enter_probability=rolling.enter_probability,
            leave_probability=rolling.leave_probability,
            min_dwell_s=rolling.min_dwell_s,
        )

    def push(self, window: Window) -> list[Prediction]:
        """Take the next window; return the estimate so far, or why there is none."""
        conditioning = self._conditioning
        reason = spoilt_by(window, conditioning.max_missing_fraction)
        if reason is not None:
            return self._say(window, None, None, reason)
        walking = condition_gait(
            window.samples,
            length_samples=self._length_samples,
            min_gyr_rms_radps=conditioning.min_gyr_rms_radps,
        )
        if walking is None:
            return self._say(window, None, None, AbstainReason.NOT_WALKING)
        signal = np.ascontiguousarray(walking.T[None])  # (1, 6, samples)
        outputs = self._bundle.runners["model"].run({"imu": signal})
        window_probabilities = outputs["probabilities"][0].astype(np.float64)
        probabilities = self._evidence.add(window_probabilities, self._hop_s)
        label = self._hysteresis.update(window.end_s, probabilities)
        reason = None if label else AbstainReason.LOW_CONFIDENCE
        if self._evidence.seconds_s < self._min_evidence_s:
            label, reason = None, AbstainReason.INSUFFICIENT_WALKING
        return self._say(window, label, probabilities, reason)

    def finish(self) -> list[Prediction]:
        """Return nothing: every window's answer is final at once."""
        return []

    def forget(self) -> None:
        """Keep the person's evidence: a jump of the clock does not change who wears the sensor."""
        self._hysteresis.reset()

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the sensor opened anew: the same person, so the evidence stays."""
        self._info = info
        self.forget()

    def _say(
        self,
        window: Window,
        label: str | None,
        probabilities: Float64Array | None,
        abstained: AbstainReason | None,
    ) -> list[Prediction]:
        said = settled(
            self._bundle,
            self._info,
            window,
            label=label,
            probabilities=probabilities,
            quality=window.usable_fraction,
            abstained=abstained,
            evidence=(("walking_s", self._evidence.seconds_s),),
        )
        return [said]
