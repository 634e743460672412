"""What a task is: windows of one stream in, predictions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from edge_app.contracts import (
    IMU_CHANNELS,
    AbstainReason,
    Float64Array,
    Prediction,
    StreamInfo,
    Window,
)
from edge_app.errors import ConfigError, ManifestError
from edge_app.inference.bundle import Bundle
from edge_app.inference.manifest import (
    EegConditioning,
    FaceConditioning,
    GaitConditioning,
    Manifest,
    StrideConditioning,
)
from edge_app.windowing import SingleFrames, SlidingWindows, Windower, n_samples

MIN_RATE_SHARE = 0.5
"""A slower stream than this share of the model's rate is refused instead of being stretched."""

_WHOLE = 1e-6

Conditioning = TypeVar(
    "Conditioning", FaceConditioning, EegConditioning, GaitConditioning, StrideConditioning
)


class Task(Protocol):
    """One modality's whole story, from a window to rolling predictions."""

    def push(self, window: Window) -> list[Prediction]:
        """Take the next window, return what can now be said, older windows first."""

    def finish(self) -> list[Prediction]:
        """Return what was still open, now final: the stream has ended or jumped."""

    def forget(self) -> None:
        """Forget the past signal: the next window does not follow the last one."""

    def adopt(self, info: StreamInfo) -> None:
        """Go on with the stream opened anew, maybe by another device.

        What is kept of the past has to hold for the person, not for the device.
        """


@dataclass(frozen=True, slots=True)
class StreamWindow:
    """The model's window, in samples of the stream at hand.

    Args:
        length_samples: of a window.
        hop_samples: between two window starts.
        every: windows 0, ``every``, 2 ``every`` ... are those of the model's own grid; between
            them lie windows for passing estimates. 1: there are none.
    """

    length_samples: int
    hop_samples: int
    every: int = 1


def fit_stream(manifest: Manifest, info: StreamInfo) -> StreamWindow:
    """Hold a stream against what the model was trained on.

    Args:
        manifest: the model's contract.
        info: the stream.

    Returns:
        Window and hop in the stream's samples; the conditioner resamples to the model's rate.

    Raises:
        ConfigError: another kind, another number of channels, other units, or a window that is no
            whole number of the stream's samples. Estimates between the windows are left out
            where their hop is none.
    """
    spec = manifest.stream
    if info.kind != spec.kind:
        raise ConfigError(
            f"the {manifest.task} model {manifest.name} cannot read this stream",
            source=info.name,
            expected=spec.kind,
            got=info.kind,
            next_step="Choose the task or the source that belongs to the other",
        )
    if spec.kind == "imu" and info.channels == IMU_CHANNELS[:3]:
        raise ConfigError(
            f"the {manifest.task} model {manifest.name} needs a gyroscope; this sensor has none",
            source=info.name,
            got=info.device,
            next_step="Use a sensor that measures rotation too",
        )
    if info.units != spec.units or (spec.kind == "imu" and info.channels != spec.channels):
        raise ConfigError(
            f"the {manifest.task} model {manifest.name} needs other channels",
            source=info.name,
            expected=list(zip(spec.channels, spec.units, strict=True)),
            got=list(zip(info.channels, info.units, strict=True)),
            next_step="Select channels: `channel` in the source's settings, or --channel of "
            "a replay",
        )
    if spec.rate_hz is None:
        return StreamWindow(1, 1)
    if info.rate_hz < MIN_RATE_SHARE * spec.rate_hz:
        raise ConfigError(
            f"the stream is too slow for the {manifest.task} model {manifest.name}",
            source=info.name,
            expected=f"at least {MIN_RATE_SHARE * spec.rate_hz:g} Hz",
            got=f"{info.rate_hz:g} Hz",
            next_step="Use a faster sensor, or a model trained at this rate",
        )
    length = n_samples(manifest.window.length_samples / spec.rate_hz, info.rate_hz)
    hop = n_samples(manifest.window.hop_samples / spec.rate_hz, info.rate_hz)
    every = _windows_a_hop(manifest, hop, info.rate_hz)
    return StreamWindow(length, hop // every, every)


def _windows_a_hop(manifest: Manifest, hop_samples: int, rate_hz: float) -> int:
    """Return how many windows for estimates a hop of the grid holds, in whole samples; else 1."""
    conditioning = manifest.conditioning
    if not isinstance(conditioning, EegConditioning) or conditioning.estimate_every_s is None:
        return 1
    windows = hop_samples / rate_hz / conditioning.estimate_every_s
    every = max(1, round(windows))
    return every if abs(windows - every) < _WHOLE and hop_samples % every == 0 else 1


def spoilt_by(window: Window, max_missing_fraction: float) -> AbstainReason | None:
    """Return why a window's samples cannot be used whatever they show, or None.

    Args:
        window: of a signal.
        max_missing_fraction: share of missing or invalid samples that the model takes.
    """
    if window.off_rate:
        return AbstainReason.RATE
    if window.missing_fraction + window.invalid_fraction <= max_missing_fraction:
        return None
    gap = window.missing_fraction >= window.invalid_fraction
    return AbstainReason.GAP if gap else AbstainReason.NOT_FINITE


def conditioning_of(manifest: Manifest, kind: type[Conditioning]) -> Conditioning:
    """Return the manifest's conditioning as the kind that a task needs.

    Raises:
        ManifestError: the bundle is conditioned for another task.
    """
    if not isinstance(manifest.conditioning, kind):
        raise ManifestError(
            f"the bundle cannot serve the task {manifest.task}",
            source=manifest.name,
            expected=kind.__name__,
            got=type(manifest.conditioning).__name__,
            next_step="Name a bundle that was exported for this task",
        )
    return manifest.conditioning


def build_windower(window: StreamWindow, info: StreamInfo) -> Windower:
    """Return the windower for a stream of this kind."""
    if info.kind == "video":
        return SingleFrames(info)
    return SlidingWindows(
        info, length_samples=window.length_samples, hop_samples=window.hop_samples
    )


def settled(
    bundle: Bundle,
    info: StreamInfo,
    window: Window,
    *,
    label: str | None,
    probabilities: Float64Array | None,
    quality: float,
    abstained: AbstainReason | None,
    evidence: tuple[tuple[str, float], ...] = (),
) -> Prediction:
    """Return a prediction about a window that is final at once.

    Args:
        bundle: the model.
        info: the stream.
        window: what it speaks of; its end is also the end of the data used.
        label: the answer, or None.
        probabilities: (n_labels,) in the manifest's order; None: nothing is known.
        quality: of the signal, 0 to 1.
        abstained: why there is no label, or None.
        evidence: named figures that the statement rests on.
    """
    labels = bundle.manifest.labels
    return Prediction(
        task=bundle.manifest.task,
        stream=info.name,
        time_s=window.end_s,
        start_s=window.start_s,
        end_s=window.end_s,
        label=label,
        probabilities=() if probabilities is None else labelled(labels, probabilities),
        quality=quality,
        abstained=abstained,
        final=True,
        revision=0,
        model=bundle.model_id,
        simulated=info.simulated,
        evidence=evidence,
    )


def labelled(labels: tuple[str, ...], probabilities: Float64Array) -> tuple[tuple[str, float], ...]:
    """Pair labels with probabilities as a Prediction wants them."""
    return tuple(zip(labels, probabilities.tolist(), strict=True))
