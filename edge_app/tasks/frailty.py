"""Frailty of the person from one foot IMU: strides, gait parameters, one answer for the person.

Raw signal goes stride by stride into ``GaitAnalyser``; the accepted strides so far give means and
standard deviations, which are what the model reads. Frailty does not change in minutes: the answer
is the estimate so far and stands while the person sits or stands still. Nothing is answered from a
signal that is not walking, from parameters most of which nobody had whom the model learnt from,
nor below ``min_strides`` and ``min_evidence_s`` of walking.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the model says of the person.

    Args:
        probabilities: (n_labels,).
        contributions: (n_parameters, n_labels) to the logits; (0, n_labels) where it does not say.
        unfamiliar: names of the values outside what was learnt from.
        n_known: parameters that are known.
    """

    probabilities: Float64Array
    contributions: Float64Array
    unfamiliar: tuple[str, ...]
    n_known: int

    @property
    def n_strange(self) -> int:
        """How many values lie outside."""
        return len(self.unfamiliar)

    @property
    def is_foreign(self) -> bool:
        """True when most of what is known lies outside: the model has seen nobody like this."""
        return 2 * self.n_strange > self.n_known


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
        self._answer: _Answer | None = None
        self._told: set[SignalFault] = set()
        self._next_bout = 0
        self._newest_s: float | None = None
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
        answer = self._now()
        if answer is None:
            return self._say(window, None, AbstainReason.INSUFFICIENT_WALKING)
        if answer.is_foreign:
            return self._say(window, None, AbstainReason.UNFAMILIAR)
        label = self._hysteresis.update(window.end_s, answer.probabilities)
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
        """Return what each parameter added to each label's log-odds, by parameter and label.

        Empty below the least walking, and where the model does not say. Divided by the
        temperature: the differences of their sums are those of the logarithms of the probabilities.
        """
        answer = self._now()
        added = () if answer is None else answer.contributions
        temperature = self._bundle.manifest.calibration.temperature
        return {
            name: dict(zip(self._labels, (float(term) / temperature for term in row), strict=True))
            for name, row in zip(self._conditioning.parameters, added, strict=False)
        }

    @property
    def least_walking(self) -> dict[str, float]:
        """What is needed before an answer: strides that count, and seconds of walking."""
        least = self._conditioning.min_strides
        return {"strides": float(least), "walking_s": self._min_evidence_s}

    def unfamiliar(self) -> tuple[str, ...]:
        """Return the parameters whose values lie outside what the model has learnt from."""
        answer = self._now()
        return () if answer is None else answer.unfamiliar

    def _now(self) -> _Answer | None:
        """Return what the model says of the strides so far, None below the least walking."""
        person = self.person
        if person.weight < self._conditioning.min_strides:
            return None
        if person.walking_s < self._min_evidence_s:
            return None
        if self._answer is None:
            self._answer = self._ask()
        return self._answer

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
        if not strides or self._analyser.is_mirrored:
            return  # nothing measured in a mirror is kept of the person
        self._next_bout = strides[-1].bout + 1
        self.person.add(strides)
        self._answer = None
        self._newest_s = strides[-1].next_heel_strike_s
        if self.on_strides is not None:
            self.on_strides(strides)

    def _ask(self) -> _Answer:
        names = self._conditioning.parameters
        gait = self.person.values(names)
        outputs = self._bundle.runners["model"].run({"gait": gait[None]})
        known = np.isfinite(gait)
        familiar = outputs.get("familiar", known[None])[0] > 0.5
        added = outputs.get("contributions", np.empty((1, 0, len(self._labels))))[0]
        strange = tuple(name for name, odd in zip(names, known & ~familiar, strict=True) if odd)
        probabilities = np.asarray(outputs["probabilities"][0], np.float64)
        return _Answer(probabilities, np.asarray(added, np.float64), strange, int(known.sum()))

    def _told_fault(self, fault: SignalFault | None) -> AbstainReason | None:
        """Return why there is no answer; tell the log once what to do."""
        if fault is None and self._analyser.is_mirrored:
            fault = SignalFault.AXES
        if fault is not None and fault not in self._told:
            logger.warning("%s: %s", self._info.name, fault.advice)
            self._told.add(fault)
        return None if fault is None else _REASONS.get(fault, AbstainReason.SENSOR)

    def _say(
        self, window: Window, label: str | None, abstained: AbstainReason | None
    ) -> list[Prediction]:
        unsure = abstained in (None, AbstainReason.LOW_CONFIDENCE)
        answer, evidence = self._answer, list(self.person.evidence())
        if self._newest_s is not None:  # a clock that jumped back makes no stride younger than new
            evidence.append(("since_last_stride_s", max(0.0, window.end_s - self._newest_s)))
        if answer is not None:
            evidence.append(("unfamiliar_parameters", float(answer.n_strange)))
        said = settled(
            self._bundle,
            self._info,
            window,
            label=label,
            probabilities=None if answer is None or not unsure else answer.probabilities,
            quality=window.usable_fraction,
            abstained=abstained,
            evidence=tuple(evidence),
        )
        return [said]
