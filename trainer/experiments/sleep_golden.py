"""SIMULATED examples for a sleep bundle's ``golden.npz``: no person's signal goes into a bundle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.experiments.sleep_windows import LENGTH
from trainer.features.welch import FEATURES
from trainer.models.sleep_gru import FLOOR, SleepGru

GOLDEN_CASES = 4


def simulated_epochs(n_samples: int, rate_hz: float) -> npt.NDArray[np.float32]:
    """Return ``(GOLDEN_CASES, 1, n_samples)`` uV: red noise with a rhythm of 2, 6, 10 and 13 Hz."""
    generator = np.random.default_rng(20)
    times_s = np.arange(n_samples) / rate_hz
    noise = np.cumsum(generator.normal(0.0, 4.0, (GOLDEN_CASES, n_samples)), axis=1)
    drift = np.linspace(0.0, 1.0, n_samples) * noise[:, -1:]
    rhythms = [
        30.0 * np.sin(2 * np.pi * rhythm_hz * times_s) for rhythm_hz in (2.0, 6.0, 10.0, 13.0)
    ]
    signal: npt.NDArray[np.float32] = (noise - drift + np.stack(rhythms)).astype(np.float32)
    return signal[:, None]


def simulated_features(
    model: SleepGru,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return features like the training nights' and masks: full, warm-up, gaps, a single epoch."""
    generator = np.random.default_rng(21)
    draws = generator.normal(size=(GOLDEN_CASES, LENGTH, len(FEATURES)))
    mean, std = model.get_buffer("log_mean").numpy(), model.get_buffer("log_std").numpy()
    mask = np.ones((GOLDEN_CASES, LENGTH), dtype=np.float32)
    mask[1, :12] = 0.0
    mask[2, [3, 4, 11, 18]] = 0.0
    mask[3, :-1] = 0.0
    powers = np.maximum(np.exp(mean + std * draws) - FLOOR, 0.0) * mask[:, :, None]
    return powers.astype(np.float32), mask
