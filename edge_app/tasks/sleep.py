"""Sleep stages from one EEG channel, epoch by epoch, provisional first and revised until final.

Each epoch of the 30-s grid is conditioned and encoded once. It is answered at once (revision 0,
provisional), again whenever the epochs after it change its label, and a last time, final, after
``lookahead_windows`` of them. An epoch that a gap or a bad signal spoils is answered with the
reason and is final at once; the model is told that an epoch passed of which it knows nothing.

Between the ends of epochs a passing estimate speaks of the trailing window of the same length,
every ``estimate_every_s``: it is encoded for itself, leaves no trace in the model, and is never
revised. Where that time is no whole number of the stream's samples there are none.

``evidence`` holds ``epochs_seen``: how many good epochs before the newest one the statement rests
on. Below ``WARM_UP_EPOCHS`` the model is warming up: it knows the sleeper from minutes only.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import (
    AbstainReason,
    Float32Array,
    Float64Array,
    Prediction,
    StreamInfo,
    Window,
)
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import EegConditioning
from edge_app.preprocess.eeg import EegEpoch, condition_epoch
from edge_app.tasks.protocol import conditioning_of, fit_stream, labelled, spoilt_by
from edge_app.tasks.sleep_sequence import MAX_MISSING, build_sequence

logger = logging.getLogger(__name__)

WARM_UP_EPOCHS = 19
"""With its own, ten minutes: with less history a stage is less sure than the model card says."""


@dataclass(slots=True)
class _Epoch:
    """What is known of an epoch, and what has been said of it."""

    start_s: float
    end_s: float
    quality: float
    reason: AbstainReason | None
    epochs_seen: int
    probabilities: Float64Array | None = None
    revision: int = -1
    said: str | None = None
    final: bool = False


class SleepTask:
    """Stages of one EEG stream.

    Args:
        bundle: encoder and sequence graphs, of either kind of ``sleep_sequence``.
        info: the stream, one channel in uV, already held against the manifest.
    """

    def __init__(self, bundle: Bundle, info: StreamInfo) -> None:
        manifest = bundle.manifest
        self._conditioning = conditioning_of(manifest, EegConditioning)
        self._sequence = build_sequence(bundle)
        self._bundle = bundle
        self._labels = manifest.labels
        self._epoch_samples = manifest.window.length_samples
        self._enter = manifest.rolling.enter_probability
        self._epochs: deque[_Epoch] = deque(maxlen=self._sequence.lookahead + 1)
        self._newest_s = 0.0
        self._told = False
        self._info = info
        self._left_s: float | None = None
        self.adopt(info)

    def push(self, window: Window) -> list[Prediction]:
        """Take the next window of the stream.

        Args:
            window: an epoch of the grid, or one between two of them.

        Returns:
            Of an epoch: what is new of older ones, then its own provisional answer. Of another
            window: the passing estimate.
        """
        self._newest_s = window.end_s
        conditioned = self._condition(window)
        features = self._encode(conditioned)
        epoch = _Epoch(
            window.start_s,
            window.end_s,
            conditioned.quality,
            conditioned.reason,
            self._sequence.epochs_seen,
        )
        if window.index % self._every:
            if features is not None:
                epoch.probabilities = self._sequence.glance(features)
            return [self._prediction(epoch, passing=True)]
        self._bridge(window)
        epoch.epochs_seen = self._sequence.epochs_seen
        self._epochs.append(epoch)
        for open_epoch, answer in zip(
            reversed(self._epochs), self._sequence.push(features), strict=False
        ):
            if answer is not None and open_epoch.reason is None:
                open_epoch.probabilities = answer
                open_epoch.epochs_seen = epoch.epochs_seen
        return self._speak(ended=False)

    def finish(self) -> list[Prediction]:
        """Return the open epochs' answers as final ones: no context will come any more."""
        return self._speak(ended=True)

    def forget(self) -> None:
        """Forget all epochs."""
        self._left_s = None
        self._epochs.clear()
        self._sequence.forget()

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the EEG opened anew.

        The same channel of the same device is the same sleeper: what is known of the night is kept
        if the next epoch follows within three hours; the epochs in between are not known.
        """
        before, self._info = self._info, info
        if (info.device, info.channels, info.simulated) != (
            before.device,
            before.channels,
            before.simulated,
        ):
            self.forget()
        elif self._epochs:
            self._left_s = self._epochs[-1].end_s
            self._epochs.clear()
        self._every = fit_stream(self._bundle.manifest, info).every
        every_s = self._conditioning.estimate_every_s
        if every_s is not None and self._every == 1 and not self._told:
            self._told = True
            logger.warning(
                "%s: %g s at %g Hz does not divide an epoch into whole samples: no estimates "
                "between the epochs",
                info.name,
                every_s,
                info.rate_hz,
            )

    def _bridge(self, window: Window) -> None:
        """Tell the model of the epochs that were lost while the stream was away."""
        if self._left_s is None:
            return
        lost = round((window.start_s - self._left_s) / (window.end_s - window.start_s))
        self._left_s = None
        if not 0 <= lost <= MAX_MISSING:
            self._sequence.forget()
            return
        for _ in range(lost):
            self._sequence.push(None)

    def _condition(self, window: Window) -> EegEpoch:
        usable = window.usable_fraction
        reason = spoilt_by(window, self._conditioning.max_missing_fraction)
        if reason is not None:
            return EegEpoch(None, usable, reason)
        conditioned = condition_epoch(
            window.samples,
            self._conditioning,
            rate_hz=window.rate_hz,
            length_samples=self._epoch_samples,
        )
        return EegEpoch(conditioned.samples, conditioned.quality * usable, conditioned.reason)

    def _encode(self, conditioned: EegEpoch) -> Float32Array | None:
        if conditioned.samples is None:
            return None
        signal = np.ascontiguousarray(conditioned.samples.T[None])  # (1, 1, samples)
        return np.asarray(self._bundle.runners["encoder"].run({"eeg": signal})["features"][0])

    def _speak(self, *, ended: bool) -> list[Prediction]:
        """Return what is new: first answers, changed answers, final answers."""
        said = []
        newest = len(self._epochs) - 1
        for position, epoch in enumerate(self._epochs):
            if epoch.final:
                continue
            label = self._label(epoch)
            settled = newest - position >= self._sequence.lookahead
            final = ended or epoch.probabilities is None or settled
            if epoch.revision >= 0 and not final and label == epoch.said:
                continue
            epoch.revision += 1
            epoch.said, epoch.final = label, final
            said.append(self._prediction(epoch))
        return said

    def _label(self, epoch: _Epoch) -> str | None:
        if epoch.probabilities is None:
            return None
        best = int(np.argmax(epoch.probabilities))
        sure = float(epoch.probabilities[best]) >= self._enter
        return self._labels[best] if sure else None

    def _prediction(self, epoch: _Epoch, *, passing: bool = False) -> Prediction:
        label = self._label(epoch)
        unsure = label is None and epoch.reason is None
        known = epoch.probabilities
        return Prediction(
            task="sleep",
            stream=self._info.name,
            time_s=self._newest_s,
            start_s=epoch.start_s,
            end_s=epoch.end_s,
            label=label,
            probabilities=() if known is None else labelled(self._labels, known),
            quality=epoch.quality,
            abstained=AbstainReason.LOW_CONFIDENCE if unsure else epoch.reason,
            final=epoch.final,
            revision=max(epoch.revision, 0),
            model=self._bundle.model_id,
            simulated=self._info.simulated,
            evidence=(("epochs_seen", float(epoch.epochs_seen)),),
            passing=passing,
        )
