"""The simulated sleeper: stages by the matrix, spectra by Welch, no clicks, the same by seed."""

from __future__ import annotations

from itertools import chain, islice, pairwise, repeat

import numpy as np
import pytest
from scipy.signal import welch

from edge_app.errors import ContractError
from edge_app.simulation.sleep_eeg import simulate_night
from edge_app.simulation.sleep_night import (
    STAGES,
    load_sleep_statistics,
    recent_stages,
    simulate_powers,
    simulate_stages,
    surroundings,
)

BANDS_HZ = ((0.5, 4), (4, 8), (8, 13), (13, 30), (30, 50))


def epochs(n, *, seed=1, rate_hz=100.0, **kwargs):
    return list(islice(simulate_night(rate_hz=rate_hz, seed=seed, **kwargs), n))


def powers_along(stages, *, seed):
    """Return the (n, 6) log powers simulated for given (n,) stages."""
    statistics, rng = load_sleep_statistics(), np.random.default_rng(seed)
    endless = chain(stages.tolist(), repeat(int(stages[-1])))
    night = simulate_powers(statistics, endless, rng)
    return np.array([logs for _, logs in islice(night, len(stages))])


def lag_one(nights):
    """Return (6,) correlation of neighbours of one stage, about the night's mean of that stage."""
    products, squares = np.zeros(6), np.zeros(6)
    for stages, logs in nights:
        for stage in np.unique(stages):
            own = logs[stages == stage]
            score = (logs - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
            pair = (stages[1:] == stage) & (stages[:-1] == stage)
            products += (score[1:] * score[:-1])[pair].sum(axis=0)
            squares += ((score[1:] ** 2 + score[:-1] ** 2) / 2)[pair].sum(axis=0)
    return products / squares


@pytest.fixture(scope="module")
def real(data_dir):
    with np.load(data_dir / "sleep" / "sleepedf_bandpower.npz") as archive:
        keys = [key[:-2] for key in archive.files if key.endswith("_x")]
        return [
            (archive[key + "_y"], np.log(archive[key + "_x"][:, :6].astype(float))) for key in keys
        ]


@pytest.fixture(scope="module")
def simulated(real):
    """The same stages, other powers: four simulated sleepers for each real night."""
    return [(real[i // 4][0], powers_along(real[i // 4][0], seed=i)) for i in range(4 * len(real))]


def test_stages_follow_the_matrices():
    expected = load_sleep_statistics().transitions
    drawn = np.array(list(islice(simulate_stages(expected, np.random.default_rng(0), 0), 60_000)))
    fade = np.exp(-1 / np.array([[2.0], [10.0]]))
    recent, memory = [], np.eye(5)[[0, 0]] / (1 - fade)
    for stage in drawn:  # the same memories, as a recursion
        memory = fade * memory + np.eye(5)[stage]
        recent.append(memory.argmax(axis=1))
    fast, slow = np.array(recent)[:-1].T
    counts = np.zeros((5, 5, 5, 5))
    np.add.at(counts, (fast, slow, drawn[:-1], drawn[1:]), 1)
    visits = counts.sum(axis=3, keepdims=True)
    seen = visits[..., 0] > 200
    error = np.sqrt(expected * (1 - expected) / np.maximum(visits, 1)) + 2 / np.maximum(visits, 1)
    found = counts / np.maximum(visits, 1)
    assert seen.sum() >= 12
    assert (np.abs(found - expected)[seen] <= 4.5 * error[seen]).all()
    assert counts[expected == 0].sum() == 0


def test_the_recent_stages_fade_with_time():
    assert recent_stages(np.array([3] * 30 + [2] * 3)).tolist() == [2, 3]
    assert recent_stages(np.array([3] * 30 + [2] * 20)).tolist() == [2, 2]
    assert recent_stages(np.array([3] * 5 + [-1] * 20)).tolist() == [3, 3]


def test_surroundings_by_hand():
    window = np.full(121, 2)
    np.testing.assert_array_equal(surroundings(window), np.zeros(20))
    window[61] = 3  # only the next epoch
    fast, slow = 1 - np.exp(-1 / 2), 1 - np.exp(-1 / 10)
    expected = np.zeros((4, 5))
    expected[2:, 3] = fast, slow
    np.testing.assert_allclose(surroundings(window), expected.ravel(), rtol=0.003)


def test_powers_of_a_stage_are_those_of_real_nights(real, simulated):
    for stage in range(5):
        a, b = (
            np.concatenate([logs[stages == stage] for stages, logs in nights])
            for nights in (real, simulated)
        )
        assert np.abs((b.mean(axis=0) - a.mean(axis=0)) / a.std(axis=0)).max() < 0.5
        np.testing.assert_allclose(b.std(axis=0), a.std(axis=0), rtol=0.35)


def test_an_epoch_resembles_the_next_as_in_real_nights(real, simulated):
    np.testing.assert_allclose(lag_one(simulated), lag_one(real), atol=0.12)


def test_nights_differ_as_real_nights_do(real, simulated):
    a, b = (
        np.std([logs[stages == 2].mean(axis=0) for stages, logs in nights if 2 in stages], axis=0)
        for nights in (real, simulated)
    )
    np.testing.assert_allclose(b, a, rtol=0.5)  # sixteen real nights


def test_slow_waves_grow_before_deep_sleep(real, simulated):
    rises = []
    for nights in (real, simulated):
        steps = []
        for stages, logs in nights:
            last = (stages[:-1] == 2) & (stages[1:] == 3)
            steps.append((logs[:-1][last] - logs[stages == 2].mean(axis=0))[:, 0])
        rises.append(np.concatenate(steps).mean())
    assert rises[0] > 0.5
    assert rises[1] == pytest.approx(rises[0], rel=0.3)


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
