"""The mains in an EEG epoch: how much of it there is, and the epoch without it.

A model of 100 Hz sees half of the 50-Hz amplitude of a faster stream, at the edge of its gamma
band: 5 uV of ordinary hum make gamma eight times as large. So hum is taken out of the epoch before
it is brought to the model's rate, by the same rule for every epoch: no filter, no state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float64Array

MAINS_HZ = (50.0, 60.0)
WIDTH_HZ = 1.0
LOWEST_HZ = 1.0
"""Power below it is drift and sweat; it says nothing about the mains."""
HUM_SHARE = 0.002
"""An epoch with less of its power in the mains is left as it is."""
FIT_S = 1.0
"""Amplitude and phase of the hum are fitted anew this often: the mains strays by 0.05 Hz."""


@dataclass(frozen=True, slots=True)
class Mains:
    """What an epoch holds of the mains.

    Args:
        hz: 50 or 60, whichever holds more power.
        share: of the power from 1 Hz to half the rate that lies within 1 Hz of it, 0 to 1.
    """

    hz: float
    share: float


def find_mains(signal: Float64Array, rate_hz: float) -> Mains:
    """Measure the mains (Hann window, whole epoch).

    Args:
        signal: (n_samples,), about zero.
        rate_hz: of the samples.

    Returns:
        The larger of the two; none where the rate is too low to tell: a slow stream's mains has
        been filtered out, or folded into other frequencies.
    """
    window, lowest, bands = _bins(len(signal), rate_hz)
    if not bands:
        return Mains(MAINS_HZ[0], 0.0)
    spectrum = np.fft.rfft((signal * window).astype(np.float32))
    power = spectrum.real**2 + spectrum.imag**2
    total = float(power[lowest:].sum())
    found = [(float(power[band].sum()), hz) for hz, band in bands]
    most, hz = max(found)
    return Mains(hz, most / total if total > 0.0 else 0.0)


def without_mains(signal: Float64Array, rate_hz: float, mains: Mains) -> Float64Array:
    """Return the signal less the sine at the mains that fits each second of it best.

    Args:
        signal: (n_samples,), about zero.
        rate_hz: of the samples.
        mains: what ``find_mains`` found; below ``HUM_SHARE`` nothing is taken out.

    Returns:
        (n_samples,); the input itself when there is no hum.
    """
    if mains.share < HUM_SHARE:
        return signal
    starts, counts, cosine, sine, sums = _waves(len(signal), rate_hz, mains.hz)
    with_cosine = np.add.reduceat(signal * cosine, starts)
    with_sine = np.add.reduceat(signal * sine, starts)
    cosines, sines, both = sums
    determinant = cosines * sines - both**2  # least squares for two unknowns
    a = (with_cosine * sines - with_sine * both) / determinant
    b = (with_sine * cosines - with_cosine * both) / determinant
    return np.asarray(signal - np.repeat(a, counts) * cosine - np.repeat(b, counts) * sine)


@lru_cache(maxsize=8)
def _bins(n: int, rate_hz: float) -> tuple[Float64Array, int, tuple[tuple[float, slice], ...]]:
    """Return the window, the lowest bin that counts, and the bins of each mains frequency."""
    width_hz = rate_hz / n
    bands = tuple(
        (hz, slice(int(np.ceil((hz - WIDTH_HZ) / width_hz)), int((hz + WIDTH_HZ) / width_hz) + 1))
        for hz in MAINS_HZ
        if hz < rate_hz / 2.0
    )
    return np.hanning(n), int(np.ceil(LOWEST_HZ / width_hz)), bands


@lru_cache(maxsize=8)
def _waves(
    n: int, rate_hz: float, hz: float
) -> tuple[
    npt.NDArray[np.intp], npt.NDArray[np.intp], Float64Array, Float64Array, tuple[Float64Array, ...]
]:
    """Return starts and lengths of the fitted parts, the two waves, and their products' sums."""
    n_parts = max(1, round(n / rate_hz / FIT_S))
    starts = np.linspace(0, n, n_parts, endpoint=False).astype(np.intp)
    phase = 2.0 * np.pi * hz * np.arange(n) / rate_hz
    cosine, sine = np.cos(phase), np.sin(phase)
    products = (cosine**2, sine**2, cosine * sine)
    sums = tuple(np.add.reduceat(product, starts) for product in products)
    return starts, np.diff(starts, append=n), cosine, sine, sums
