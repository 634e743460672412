"""What an epoch's stage is, given the epochs before it and the few after it: two kinds of model.

Stateful: ``features`` (1, n), ``state`` (1, s) -> ``probabilities`` (1, 5) of the newest epoch,
``revised`` (1, d, 5) of the d epochs before it (the nearest first), ``next_state``; one step an
epoch. An epoch without features is a step of NaN; after more than ``MAX_MISSING`` of them in a row
the state is zeros again. Windowed: ``features`` (1, L, n), ``mask`` (1, L) -> ``probabilities``
(1, L, 5); the model sees the last L epochs, and an epoch's answer is the geometric mean of what
all windows that contain it say. Windows that end in an epoch without features are not run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_app.contracts import Float32Array, Float64Array
from edge_app.errors import ManifestError
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import Manifest
from edge_app.inference.runner import Runner
from edge_app.rolling import normalised

MAX_MISSING = 360
"""Epochs in a row without features (3 h), spoilt or lost to a reopening, after which another night
begins; windowing ends a silence of over an hour by itself. A state that steps over
missing epochs stays right: on the nights of the band-power archive the first ten minutes after a
gap of ten were staged with an accuracy of .88, from zeros .42; after half an hour .84 and .42
(benchmarks/sleep_cold_start.py)."""
MAX_LOOKAHEAD = 10
_FLOOR = 1e-9


class SequenceModel(Protocol):
    """Features of one epoch after another in, probabilities of the last few epochs out.

    Attributes:
        lookahead: epochs after which an epoch's answer no longer changes.
    """

    lookahead: int

    @property
    def epochs_seen(self) -> int:
        """Epochs with features that the next answer rests on, beside its own."""

    def push(self, features: Float32Array | None) -> list[Float64Array | None]:
        """Take the next epoch.

        Args:
            features: (n,) float32, None: nothing is known of it.

        Returns:
            What is now known, the newest epoch first, ``lookahead`` more at most: (n_labels,)
            probabilities, or None where nothing new is.
        """

    def glance(self, features: Float32Array) -> Float64Array:
        """Return what would be said if this were the next epoch, without taking it.

        Args:
            features: (n,) float32.

        Returns:
            (n_labels,) probabilities.
        """

    def forget(self) -> None:
        """Forget all epochs."""


def build_sequence(bundle: Bundle) -> SequenceModel:
    """Return the kind of model that the bundle's sequence graph is, told by its inputs.

    Args:
        bundle: encoder and sequence graphs.

    Returns:
        A model that has seen nothing yet.

    Raises:
        ManifestError: it is neither kind, or its shapes and its look-ahead disagree.
    """
    inputs, _ = _shapes(bundle.manifest)
    if "state" in inputs:
        return StatefulSequence(bundle)
    if "mask" in inputs:
        return WindowedSequence(bundle)
    raise _refusal(bundle.manifest, "features with state, or features with mask", sorted(inputs))


class StatefulSequence:
    """A recurrent model that is fed one epoch a step; see ``SequenceModel``.

    Args:
        bundle: encoder and sequence graphs.

    Raises:
        ManifestError: the look-ahead is not the number of epochs that the graph revises.
    """

    def __init__(self, bundle: Bundle) -> None:
        inputs, outputs = _shapes(bundle.manifest)
        self.lookahead = bundle.manifest.rolling.lookahead_windows
        revised = outputs.get("revised", (1, 0))[1]
        if revised != self.lookahead or self.lookahead > MAX_LOOKAHEAD:
            expected = f"lookahead_windows {revised}, as the graph revises, {MAX_LOOKAHEAD} at most"
            raise _refusal(bundle.manifest, expected, self.lookahead)
        self._runner = bundle.runners["sequence"]
        self._zeros = np.zeros(inputs["state"], np.float32)
        self._unknown = np.full(inputs["features"][1:], np.nan, np.float32)
        self._state: Float32Array = self._zeros
        self._seen = self._missing = 0

    @property
    def epochs_seen(self) -> int:
        """Return the epochs with features since the state was zeros."""
        return self._seen

    def push(self, features: Float32Array | None) -> list[Float64Array | None]:
        """Advance the state by an epoch; see ``SequenceModel.push``."""
        self._missing = 0 if features is not None else self._missing + 1
        if self._missing > MAX_MISSING:
            self.forget()
            self._missing = MAX_MISSING
            return [None]
        newest, outputs = self._step(self._unknown if features is None else features)
        self._state = outputs["next_state"]
        self._seen += features is not None
        revised = outputs["revised"][0].astype(np.float64) if self.lookahead else ()
        return [newest if features is not None else None, *revised]

    def glance(self, features: Float32Array) -> Float64Array:
        """Step without keeping the state; see ``SequenceModel.glance``.

        What a trailing window shares with the last epoch counts twice. To step from the state
        before that epoch is no remedy: on simulated nights it is worse from 15 s into the next
        epoch on (cross-entropy against the stages in the window), and no better before.
        """
        return self._step(features)[0]

    def forget(self) -> None:
        """Zero the state."""
        self._state, self._seen, self._missing = self._zeros, 0, 0

    def _step(self, features: Float32Array) -> tuple[Float64Array, dict[str, Float32Array]]:
        outputs = self._runner.run({"features": features[None], "state": self._state})
        return outputs["probabilities"][0].astype(np.float64), outputs


@dataclass(slots=True)
class _Kept:
    """What the windows so far have said of an epoch; None: it has no features."""

    log_sum: Float64Array | None
    decisions: int = 0

    def answer(self) -> Float64Array | None:
        return None if self.log_sum is None else normalised(self.log_sum / self.decisions)


class WindowedSequence:
    """A model that sees the last L epochs at once; see ``SequenceModel``.

    Args:
        bundle: encoder and sequence graphs.

    Raises:
        ManifestError: the look-ahead is not shorter than the window of epochs.
    """

    def __init__(self, bundle: Bundle) -> None:
        inputs, _ = _shapes(bundle.manifest)
        self.lookahead = bundle.manifest.rolling.lookahead_windows
        if self.lookahead >= inputs["features"][1]:
            expected = f"lookahead_windows shorter than the sequence, {inputs['features'][1]}"
            raise _refusal(bundle.manifest, expected, self.lookahead)
        self._runner: Runner = bundle.runners["sequence"]
        self._n_labels = len(bundle.manifest.labels)
        self._features = np.zeros(inputs["features"], np.float32)
        self._mask = np.zeros(inputs["mask"], np.float32)
        self._open: deque[_Kept] = deque(maxlen=self.lookahead + 1)

    @property
    def epochs_seen(self) -> int:
        """Return the epochs with features among those the next window will hold."""
        return int(self._mask[0, 1:].sum())

    def push(self, features: Float32Array | None) -> list[Float64Array | None]:
        """Run the window that ends in this epoch; see ``SequenceModel.push``."""
        self._features, self._mask = self._with(features)
        self._open.append(_Kept(None if features is None else np.zeros(self._n_labels)))
        if features is None:
            return [None]
        logs = np.log(np.maximum(self._run(self._features, self._mask), _FLOOR))
        for kept, said in zip(reversed(self._open), logs[::-1], strict=False):
            if kept.log_sum is not None:
                kept.log_sum += said
                kept.decisions += 1
        return [kept.answer() for kept in reversed(self._open)]

    def glance(self, features: Float32Array) -> Float64Array:
        """Run the window without keeping the epoch; see ``SequenceModel.glance``."""
        return np.asarray(self._run(*self._with(features))[-1])

    def forget(self) -> None:
        """Forget all epochs."""
        self._features, self._mask = np.zeros_like(self._features), np.zeros_like(self._mask)
        self._open.clear()

    def _with(self, features: Float32Array | None) -> tuple[Float32Array, Float32Array]:
        """Return features and mask of the window that this epoch ends."""
        window, mask = np.roll(self._features, -1, axis=1), np.roll(self._mask, -1, axis=1)
        window[0, -1] = 0.0 if features is None else features
        mask[0, -1] = features is not None
        return window, mask

    def _run(self, features: Float32Array, mask: Float32Array) -> Float64Array:
        """Return (L, n_labels) probabilities."""
        outputs = self._runner.run({"features": features, "mask": mask})
        return np.asarray(outputs["probabilities"][0], np.float64)


def _shapes(manifest: Manifest) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Return the shapes of the sequence graph's inputs and outputs."""
    graph = manifest.graphs[-1]
    return (
        {tensor.name: tensor.shape for tensor in graph.inputs},
        {tensor.name: tensor.shape for tensor in graph.outputs},
    )


def _refusal(manifest: Manifest, expected: object, got: object) -> ManifestError:
    return ManifestError(
        "the bundle's sequence graph does not fit the sleep task",
        source=manifest.name,
        expected=expected,
        got=got,
        next_step="Export the bundle again with `trainer export`",
    )
