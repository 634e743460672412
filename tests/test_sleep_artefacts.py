"""Which EEG epochs are refused, why, and that hum of the mains neither refuses nor changes one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from edge_app.contracts import AbstainReason
from edge_app.inference.manifest import EegConditioning
from edge_app.preprocess.eeg import EegEpoch, condition_epoch
from edge_app.preprocess.mains import Mains, find_mains, without_mains
from edge_app.preprocess.resample import resample_window
from edge_app.simulation.sleep_eeg import simulate_night
from edge_app.sources.recording.formats import open_recording

LIMITS = EegConditioning(
    kind="eeg_epoch",
    max_missing_fraction=0.2,
    flat_below_uv=0.5,
    clipped_above_fraction=0.05,
    max_abs_uv=1000.0,
    movement_uv=300.0,
    max_movement_fraction=0.5,
    max_mains_share=0.9,
    estimate_every_s=None,
)
RATE = 256.0
T = np.arange(7680) / RATE


def condition(signal: np.ndarray, rate_hz: float = RATE) -> EegEpoch:
    samples = np.asarray(signal, np.float32).reshape(-1, 1)
    return condition_epoch(samples, LIMITS, rate_hz=rate_hz, length_samples=3000)


@pytest.fixture(scope="module")
def epochs() -> list[np.ndarray]:
    """Forty minutes of simulated EEG."""
    return [epoch.samples[:, 0] for epoch in islice(simulate_night(rate_hz=RATE, seed=3), 80)]


def hum(amplitude_uv: float, hz: float = 50.0) -> np.ndarray:
    return amplitude_uv * np.cos(2 * np.pi * hz * T + 0.3)


def open_lead(x: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 5, len(x)) + hum(300.0) + np.cumsum(rng.normal(0, 1, len(x)))


@pytest.mark.parametrize(
    ("spoil", "reason", "quality"),
    [
        (np.zeros_like, AbstainReason.FLAT, 0.0),
        (lambda x: np.where(T < 7.0, 3.0, x), AbstainReason.FLAT, 23 / 30),
        (open_lead, AbstainReason.MAINS, None),
        (lambda x: x + hum(200.0), AbstainReason.MAINS, None),
        (lambda x: x + hum(200.0, 60.0), AbstainReason.MAINS, None),
        (lambda x: np.clip(x * 100, -500, 500), AbstainReason.CLIPPED, None),
        (lambda x: np.clip(x + 200 * T - 3000, -1500, 1500), AbstainReason.CLIPPED, None),
        (lambda x: np.where((T % 3 < 0.05), 1500.0, x), AbstainReason.ARTEFACT, 2 / 3),
        (
            lambda x: x + 500 * np.sin(2 * np.pi * 0.7 * T) * (T < 16),
            AbstainReason.MOVEMENT,
            14 / 30,
        ),
    ],
)
def test_what_no_sleeping_brain_makes_is_refused_with_its_reason(
    epochs: list[np.ndarray],
    spoil: Callable[[np.ndarray], np.ndarray],
    reason: AbstainReason,
    quality: float | None,
) -> None:
    for epoch in epochs[::8]:
        found = condition(spoil(epoch))
        assert (found.samples, found.reason) == (None, reason)
        if quality is None:
            assert 0.0 <= found.quality < 0.96
        else:
            assert found.quality == pytest.approx(quality, abs=0.01)


def test_clean_epochs_are_kept_and_untouched_at_the_models_rate(epochs: list[np.ndarray]) -> None:
    for epoch in epochs:
        found = condition(epoch)
        assert (found.reason, found.quality) == (None, 1.0)
    at_100_hz = next(simulate_night(rate_hz=100.0, seed=0)).samples
    np.testing.assert_array_equal(condition(at_100_hz, 100.0).samples, at_100_hz)


@pytest.mark.parametrize("channel", ["C3-A1", "FP1-A1"])
def test_no_epoch_of_the_real_recording_is_lost(data_dir: Path, channel: str) -> None:
    recording = open_recording(data_dir / "sleep/raw/excerpt3.edf", kind="eeg", channel=channel)
    signal = np.concatenate([chunk.samples for chunk in recording.chunks(1500)])
    recording.close()
    found = [condition(signal[i : i + 1500], 50.0) for i in range(0, len(signal), 1500)]
    assert len(found) == 60
    assert {epoch.reason for epoch in found} == {None}


def gamma(epoch: EegEpoch) -> float:
    assert epoch.samples is not None
    frequency, density = welch(epoch.samples[:, 0].astype(float), 100.0, nperseg=256)
    return float(density[(frequency >= 30) & (frequency <= 50)].mean())


@pytest.mark.parametrize(("hz", "amplitude_uv", "off"), [(50.0, 10, 0.05), (49.98, 5, 0.1)])
def test_ordinary_hum_changes_nothing_that_the_model_sees(
    epochs: list[np.ndarray], hz: float, amplitude_uv: float, off: float
) -> None:
    for epoch in epochs[::8]:
        with_hum = condition(epoch + hum(amplitude_uv, hz))
        assert with_hum.reason is None
        assert gamma(with_hum) == pytest.approx(gamma(condition(epoch)), rel=off)


def test_the_resampler_alone_would_let_half_of_the_hum_through(epochs: list[np.ndarray]) -> None:
    tone = np.asarray(hum(10.0, 49.5), np.float32)[:, None]
    left = resample_window(tone, 3000)
    assert np.abs(left).max() > 4.0
    assert np.abs(without_mains(hum(10.0, 49.98), RATE, Mains(50.0, 1.0))).max() < 1.0
    quiet = np.asarray(epochs[0], float)
    assert find_mains(quiet, RATE).share < 0.01
    assert without_mains(quiet, RATE, Mains(50.0, 0.0)) is quiet


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([50.0, 62.5, 100.0, 256.0, 500.0]),
    st.floats(1e-6, 1e8),
    st.floats(-1e8, 1e8),
    st.floats(0.0, 0.9),
)
def test_any_numbers_give_an_epoch_or_a_reason(
    seed: int, rate_hz: float, scale: float, offset: float, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    n = round(30 * rate_hz)
    signal = offset + scale * rng.standard_normal(n)
    signal[rng.random(n) < missing] = rng.choice([np.nan, np.inf, -np.inf, 0.0])
    signal[0] = 1.0
    found = condition(signal, rate_hz)
    assert (found.samples is None) == (found.reason is not None)
    assert 0.0 <= found.quality <= 1.0
    if found.samples is not None:
        assert found.samples.shape == (3000, 1)
        assert np.isfinite(found.samples).all()
