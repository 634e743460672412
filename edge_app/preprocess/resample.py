"""One window to another number of samples, and repair of what it lacks."""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy.signal import resample_poly

from edge_app.contracts import Float32Array
from edge_app.errors import PreprocessError


def resample_window(samples: Float32Array, length_samples: int) -> Float32Array:
    """Return a window with another number of samples over the same span of time.

    Args:
        samples: (n_samples, n_channels) float32, finite.
        length_samples: samples wanted.

    Returns:
        (length_samples, n_channels) float32; the input itself when the length is right already.

    Source: polyphase filtering (Kaiser window, zero phase), ``scipy.signal.resample_poly``; the
        edges are
    continued along the line through the first and last sample, so an offset gives no ringing.
    """
    n = samples.shape[0]
    if n == length_samples:
        return samples
    divisor = gcd(n, length_samples)
    result = resample_poly(samples, length_samples // divisor, n // divisor, axis=0, padtype="line")
    return np.asarray(result[:length_samples], np.float32)


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
