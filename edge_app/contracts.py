"""What crosses a boundary: frozen, checked, with units.

``StreamInfo`` describes a stream once; ``Chunk`` is what a source delivers; ``Window`` is what a
model sees; ``Prediction`` is what is said about it. Time is seconds: of the monotonic clock when
live (the LSL clock is the same one), of the recording's own clock in a replay. Signals are
``(n_samples, n_channels)`` float32 in the units of ``CANONICAL_UNITS``; pictures are ``(n_frames,
height, width, 3)`` uint8 RGB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_app.errors import ContractError, PacketError

Kind = Literal["eeg", "imu", "video"]
Array = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

UNIT_UV = "uV"
UNIT_MPS2 = "m/s^2"
UNIT_RADPS = "rad/s"
UNIT_RGB8 = "rgb8"
CANONICAL_UNITS: dict[str, frozenset[str]] = {
    "eeg": frozenset({UNIT_UV}),
    "imu": frozenset({UNIT_MPS2, UNIT_RADPS}),
    "video": frozenset({UNIT_RGB8}),
}
IMU_CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
IMU_UNITS = (UNIT_MPS2,) * 3 + (UNIT_RADPS,) * 3
VIDEO_CHANNELS = ("rgb",)


class Overflow(Enum):
    """What a source does when its reader is slower than the data."""

    BLOCK = "block"
    """Nothing is dropped; the source waits (recordings) or its queue grows up to a stated limit."""
    NEWEST = "newest"
    """Only the newest frame is kept; what is dropped is counted (cameras)."""


class AbstainReason(str, Enum):
    """Why a prediction carries no label."""

    GAP = "gap"
    NOT_FINITE = "not_finite"
    RATE = "rate"
    FLAT = "flat"
    CLIPPED = "clipped"
    ARTEFACT = "artefact"
    MAINS = "mains"
    MOVEMENT = "movement"
    NO_FACE = "no_face"
    TOO_SMALL = "too_small"
    DARK = "dark"
    BRIGHT = "bright"
    BLUR = "blur"
    TURNED = "turned"
    NOT_WALKING = "not_walking"
    INSUFFICIENT_WALKING = "insufficient_walking"
    SENSOR = "sensor"
    UNFAMILIAR = "unfamiliar"
    LOW_CONFIDENCE = "low_confidence"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a stream is.

    Args:
        name: the stream's name, unique in a run.
        kind: ``eeg``, ``imu`` or ``video``.
        rate_hz: nominal samples (video: frames) a second, positive.
        channels: channel names, at least one, no two alike.
        units: one canonical unit a channel.
        device: what delivers it, in words; a file name for recordings.
        simulated: True when no patient stands behind the signal.
        start_unix_s: Unix time of stream time 0 by the recording's own clock; None when the
            stream runs on the monotonic clock or the recording has no date.
        jitter_s: how far a raw stamp may stray from its sample's true time; 0 for recordings.

    Raises:
        ContractError: empty or doubled names, a rate that is not positive, a unit that is not
            canonical.
    """

    name: str
    kind: Kind
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    device: str
    simulated: bool
    start_unix_s: float | None = None
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        def refuse(problem: str, expected: object, got: object) -> ContractError:
            return ContractError(
                problem,
                source=self.name or "stream",
                expected=expected,
                got=got,
                next_step="Correct the source that describes this stream",
            )

        if not self.name:
            raise refuse("a stream needs a name", "text", "nothing")
        if self.kind not in CANONICAL_UNITS:
            raise refuse("unknown kind of stream", sorted(CANONICAL_UNITS), self.kind)
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise refuse("the rate must be positive", "Hz above 0", self.rate_hz)
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise refuse("channel names must be there and differ", "unique names", self.channels)
        if len(self.units) != len(self.channels):
            raise refuse("one unit a channel", len(self.channels), len(self.units))
        wrong = set(self.units) - CANONICAL_UNITS[self.kind]
        if wrong:
            raise refuse("unit not canonical", sorted(CANONICAL_UNITS[self.kind]), sorted(wrong))
        if not (np.isfinite(self.jitter_s) and self.jitter_s >= 0):
            raise refuse("jitter must not be negative", "seconds", self.jitter_s)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some samples in a row, as a source delivers them; may be empty; never written to afterwards.

    Args:
        times_s: (n_samples,) float64, one stamp a sample.
        samples: (n_samples, n_channels) float32, or (n_samples, height, width, 3) uint8.

    Raises:
        ContractError: another shape or type.
        PacketError: a stamp that is not a finite number.
    """

    times_s: Float64Array
    samples: Array

    def __post_init__(self) -> None:
        times_s, samples = self.times_s, self.samples
        n_axes = samples.ndim
        signal = n_axes == 2 and samples.dtype == np.float32
        if not (
            (signal or (n_axes == 4 and samples.dtype == np.uint8 and samples.shape[3] == 3))
            and times_s.ndim == 1
            and times_s.dtype == np.float64
            and times_s.shape[0] == samples.shape[0]
        ):
            raise ContractError(
                "a chunk has the wrong shape or type",
                expected="times (n,) float64, samples (n, channels) float32 or (n, h, w, 3) uint8",
                got=f"{times_s.shape} {times_s.dtype}, {samples.shape} {samples.dtype}",
                next_step="Correct the source that made the chunk",
            )
        if not math.isfinite(np.add.reduce(times_s)):
            raise PacketError(
                "a stamp is not a finite number",
                expected="seconds",
                got=times_s[~np.isfinite(times_s)][0],
                next_step="Correct the device's clock; the stream is opened again",
            )


@dataclass(frozen=True, slots=True)
class Window:
    """A fixed number of samples on the stream's own grid.

    Args:
        index: 0, 1, 2 ... since the last discontinuity.
        start_s: stamp of the first sample.
        end_s: ``start_s`` plus the window's duration (the end is not included).
        rate_hz: the stream's nominal rate.
        samples: as in ``Chunk``; samples that never came are NaN. Not writable.
        missing_fraction: share of samples that never came (gap), 0 to 1.
        invalid_fraction: share of samples that came with a NaN or infinite value, 0 to 1.
        off_rate: True when its samples did not come at the nominal rate, so that its real length
            is not ``end_s - start_s``.
        discontinuity: True for the first window after the stream's time jumped.
    """

    index: int
    start_s: float
    end_s: float
    rate_hz: float
    samples: Array
    missing_fraction: float = 0.0
    invalid_fraction: float = 0.0
    off_rate: bool = False
    discontinuity: bool = False

    def __post_init__(self) -> None:
        if not (
            self.end_s > self.start_s
            and 0.0 <= self.missing_fraction <= 1.0
            and 0.0 <= self.invalid_fraction <= 1.0
        ):
            raise ContractError(
                "a window must have a positive length and fractions from 0 to 1",
                got=f"{self.start_s} to {self.end_s} s, missing {self.missing_fraction}, "
                f"invalid {self.invalid_fraction}",
                next_step="Report this: windowing is at fault",
            )

    @property
    def usable_fraction(self) -> float:
        """Share of samples that came and are finite."""
        return max(0.0, 1.0 - self.missing_fraction - self.invalid_fraction)

    @property
    def newest_s(self) -> float:
        """Stamp of the newest sample, from which the data's age counts."""
        return self.end_s - 1.0 / self.rate_hz


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said about one window, given everything seen so far.

    Args:
        task: ``emotion``, ``sleep`` or ``frailty``.
        stream: name of the stream.
        time_s: end of the newest data this statement rests on.
        start_s: start of the window it speaks of.
        end_s: end of the window it speaks of.
        label: the answer, or None when abstained.
        probabilities: (label, probability) in the manifest's order, summing to 1; empty when
            nothing is known.
        quality: 0 (useless) to 1 (clean) for the signal behind it, None when it cannot be told.
        abstained: the reason for having no label, or None.
        final: False while the answer may still be revised.
        revision: 0 for the first statement about this window, then 1, 2 ...
        model: bundle name and hash.
        simulated: True when the signal is simulated.
        latency_s: age of the newest sample when emitted; None in a replay.
        evidence: (name, value) of what the statement rests on, such as strides and seconds of
            walking, units in the names; empty where a task has none.
        passing: True for an estimate over the trailing window, between two windows of the grid:
            never revised, never final.

    Raises:
        ContractError: label and reason both given or both missing, probabilities that do not sum
            to 1, evidence that is not a finite number, or a passing estimate that is final.
    """

    task: str
    stream: str
    time_s: float
    start_s: float
    end_s: float
    label: str | None
    probabilities: tuple[tuple[str, float], ...]
    quality: float | None
    abstained: AbstainReason | None
    final: bool
    revision: int
    model: str
    simulated: bool
    latency_s: float | None = None
    evidence: tuple[tuple[str, float], ...] = ()
    passing: bool = False

    def __post_init__(self) -> None:
        total = sum(p for _, p in self.probabilities)
        if (self.label is None) == (self.abstained is None):
            raise ContractError(
                "a prediction has either a label or a reason for having none",
                source=self.task,
                got=f"label {self.label}, abstained {self.abstained}",
                next_step="Correct the task that made it",
            )
        if self.probabilities and not abs(total - 1.0) < 1e-4:
            raise ContractError(
                "probabilities must sum to 1",
                source=self.task,
                expected=1.0,
                got=total,
                next_step="Correct the task that made it",
            )
        if self.passing and (self.final or self.revision):
            raise ContractError(
                "a passing estimate is neither final nor revised",
                source=self.task,
                got=f"final {self.final}, revision {self.revision}",
                next_step="Correct the task that made it",
            )
        if not all(math.isfinite(value) for _, value in self.evidence):
            raise ContractError(
                "evidence must be finite numbers",
                source=self.task,
                got=self.evidence,
                next_step="Correct the task that made it: leave out what is not known",
            )
        if self.label is not None and self.label not in dict(self.probabilities):
            raise ContractError(
                "the label must be one of the classes",
                source=self.task,
                expected=[name for name, _ in self.probabilities],
                got=self.label,
                next_step="Correct the task that made it",
            )

    @property
    def confidence(self) -> float | None:
        """Largest probability, or None when nothing is known."""
        return max((p for _, p in self.probabilities), default=None)
