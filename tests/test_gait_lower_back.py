"""Cadence at the lower back: a made-up trunk, and real walks against the labels of both feet."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge_app.errors import PreprocessError
from edge_app.preprocess.gait.lower_back import step_rhythm
from trainer.datasets.imu_walks import read_trials
from trainer.evaluate_cadence import evaluate_cadence


def trunk(step_time_s: float, rate_hz: float, seed: int = 0) -> np.ndarray:
    """Up and down once a step, to the side once in two, mounted at random."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(0.0, 5.0, 1.0 / rate_hz)
    phase = 2.0 * np.pi * times_s / step_time_s
    force = np.column_stack(
        [
            0.8 * np.sin(phase + 1.0),
            1.0 * np.sin(phase / 2.0),
            9.81 + 1.5 * np.sin(phase) + 0.7 * np.sin(2.0 * phase + 0.4),
        ]
    )
    force += 0.1 * rng.standard_normal(force.shape)
    return (force @ Rotation.random(random_state=seed).as_matrix().T).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 128.0, 400.0])
@pytest.mark.parametrize("step_time_s", [0.4, 0.55, 0.8, 1.1])
def test_rhythm_of_a_made_up_trunk(step_time_s, rate_hz):
    rhythm = step_rhythm(trunk(step_time_s, rate_hz), rate_hz)
    assert rhythm.step_time_s == pytest.approx(step_time_s, rel=0.02)
    assert rhythm.cadence_strides_per_min == pytest.approx(30.0 / step_time_s, rel=0.02)
    assert rhythm.regularity > 0.8


def test_no_steps_no_rhythm():
    rng = np.random.default_rng(1)
    still = np.float32([0.0, 0.0, 9.81]) + 0.05 * rng.standard_normal((500, 3)).astype(np.float32)
    assert step_rhythm(still, 100.0) is None
    assert step_rhythm(np.zeros((500, 3), np.float32), 100.0) is None
    slow = still + np.float32(3.0) * np.sin(np.arange(500) / 100.0)[:, None].astype(np.float32)
    assert step_rhythm(slow, 100.0) is None


def test_lost_samples_are_bridged():
    samples = trunk(0.55, 100.0)
    samples[np.random.default_rng(2).integers(0, 500, 25)] = np.nan
    assert step_rhythm(samples, 100.0).step_time_s == pytest.approx(0.55, rel=0.02)


def test_windows_that_cannot_be_judged_are_refused():
    with pytest.raises(PreprocessError):
        step_rhythm(trunk(0.5, 100.0)[:300], 100.0)
    with pytest.raises(PreprocessError):
        step_rhythm(np.full((500, 3), np.nan, np.float32), 100.0)


def test_real_walks(data_dir):
    """8 people: steps of straight walking by the labels, and standing before and after."""
    found = evaluate_cadence(read_trials(data_dir / "gait" / "imu_walks"))
    assert found["windows"] > 200
    assert found["answered"] >= 0.98 * found["windows"]
    assert found["median_absolute_error"] < 0.01
    assert found["within_5_percent"] > 0.95
    assert found["standing_windows"] > 40
    assert found["standing_answered"] <= 0.02 * found["standing_windows"]
