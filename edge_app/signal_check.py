"""Two seconds of a sensor: does it come at its rate, whole, evenly, and is it a usable signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Array, Chunk, Float32Array, Float64Array, StreamInfo
from edge_app.counted import counted
from edge_app.preprocess.face import to_grey
from edge_app.preprocess.gait.signal_fault import signal_fault

MAX_RATE_ERROR = 0.05
MAX_LOST_FRACTION = 0.02
FLAT_BELOW_UV = 0.5
MAX_RMS_UV = 500.0
NOT_MICROVOLTS_UV = 100_000.0
"""A tenth of a volt: no electrode on a living head, but a wrong unit."""
MAX_MAINS_SHARE = 0.5
MAINS_HZ = (50.0, 60.0)
_MAINS_HALF_WIDTH_HZ = 1.5
BRIGHTNESS_RANGE = (30.0, 225.0)
MIN_SHARPNESS = 20.0
"""Variance of the Laplacian, grey levels squared: a covered or wildly unfocused lens is below."""


@dataclass(frozen=True, slots=True)
class SignalReport:
    """What a few seconds of a stream show.

    Args:
        samples: samples (frames) that came.
        rate_hz: measured on their stamps, without gaps; None for fewer than three.
        lost_fraction: share of samples that never came, by the stamps.
        jitter_s: how far stamps stray from an even pace (standard deviation).
        quality: the signal in a few words, with units.
        advice: what to do about what is wrong; empty when nothing is.
    """

    samples: int
    rate_hz: float | None
    lost_fraction: float
    jitter_s: float
    quality: str
    advice: str

    def __str__(self) -> str:
        """Return one line for people."""
        if self.rate_hz is None:
            return f"{counted(self.samples, 'sample')}, too few to judge"
        return (
            f"{self.rate_hz:.4g} Hz measured, {100 * self.lost_fraction:.1f} % lost, "
            f"jitter {1000 * self.jitter_s:.1f} ms, {self.quality}"
        )


def report_signal(info: StreamInfo, chunks: list[Chunk]) -> SignalReport:
    """Judge what a source has delivered.

    Args:
        info: the stream.
        chunks: as they came; pictures may have any size.
    """
    times_s = np.concatenate([np.empty(0), *(chunk.times_s for chunk in chunks)])
    n = times_s.shape[0]
    if n < 3:
        return SignalReport(n, None, 0.0, 0.0, "", "Wait until it sends steadily, then check again")
    rate_hz, lost, jitter_s = _pace(times_s, info)
    quality, advice = _LOOK[info.kind](info, [chunk.samples for chunk in chunks])
    if abs(rate_hz / info.rate_hz - 1.0) > MAX_RATE_ERROR and info.kind != "video":
        where = "`rate_hz` or the sensor" if info.kind == "imu" else "the outlet"
        advice = f"It is said to send {info.rate_hz:g} Hz: correct {where}"
    elif lost > MAX_LOST_FRACTION:
        advice = "Bring the sensor closer, or take other traffic off its radio or network"
    return SignalReport(n, rate_hz, lost, jitter_s, quality, advice)


def _pace(times_s: Float64Array, info: StreamInfo) -> tuple[float, float, float]:
    """Return the rate between gaps, the share lost, and the jitter of the steps."""
    steps_s = np.diff(times_s)
    if info.kind == "video":  # frames may come at any pace: a late one is not a lost one
        return 1.0 / float(np.median(steps_s)), 0.0, float(np.std(steps_s))
    whole = steps_s <= 1.5 / info.rate_hz + info.jitter_s
    missing = np.maximum(1, np.round(steps_s[~whole] * info.rate_hz) - 1).sum()
    even_s = steps_s[whole] if whole.any() else steps_s
    lost = float(missing / (missing + times_s.shape[0]))
    return 1.0 / float(np.mean(even_s)), lost, float(np.std(even_s))


def _look_at_eeg(info: StreamInfo, samples: list[Array]) -> tuple[str, str]:
    signal = np.concatenate(samples)[:, 0].astype(np.float64)
    signal = signal[np.isfinite(signal)]
    if not signal.size:
        return "no finite value", "Check the headset's electrodes"
    signal = signal - signal.mean()
    rms_uv = float(np.sqrt(np.mean(signal**2)))
    mains = _mains_share(signal, info.rate_hz)
    quality = f"{rms_uv:.1f} uV rms, {100 * mains:.0f} % mains hum"
    if rms_uv < FLAT_BELOW_UV:
        return f"flat ({rms_uv:.2f} uV rms)", "Put the headset on and wet or press its electrodes"
    if rms_uv > NOT_MICROVOLTS_UV:
        return quality, "Correct `unit`, or the unit in the stream's metadata: no head gives volts"
    if rms_uv > MAX_RMS_UV:
        return quality, "Fasten the electrodes and let the wearer sit still, then check again"
    if mains > MAX_MAINS_SHARE:
        return quality, "Check the reference electrode, and keep chargers and cables away"
    return quality, ""


def _mains_share(signal: Float64Array, rate_hz: float) -> float:
    """Return the larger share of power around 50 or 60 Hz, above 0.5 Hz."""
    power = np.abs(np.fft.rfft(signal * np.hanning(signal.size))) ** 2
    freqs_hz = np.fft.rfftfreq(signal.size, 1.0 / rate_hz)
    total = float(power[freqs_hz > 0.5].sum())
    near = [np.abs(freqs_hz - mains_hz) <= _MAINS_HALF_WIDTH_HZ for mains_hz in MAINS_HZ]
    return max(float(power[band].sum()) for band in near) / total if total > 0 else 0.0


def _look_at_imu(info: StreamInfo, samples: list[Array]) -> tuple[str, str]:
    whole: Float32Array = np.concatenate(samples)
    gravity = float(np.median(np.linalg.norm(whole[:, :3].astype(np.float64), axis=1)))
    quality = f"gravity {gravity:.2f} m/s^2"
    if whole.shape[1] < 6:
        return f"{quality}, no gyroscope", ""
    fault = signal_fault(whole, info.rate_hz)
    turning = float(np.median(np.linalg.norm(whole[:, 3:].astype(np.float64), axis=1)))
    advice = "" if fault is None else fault.advice[0].upper() + fault.advice[1:]
    return f"{quality}, turning {turning:.2f} rad/s", advice


def _look_at_video(_info: StreamInfo, samples: list[Array]) -> tuple[str, str]:
    import cv2

    newest = samples[-1][-1]
    grey = to_grey(newest)
    brightness = float(grey.mean())
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    height, width = newest.shape[:2]
    quality = (
        f"{width} x {height} px, brightness {brightness:.0f} of 255, sharpness {sharpness:.0f}"
    )
    if brightness < BRIGHTNESS_RANGE[0]:
        return quality, "Uncover the lens, or light the face"
    if brightness > BRIGHTNESS_RANGE[1]:
        return quality, "Turn the camera away from the window or the lamp"
    if sharpness < MIN_SHARPNESS:
        return quality, "Clean or focus the lens, and point it at the face"
    return quality, ""


_LOOK = {"eeg": _look_at_eeg, "imu": _look_at_imu, "video": _look_at_video}
