"""A walk to the windows that the bedside would classify; the same for simulated and real feet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_app.contracts import IMU_CHANNELS, Float32Array
from edge_app.inference.manifest import GaitConditioning, WindowSpec
from edge_app.preprocess.gait.window import condition_gait
from edge_app.windowing import n_samples

RATE_HZ = 100.0
WINDOW = WindowSpec(length_samples=200, hop_samples=50)
CONDITIONING = GaitConditioning(
    kind="gait_window", max_missing_fraction=0.05, min_gyr_rms_radps=1.2
)
"""Measured on real foot walks (8 people, both feet) by ``test_gate_on_all_real_walks``: 1300 of
1331 windows of straight walking (97.7 %) and all 354 of turns pass, and 6 of 419 standing ones
(1.4 %).
Walking: wholly between the foot's own first and last labelled event and outside the turn; turn:
overlaps it; standing: wholly before the first or after the last event of this foot. Windows across
a border, or that lack more than 5 % of their samples, are left out."""


def windows_of(
    samples: Float32Array, *, rate_hz: float, walking: npt.NDArray[np.bool_] | None = None
) -> Float32Array:
    """Cut, gate and resample a recording without gaps in time as the bedside does.

    Args:
        samples: (n_samples, 6) float32 m/s^2 and rad/s, NaN where missing.
        rate_hz: samples a second; 2 s and 0.5 s are whole numbers of them.
        walking: (n_samples,) True where the person is known to walk; None: not known.

    Returns:
        ``(n, 6, 200)`` float32: windows of ``WINDOW`` at ``RATE_HZ`` that pass the gate and, where
        it is known, lie wholly in walking.
    """
    length = n_samples(WINDOW.length_samples / RATE_HZ, rate_hz)
    hop = n_samples(WINDOW.hop_samples / RATE_HZ, rate_hz)
    finite = np.isfinite(samples)
    kept = []
    for start in range(0, len(samples) - length + 1, hop):
        rows = slice(start, start + length)
        if walking is not None and not walking[rows].all():
            continue
        missing = 1.0 - float(finite[rows].all(axis=1).mean())
        if missing > CONDITIONING.max_missing_fraction:
            continue
        window = condition_gait(
            samples[rows],
            length_samples=WINDOW.length_samples,
            min_gyr_rms_radps=CONDITIONING.min_gyr_rms_radps,
        )
        if window is not None:
            kept.append(window.T)
    if not kept:
        return np.zeros((0, len(IMU_CHANNELS), WINDOW.length_samples), dtype=np.float32)
    return np.stack(kept)


def evenly_chosen(windows: Float32Array, largest: int | None) -> Float32Array:
    """Return at most ``largest`` of the windows, spread over all of them; all when None."""
    if largest is None or len(windows) <= largest:
        return windows
    chosen = np.linspace(0, len(windows) - 1, largest).round().astype(int)
    return np.asarray(windows[chosen])
