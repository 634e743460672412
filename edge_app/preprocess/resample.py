"""One window to another number of samples, and repair of what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float32Array, Float64Array
from edge_app.errors import PreprocessError

REACH = 10
"""The filter reaches so many samples of the slower rate to either side."""
MAX_PHASES = 200
"""Beyond, a table of phases would be larger than the window; such odd rates go through SciPy."""


def resample_window(samples: Float32Array, length_samples: int) -> Float32Array:
    """Return a window with another number of samples over the same span of time.

    Args:
        samples: (n_samples, n_channels) float32, finite.
        length_samples: samples wanted.

    Returns:
        (length_samples, n_channels) float32; the input itself when the length is right already.

    Source: polyphase filtering (Kaiser window, zero phase) with the filter of
        ``scipy.signal.resample_poly``, as one product of matrices and without loading SciPy's
        signal package. The line through the first and last sample goes round the filter, so an
        offset gives no ringing.
    """
    n = samples.shape[0]
    if n == length_samples:
        return samples
    plan = _plan(n, length_samples)
    slope = (samples[-1] - samples[0]) / np.float32(max(1, n - 1))
    level = samples - (samples[0] + slope * plan.places_in)
    if plan.weights is None:
        filtered = _with_scipy(level, length_samples)
    else:
        padded = np.zeros((n + plan.before + plan.after, samples.shape[1]), np.float32)
        padded[plan.before : plan.before + n] = level
        blocks = padded.T.take(plan.seen, axis=1) @ plan.weights  # (channels, blocks, up)
        filtered = blocks.reshape(samples.shape[1], -1).T
    return np.asarray(filtered + (samples[0] + slope * plan.places_out), np.float32)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a window of one length becomes one of another: blocks of inputs to ``up`` outputs each.

    Args:
        weights: (width, up) what each input seen by a block adds to each of its outputs; None:
            too many phases for a table.
        seen: (n_blocks, width) places of these inputs in the padded window.
        before: zeros before the window.
        after: zeros after it.
        places_in: (n, 1) of the samples, counted from the first.
        places_out: (length, 1) of the wanted samples, likewise.
    """

    weights: Float32Array | None
    seen: npt.NDArray[np.intp]
    before: int
    after: int
    places_in: Float32Array
    places_out: Float32Array


@lru_cache(maxsize=8)
def _plan(n: int, length: int) -> _Plan:
    divisor = gcd(n, length)
    up, down = length // divisor, n // divisor
    places_in = np.arange(n, dtype=np.float32)[:, None]
    places_out = (np.arange(length) * (down / up)).astype(np.float32)[:, None]
    if up > MAX_PHASES:
        return _Plan(None, np.zeros((0, 0), np.intp), 0, 0, places_in, places_out)
    half = REACH * max(up, down)
    before, last = half // up, ((up - 1) * down + half) // up
    inputs, outputs = np.arange(-before, last + 1)[:, None], np.arange(up)[None]
    tap = half + outputs * down - inputs * up
    taps = _low_pass(max(up, down)) * up
    weights = np.where((tap >= 0) & (tap <= 2 * half), taps[np.clip(tap, 0, 2 * half)], 0.0)
    seen = down * np.arange(divisor)[:, None] + np.arange(len(weights))[None]
    after = max(0, last + 1 - down)
    return _Plan(weights.astype(np.float32), seen, before, after, places_in, places_out)


def _low_pass(factor: int) -> Float64Array:
    """Return (2 REACH factor + 1,) taps that pass below 1/factor of half the rate, sum 1."""
    places = np.arange(-REACH * factor, REACH * factor + 1) / factor
    taps = np.sinc(places) * np.kaiser(places.size, 5.0)
    return np.asarray(taps / taps.sum(), np.float64)


def _with_scipy(level: Float32Array, length: int) -> Float32Array:
    from scipy.signal import resample_poly  # loads slowly, and is needed at odd rates only

    return np.asarray(resample_poly(level, length, len(level), axis=0)[:length], np.float32)


def fill_missing(samples: Float32Array) -> Float32Array:
    """Return the window with NaN and infinite values replaced along straight lines, by channel.

    Args:
        samples: (n_samples, n_channels) float32.

    Returns:
        The same shape, finite; the input itself when it was finite.

    Raises:
        PreprocessError: a channel has no finite value.
    """
    finite = np.isfinite(samples)
    if finite.all():
        return samples
    if not finite.any(axis=0).all():
        raise PreprocessError(
            "a channel of the window has no finite value",
            next_step="Abstain on such windows before filling them",
        )
    grid = np.arange(samples.shape[0])
    filled = samples.copy()
    for channel in range(samples.shape[1]):
        good = finite[:, channel]
        filled[:, channel] = np.interp(grid, grid[good], samples[good, channel])
    return np.asarray(filled, np.float32)
