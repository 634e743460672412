"""Sleep stages from one EEG channel, epoch by epoch, provisional first and revised until final.

Each epoch is conditioned and encoded once and its features are kept. The sequence model sees the
last ``length`` epochs and gives a decision for each; the decisions an epoch has received so far
are averaged in log space. The newest epoch is answered at once (revision 0, provisional); after
``lookahead_windows`` more epochs its answer is final. An epoch that a gap or a bad signal spoils
is answered with the reason, is final at once, and is masked from the model.
"""

from __future__ import annotations

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
from edge_app.errors import ManifestError
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import EegConditioning
from edge_app.preprocess.eeg import EegEpoch, condition_epoch
from edge_app.rolling import normalised
from edge_app.tasks.protocol import conditioning_of, labelled, spoilt_by


@dataclass(slots=True)
class _Epoch:
    start_s: float
    end_s: float
    features: Float32Array | None
    quality: float
    reason: AbstainReason | None
    log_sum: Float64Array
    decisions: int = 0
    revision: int = 0
    spoken: bool = False
    said: str | None = None
    final: bool = False


class SleepTask:
    """Stages of one EEG stream.

    Args:
        bundle: encoder and sequence graphs.
        info: the stream, one channel in uV, already held against the manifest.
    """

    def __init__(self, bundle: Bundle, info: StreamInfo) -> None:
        manifest = bundle.manifest
        self._conditioning = conditioning_of(manifest, EegConditioning)
        self._bundle = bundle
        self._info = info
        self._labels = manifest.labels
        self._epoch_samples = manifest.window.length_samples
        self._lookahead = manifest.rolling.lookahead_windows
        self._enter = manifest.rolling.enter_probability
        self._length, self._n_features = manifest.graphs[1].inputs[0].shape[1:]
        if self._lookahead >= self._length:
            raise ManifestError(
                "lookahead_windows must be shorter than the sequence",
                source=manifest.name,
                expected=f"below {self._length}",
                got=self._lookahead,
                next_step="Export the bundle again with a shorter look-ahead",
            )
        self._epochs: deque[_Epoch] = deque(maxlen=self._length)

    def push(self, window: Window) -> list[Prediction]:
        """Take the next epoch; return final answers of older ones, then this one's provisional."""
        self._epochs.append(self._encode(window, self._condition(window)))
        self._decide()
        return self._speak(ended=False)

    def _condition(self, window: Window) -> EegEpoch:
        conditioning, usable = self._conditioning, window.usable_fraction
        reason = spoilt_by(window, conditioning.max_missing_fraction)
        if reason is not None:
            return EegEpoch(None, usable, reason)
        conditioned = condition_epoch(
            window.samples,
            length_samples=self._epoch_samples,
            flat_below_uv=conditioning.flat_below_uv,
            clipped_above_fraction=conditioning.clipped_above_fraction,
            max_abs_uv=conditioning.max_abs_uv,
            max_artefact_fraction=conditioning.max_missing_fraction,
        )
        return EegEpoch(conditioned.samples, conditioned.quality * usable, conditioned.reason)

    def finish(self) -> list[Prediction]:
        """Return the open epochs' answers as final ones: no context will come any more."""
        return self._speak(ended=True)

    def forget(self) -> None:
        """Forget all epochs."""
        self._epochs.clear()

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the EEG opened anew."""
        self._info = info
        self.forget()

    def _encode(self, window: Window, conditioned: EegEpoch) -> _Epoch:
        features = None
        if conditioned.samples is not None:
            signal = np.ascontiguousarray(conditioned.samples.T[None])  # (1, 1, samples)
            features = self._bundle.runners["encoder"].run({"eeg": signal})["features"][0]
        return _Epoch(
            window.start_s,
            window.end_s,
            features,
            conditioned.quality,
            conditioned.reason,
            np.zeros(len(self._labels)),
        )

    def _decide(self) -> None:
        """Run the sequence model on the last epochs and add its decisions to the open ones."""
        if self._epochs[-1].features is None:
            return  # nothing new was seen
        features = np.zeros((1, self._length, self._n_features), np.float32)
        mask = np.zeros((1, self._length), np.float32)
        first = self._length - len(self._epochs)
        for position, epoch in enumerate(self._epochs, first):
            if epoch.features is not None:
                features[0, position] = epoch.features
                mask[0, position] = 1.0
        outputs = self._bundle.runners["sequence"].run({"features": features, "mask": mask})
        logs = np.log(np.maximum(outputs["probabilities"][0].astype(np.float64), 1e-9))
        for position, epoch in enumerate(self._epochs, first):
            if epoch.features is not None and not epoch.final:
                epoch.log_sum += logs[position]
                epoch.decisions += 1

    def _speak(self, *, ended: bool) -> list[Prediction]:
        """Return what is new: first answers, changed answers, final answers."""
        said = []
        newest = len(self._epochs) - 1
        for position, epoch in enumerate(self._epochs):
            if epoch.final:
                continue
            label = self._label(epoch)
            final = ended or epoch.features is None or newest - position >= self._lookahead
            if epoch.spoken and not final and label == epoch.said:
                continue
            if epoch.spoken:
                epoch.revision += 1
            epoch.spoken, epoch.said, epoch.final = True, label, final
            said.append(self._prediction(epoch, label))
        return said

    def _label(self, epoch: _Epoch) -> str | None:
        if epoch.features is None:
            return None
        best = int(np.argmax(epoch.log_sum))
        sure = float(normalised(epoch.log_sum / epoch.decisions)[best]) >= self._enter
        return self._labels[best] if sure else None

    def _prediction(self, epoch: _Epoch, label: str | None) -> Prediction:
        probabilities: tuple[tuple[str, float], ...] = ()
        reason = epoch.reason
        if epoch.features is not None:
            probabilities = labelled(self._labels, normalised(epoch.log_sum / epoch.decisions))
            reason = None if label else AbstainReason.LOW_CONFIDENCE
        return Prediction(
            task="sleep",
            stream=self._info.name,
            time_s=self._epochs[-1].end_s,
            start_s=epoch.start_s,
            end_s=epoch.end_s,
            label=label,
            probabilities=probabilities,
            quality=epoch.quality,
            abstained=reason,
            final=epoch.final,
            revision=epoch.revision,
            model=self._bundle.model_id,
            simulated=self._info.simulated,
        )
