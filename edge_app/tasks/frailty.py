"""Frailty of the person from one foot IMU: strides, gait parameters, one answer for the person.

Raw signal goes stride by stride into ``GaitAnalyser``; the accepted strides so far give means and
standard deviations, which are what the model reads. Frailty does not change in minutes: the answer
is the estimate so far and stands while the person sits or stands still. Nothing is answered from a
signal that is not walking, nor below ``min_strides`` and ``min_evidence_s`` of walking.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from edge_app.contracts import AbstainReason, Float64Array, Prediction, StreamInfo, Window
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import StrideConditioning
from edge_app.preprocess.gait.analyser import GaitAnalyser
from edge_app.preprocess.gait.signal_fault import SignalFault, signal_fault
from edge_app.preprocess.gait.stride import Stride
from edge_app.rolling import Hysteresis
from edge_app.tasks.person_gait import PersonGait
from edge_app.tasks.protocol import conditioning_of, settled, spoilt_by

logger = logging.getLogger(__name__)

OnStrides = Callable[[Sequence[Stride]], None]
_REASONS = {
    SignalFault.CONSTANT: AbstainReason.FLAT,
    SignalFault.SATURATED: AbstainReason.CLIPPED,
}
"""What is not listed here is a sensor that cannot be what the configuration says it is."""


class FrailtyTask:
    """Rolling frailty of the wearer of one foot IMU, from gait parameters.

    Args:
        bundle: one graph, ``gait`` (1, n_parameters) float32 in, NaN where not known.
        info: the stream, acc_x..gyr_z, already held against the manifest.
        person: what is known of the wearer; None: nothing yet.

    Attributes:
        person: what is known of the wearer.
        on_strides: told of every stride, accepted or not, in order; with none of them when the
            stream ends. May be set later.
    """

    def __init__(self, bundle: Bundle, info: StreamInfo, person: PersonGait | None = None) -> None:
        manifest = bundle.manifest
        rolling = manifest.rolling
        self._conditioning = conditioning_of(manifest, StrideConditioning)
        self._bundle = bundle
        self._labels = manifest.labels
        self._min_evidence_s = rolling.min_evidence_s
        self.person = PersonGait() if person is None else person
        self.on_strides: OnStrides | None = None
        self._hysteresis = Hysteresis(
            self._labels,
            enter_probability=rolling.enter_probability,
            leave_probability=rolling.leave_probability,
            min_dwell_s=rolling.min_dwell_s,
        )
        self._probabilities: Float64Array | None = None
        self._told: SignalFault | None = None
        self._next_bout = 0
        self._end_s: float | None = None  # of the window before; None: this one follows none
        self.adopt(info)

    def push(self, window: Window) -> list[Prediction]:
        """Take the next stretch of signal; return the estimate so far, or why there is none."""
        reason = spoilt_by(window, self._conditioning.max_missing_fraction)
        fault = signal_fault(window.samples, window.rate_hz)
        if reason is AbstainReason.RATE or fault not in (None, SignalFault.SATURATED):
            self._end_s = None  # no stride comes of it; what is clipped is judged stride by stride
        else:
            self._add(self._analyser.push(self._stamps_s(window), window.samples))
        if reason is None:
            reason = self._told_fault(fault)
        if reason is not None:
            return self._say(window, None, reason)
        if not self._enough():
            return self._say(window, None, AbstainReason.INSUFFICIENT_WALKING)
        if self._probabilities is None:
            self._probabilities = self._ask()
        label = self._hysteresis.update(window.end_s, self._probabilities)
        return self._say(window, label, None if label else AbstainReason.LOW_CONFIDENCE)

    def finish(self) -> list[Prediction]:
        """Take in the strides that were still open; every window's answer was final at once."""
        self._end_bout()
        if self.on_strides is not None:
            self.on_strides([])
        return []

    def forget(self) -> None:
        """Keep the person's strides: a jump of the clock does not change who wears the sensor."""
        self._end_bout()
        self._hysteresis.reset()

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the sensor opened anew: the same person, so what is known of them stays."""
        self._info = info
        self._analyser = GaitAnalyser(info.rate_hz, first_bout=self._next_bout)
        self._end_s = None
        self._hysteresis.reset()

    def contributions(self) -> dict[str, dict[str, float]]:
        """Return what each parameter added to each label's logit; empty below the least walking."""
        if not self._enough() or "contributions" not in self._outputs():
            return {}
        added = self._run()["contributions"][0]
        return {
            name: dict(zip(self._labels, map(float, row), strict=True))
            for name, row in zip(self._conditioning.parameters, added, strict=True)
        }

    def _outputs(self) -> tuple[str, ...]:
        return tuple(tensor.name for tensor in self._bundle.manifest.graphs[-1].outputs)

    def _stamps_s(self, window: Window) -> Float64Array:
        """Return (n,) stamps from where the window before ended to where this one does.

        They do not step where windows meet, though a sensor's clock is a little fast or slow.
        """
        start_s = window.start_s if self._end_s is None else self._end_s
        self._end_s = window.end_s
        n = len(window.samples)
        return start_s + (window.end_s - start_s) * np.arange(n) / n

    def _end_bout(self) -> None:
        """Take in the strides that were still open; the next window does not follow the last."""
        self._add(self._analyser.finish())
        self._end_s = None

    def _add(self, strides: Sequence[Stride]) -> None:
        if not strides or self._analyser.fault is SignalFault.AXES:
            return  # nothing measured in a mirror is kept of the person
        self._next_bout = strides[-1].bout + 1
        self.person.add(strides)
        self._probabilities = None
        if self.on_strides is not None:
            self.on_strides(strides)

    def _enough(self) -> bool:
        person = self.person
        return (
            person.weight >= self._conditioning.min_strides
            and person.walking_s >= self._min_evidence_s
        )

    def _run(self) -> dict[str, np.ndarray]:
        gait = self.person.values(self._conditioning.parameters)[None]
        return self._bundle.runners["model"].run({"gait": gait})

    def _ask(self) -> Float64Array:
        return np.asarray(self._run()["probabilities"][0], np.float64)

    def _told_fault(self, fault: SignalFault | None) -> AbstainReason | None:
        """Return why there is no answer; tell the log what to do when the fault is a new one."""
        if fault is None and self._analyser.fault is SignalFault.AXES:
            fault = SignalFault.AXES
        if fault is not None and fault is not self._told:
            logger.warning("%s: %s", self._info.name, fault.advice)
        self._told = fault
        return None if fault is None else _REASONS.get(fault, AbstainReason.SENSOR)

    def _say(
        self, window: Window, label: str | None, abstained: AbstainReason | None
    ) -> list[Prediction]:
        unsure = abstained in (None, AbstainReason.LOW_CONFIDENCE)
        said = settled(
            self._bundle,
            self._info,
            window,
            label=label,
            probabilities=self._probabilities if unsure else None,
            quality=window.usable_fraction,
            abstained=abstained,
            evidence=self.person.evidence(),
        )
        return [said]
