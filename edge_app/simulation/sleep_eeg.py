"""A simulated EEG channel (Fpz-Cz) of someone who sleeps, for as long as it is read.

Each 30-s epoch has the stage, the five band powers and the variance that ``sleep_night`` draws. The
signal is noise of that spectrum: no spindles, K complexes, eye movements or artefacts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.signal import get_window, oaconvolve

from edge_app.contracts import Float32Array, Float64Array
from edge_app.errors import ContractError
from edge_app.simulation.sleep_night import (
    STAGES,
    load_sleep_statistics,
    simulate_powers,
    simulate_stages,
)

EPOCH_S = 30.0
BANDS_HZ = ((0.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 50.0))
"""Delta, theta, alpha, beta, gamma, as in the statistics."""
SLOW_HZ = (0.125, 0.5)
"""Below the bands: what the variance of real epochs has beyond them."""
SHAPES = (1.5, 1.0, 0.5, 1.0, 0.5, 0.0)
"""Within each band, SLOW_HZ last, density falls as frequency to minus this; a choice."""
WELCH_SEGMENT_S = 2.56
"""256 samples at 100 Hz: how the statistics were measured."""
FILTER_S = 8.0
FADE_S = 0.5
LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Epoch:
    """One simulated epoch.

    Args:
        stage: ``W``, ``N1``, ``N2``, ``N3`` or ``R``.
        samples: (n, 1) float32, microvolts.
        band_powers_uv2_per_hz: (5,) the densities that were drawn.
        variance_uv2: the variance that was drawn; the signal has at least that of its bands.
    """

    stage: str
    samples: Float32Array
    band_powers_uv2_per_hz: Float64Array
    variance_uv2: float


def simulate_night(*, rate_hz: float = 100.0, seed: int, first_stage: str = "W") -> Iterator[Epoch]:
    """Yield epochs without end; memory does not grow.

    Args:
        rate_hz: samples a second, at least 20; nothing lies above half of it.
        seed: the same seed gives the same samples.
        first_stage: stage of the first epoch.

    Yields:
        Consecutive epochs of 30 s, continuous over their borders.

    Raises:
        ContractError: the rate is too low, or no such stage.
    """
    if not (np.isfinite(rate_hz) and rate_hz >= 20.0) or first_stage not in STAGES:
        raise ContractError(
            "no sleep EEG can be simulated like this",
            expected=f"rate from 20 Hz, stage one of {', '.join(STAGES)}",
            got=f"{rate_hz} Hz, {first_stage}",
            next_step="Take 100 Hz and begin with W",
        )
    stages_rng, powers_rng, noise_rng = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    )
    statistics = load_sleep_statistics()
    stages = simulate_stages(statistics.transitions, stages_rng, STAGES.index(first_stage))
    noise = _BandNoise(rate_hz, noise_rng)
    first = 0
    for number, (stage, logs) in enumerate(simulate_powers(statistics, stages, powers_rng), 1):
        last = int(np.ceil(number * EPOCH_S * rate_hz - 1e-9))
        drawn = np.exp(logs)
        samples = noise.read(last - first, drawn)
        yield Epoch(
            STAGES[stage], samples.astype(np.float32)[:, None], drawn[:-1], float(drawn[-1])
        )
        first = last


class _BandNoise:
    """Endless noises, one a band and a slow one, mixed with gains that change smoothly."""

    def __init__(self, rate_hz: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._n_fade = max(1, round(FADE_S * rate_hz))
        self._n_taps = int(FILTER_S * rate_hz) // 2 * 2
        nyquist = rate_hz / 2.0
        self._kept = [(low, min(high, nyquist)) for low, high in BANDS_HZ if low < 0.9 * nyquist]
        self._drawn = [*range(len(self._kept)), len(BANDS_HZ)]
        densities = _densities(rate_hz, self._n_taps, self._kept)
        self._unmix = np.linalg.inv(_welch_means(rate_hz, densities, self._kept))
        taps = np.fft.irfft(np.sqrt(densities * rate_hz / 2.0), axis=1)
        self._taps = np.roll(taps, self._n_taps // 2, axis=1)
        self._white = rng.standard_normal((len(densities), self._n_taps - 1))
        self._gain: Float64Array | None = None

    def read(self, n: int, powers: Float64Array) -> Float64Array:
        """Return the next n samples, (n,) microvolts, of given band densities and variance."""
        wanted = powers[self._drawn]
        gain = np.sqrt(
            np.maximum(self._unmix @ wanted, LEAST_SHARE * np.append(wanted[:-1], wanted[0]))
        )
        white = np.hstack([self._white, self._rng.standard_normal((len(self._white), n))])
        self._white = white[:, n:].copy()
        noise = oaconvolve(white, self._taps, mode="valid", axes=1)
        before = gain if self._gain is None else self._gain
        fade = np.minimum(np.arange(1, n + 1) / self._n_fade, 1.0)
        self._gain = gain
        return np.asarray(np.sum(noise * (before[:, None] + np.outer(gain - before, fade)), axis=0))


def _densities(rate_hz: float, n_taps: int, bands: list[tuple[float, float]]) -> Float64Array:
    """Return (bands and slow, bins) one-sided densities of mean 1 uV^2/Hz over their band."""
    frequency = np.fft.rfftfreq(n_taps, 1.0 / rate_hz)
    ranges = [*bands, SLOW_HZ]
    result = np.zeros((len(ranges), frequency.shape[0]))
    shapes = (*SHAPES[: len(bands)], SHAPES[-1])
    for row, (low, high), fall in zip(result, ranges, shapes, strict=True):
        inside = (frequency >= low) & (frequency < high)
        row[inside] = frequency[inside] ** -fall
        row /= row[inside].mean()
    return result


def _welch_means(
    rate_hz: float, densities: Float64Array, bands: list[tuple[float, float]]
) -> Float64Array:
    """Return (bands and variance, noises): what Welch's estimate, leakage included, shows.

    Each bin of the estimate is the density seen through the Hann window's own spectrum.
    """
    n_segment = round(WELCH_SEGMENT_S * rate_hz)
    window = get_window("hann", n_segment)
    autocorrelation = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * n_segment)) ** 2)[:n_segment]
    autocorrelation /= np.sum(window**2)
    covariance = np.fft.irfft(densities, axis=1)
    variance = covariance[:, 0] * rate_hz / 2.0
    lags = covariance[:, :n_segment] * autocorrelation
    bins = np.fft.rfftfreq(n_segment, 1.0 / rate_hz)
    angles = 2.0 * np.pi * np.outer(np.arange(n_segment), bins) / rate_hz
    estimate = lags[:, :1] + 2.0 * lags[:, 1:] @ np.cos(angles[1:])
    rows = [estimate[:, (bins >= low) & (bins <= high)].mean(axis=1) for low, high in bands]
    return np.stack([*rows, variance])
