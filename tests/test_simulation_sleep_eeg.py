"""The simulated sleeper: stages by the matrix, spectra by Welch, no clicks, the same by seed."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from scipy.signal import welch

from edge_app.errors import ContractError
from edge_app.simulation.sleep_eeg import (
    STAGES,
    load_sleep_statistics,
    simulate_night,
    simulate_stages,
)

BANDS_HZ = ((0.5, 4), (4, 8), (8, 13), (13, 30), (30, 50))


def epochs(n, *, seed=1, rate_hz=100.0, **kwargs):
    return list(islice(simulate_night(rate_hz=rate_hz, seed=seed, **kwargs), n))


def test_stages_follow_the_matrix():
    expected = load_sleep_statistics().transitions
    chain = np.array(list(islice(simulate_stages(expected, np.random.default_rng(0), 0), 60_000)))
    counts = np.zeros((5, 5))
    np.add.at(counts, (chain[:-1], chain[1:]), 1)
    visits = counts.sum(axis=1, keepdims=True)
    error = np.sqrt(expected * (1 - expected) / visits)
    assert (np.abs(counts / visits - expected) <= 4.5 * error + 1e-12).all()
    assert counts[expected == 0].sum() == 0


def test_the_night_begins_awake_and_reaches_every_stage():
    stages = [epoch.stage for epoch in epochs(1500, rate_hz=20.0)]
    assert stages[0] == "W"
    assert set(stages) == set(STAGES)


@pytest.mark.parametrize("rate_hz", [100.0, 128.0, 256.0])
def test_welch_finds_the_powers_that_were_drawn(rate_hz):
    found, drawn = [], []
    for epoch in epochs(150, rate_hz=rate_hz, seed=5):
        assert epoch.samples.shape == (30 * rate_hz, 1)
        assert epoch.samples.dtype == np.float32
        frequency, density = welch(
            epoch.samples[:, 0].astype(np.float64), rate_hz, nperseg=round(2.56 * rate_hz)
        )
        found.append([density[(frequency >= lo) & (frequency <= hi)].mean() for lo, hi in BANDS_HZ])
        drawn.append(epoch.band_powers_uv2_per_hz)
    ratio = np.log(np.array(found) / np.array(drawn))
    # One epoch's estimate scatters by 5 to 13 %; its mean over 150 must not be off.
    np.testing.assert_allclose(ratio.mean(axis=0), 0.0, atol=0.05)
    assert ratio.std(axis=0).max() < 0.25


def test_powers_have_the_stages_mean_and_spread():
    statistics = load_sleep_statistics()
    for index, stage in enumerate(STAGES):
        nights = (simulate_night(rate_hz=20.0, seed=s, first_stage=stage) for s in range(300))
        first = [next(night) for night in nights]
        assert {epoch.stage for epoch in first} == {stage}
        drawn = np.log([[*e.band_powers_uv2_per_hz, e.variance_uv2] for e in first])
        spread = np.sqrt(np.diag(statistics.log_power_covariance[index]))
        off = (drawn.mean(axis=0) - statistics.log_power_mean[index]) / spread
        assert np.abs(off).max() < 4 / np.sqrt(300)
        np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.2)


def test_one_sleeper_varies_less_than_all_together():
    spread = np.sqrt(np.diag(load_sleep_statistics().log_power_covariance[2]))
    night = [e for e in epochs(800, rate_hz=20.0, seed=2) if e.stage == "N2"]
    within = np.log([e.band_powers_uv2_per_hz for e in night]).std(axis=0)
    assert (within < spread[:5]).all()
    assert (within > 0.3 * spread[:5]).all()


def test_the_variance_is_what_was_drawn_where_the_bands_allow_it():
    ratio = [np.log(e.samples.var() / e.variance_uv2) for e in epochs(200, seed=6)]
    assert abs(np.median(ratio)) < 0.1


def test_epochs_join_without_a_click():
    night = epochs(400, seed=8)
    steps = []
    for before, after in pairwise(night):
        inside = np.concatenate([np.diff(before.samples[:, 0]), np.diff(after.samples[:, 0])])
        steps.append((after.samples[0, 0] - before.samples[-1, 0]) / inside.std())
    assert np.std(steps) < 1.6  # a border's step is a step like any other: 1 by construction
    assert np.abs(steps).max() < 6.0


def test_the_seed_decides_everything():
    once, again, other = epochs(5, seed=3), epochs(5, seed=3), epochs(5, seed=4)
    for a, b, c in zip(once, again, other, strict=True):
        assert a.stage == b.stage
        np.testing.assert_array_equal(a.samples, b.samples)
        assert np.abs(a.samples - c.samples).max() > 1.0


def test_stages_do_not_depend_on_the_rate():
    assert [e.stage for e in epochs(200, rate_hz=20.0)] == [e.stage for e in epochs(200)]


def test_a_low_rate_leaves_nothing_above_its_half():
    epoch = epochs(1, rate_hz=50.0)[0]
    assert epoch.samples.shape == (1500, 1)
    assert np.isfinite(epoch.samples).all()


@pytest.mark.parametrize(
    "wrong", [{"rate_hz": 5.0}, {"rate_hz": float("nan")}, {"first_stage": "N4"}]
)
def test_what_cannot_be_simulated_is_refused(wrong):
    with pytest.raises(ContractError):
        epochs(1, **wrong)
