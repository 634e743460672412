"""SIMULATED examples for a sleep bundle's ``golden.npz``: no person's signal goes into a bundle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from trainer.features.causal_levels import FLOOR
from trainer.features.welch import FEATURES
from trainer.models.sleep_stream import SleepStream

GOLDEN_CASES = 4
CARRIED_EPOCHS = 30


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


def simulated_steps(
    model: SleepStream,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return epochs like the training nights' and the states that they meet.

    Four cases: the first epoch of a recording; one after half an hour or so, some of it lost; the
    same where only the moments are known; a spoilt epoch, nothing known.

    Args:
        model: gives the size of its state, and what usual powers are.

    Returns:
        ``features`` (4, 7) and ``state`` (4, S).
    """
    generator = np.random.default_rng(21)
    mean, std = (model.levels.get_buffer(name).numpy() for name in ("log_mean", "log_std"))
    draws = generator.normal(size=(GOLDEN_CASES + CARRIED_EPOCHS, len(FEATURES)))
    powers = np.maximum(np.exp(mean + std * draws) - FLOOR, 0.0).astype(np.float32)
    psd = [i for i, name in enumerate(FEATURES) if name.startswith("psd")]
    features, past = powers[:GOLDEN_CASES], powers[GOLDEN_CASES:]
    features[2, psd] = np.nan
    features[3] = np.nan
    past[::7] = np.nan
    past[10:13, psd] = np.nan
    states = np.zeros((GOLDEN_CASES, model.state_size), np.float32)
    state = torch.zeros(1, model.state_size)
    with torch.no_grad():
        for epoch in torch.from_numpy(past):
            _, state = model.step(epoch[None], state)
    states[1:] = state.numpy()
    return features, states
