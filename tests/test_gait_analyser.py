"""Strides of SIMULATED walks: known truth, any chunks, losses, gains, biases, bounded memory."""

from __future__ import annotations

from dataclasses import astuple
from functools import cache
from itertools import pairwise
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly
from scipy.spatial.transform import Rotation

from edge_app.preprocess.gait.analyser import GaitAnalyser
from edge_app.preprocess.gait.grid import SampleGrid
from edge_app.preprocess.gait.stride import Stride, StrideFault
from edge_app.simulation import foot_imu
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import GaitParameters, load_gait_rows

ROWS = load_gait_rows()
FRAILEST = min(range(len(ROWS)), key=lambda i: ROWS[i].stride_length_m)


@cache
def walk(row: int, *, rate_hz: float = 100.0, duration_s: float = 60.0) -> np.ndarray:
    samples, _ = simulate_walk(ROWS[row], duration_s=duration_s, rate_hz=rate_hz, seed=row + 1)
    return samples


def analyse(samples: np.ndarray, rate_hz: float = 100.0, start_s: float = 0.0) -> list[Stride]:
    analyser = GaitAnalyser(rate_hz)
    found = analyser.push(start_s + np.arange(len(samples)) / rate_hz, samples)
    return found + analyser.finish()


def mean(strides: list[Stride], name: str) -> float:
    return float(np.mean([getattr(stride, name) for stride in strides if stride.accepted]))


def phases(person: GaitParameters) -> dict[str, float]:
    """As the simulator has them: no phase under 3 %, all four together 1."""
    flat, push, swing, load = np.maximum(person.phase_fractions, 0.03)
    return {
        name: value / (flat + push + swing + load)
        for name, value in zip(
            ("foot_flat_fraction", "push_fraction", "swing_fraction", "load_fraction"),
            (flat, push, swing, load),
            strict=True,
        )
    }


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_parameters_of_the_simulated_person_come_back(row):
    person = ROWS[row]
    samples, walking = simulate_walk(person, duration_s=200.0, rate_hz=100.0, seed=7)
    strides = analyse(samples)
    accepted = [stride for stride in strides if stride.accepted]
    n_straight = walking.sum() / 100.0 / person.stride_time_s
    assert 0.78 * n_straight < len(accepted) < 1.02 * n_straight
    sampling = 3.0 * person.stride_time_sd_s / np.sqrt(len(accepted) / 2.0)
    assert mean(strides, "stride_time_s") == pytest.approx(
        person.stride_time_s, abs=0.02 * person.stride_time_s + sampling
    )
    assert mean(strides, "stride_length_m") == pytest.approx(
        person.stride_length_m,
        rel=0.05,
        abs=3.0 * person.stride_length_sd_m / np.sqrt(len(accepted) / 2.0),
    )
    for name, fraction in phases(person).items():
        assert mean(strides, name) == pytest.approx(fraction, abs=0.06), name
    assert mean(strides, "heel_strike_angle_deg") == pytest.approx(
        person.heel_strike_angle_deg, abs=1.5
    )
    assert mean(strides, "toe_off_angle_deg") == pytest.approx(person.toe_off_angle_deg, abs=4.0)
    clearance_m = min(person.clearance_m, foot_imu.CLEARANCE_LIMIT_M)
    assert mean(strides, "clearance_m") == pytest.approx(clearance_m, abs=0.015)


def test_stride_holds_together():
    strides = analyse(walk(0))
    accepted = [stride for stride in strides if stride.accepted]
    assert len(accepted) > 20
    for stride in accepted:
        moments = (
            stride.heel_strike_s,
            stride.foot_flat_start_s,
            stride.foot_flat_end_s,
            stride.toe_off_s,
            stride.next_heel_strike_s,
            stride.end_s,
        )
        assert list(moments) == sorted(moments)
        parts = (
            stride.load_fraction,
            stride.foot_flat_fraction,
            stride.push_fraction,
            stride.swing_fraction,
        )
        assert sum(parts) == pytest.approx(1.0)
        assert stride.stance_fraction == pytest.approx(sum(parts[:3]))
        assert stride.stride_length_m <= stride.path_2d_m <= stride.path_3d_m
        assert stride.cadence_strides_per_min == pytest.approx(60.0 / stride.stride_time_s)
        assert stride.stride_speed_mps == stride.stride_length_m / stride.stride_time_s
    first = [stride for stride in strides if stride.rejected is StrideFault.FIRST_OF_BOUT]
    assert all(np.isnan(stride.stride_time_s) for stride in first)
    assert {stride.bout for stride in strides} == set(range(len(first)))


def assert_same(found: list[Stride], expected: list[Stride]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(astuple(one)[:-1], astuple(other)[:-1])
        assert one.rejected == other.rejected


def spoilt(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A walk with NaN samples, lost rows, a long gap and time that runs backwards."""
    rng = np.random.default_rng(seed)
    samples = walk(0, duration_s=40.0).copy()
    times_s = np.arange(len(samples)) / 100.0
    samples[rng.integers(0, len(samples), 60)] = np.nan
    samples[2000:2020] = np.nan
    kept = rng.random(len(samples)) > 0.01
    times_s[2600:] += 2.5
    times_s[3300:] -= 10.0
    return times_s[kept], samples[kept]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(0, 700), min_size=1, max_size=60))
def test_chunks_do_not_matter(seed, sizes):
    times_s, samples = spoilt(seed)
    whole = GaitAnalyser(100.0)
    expected = whole.push(times_s, samples) + whole.finish()
    assert len(expected) > 15
    analyser, found, start = GaitAnalyser(100.0), [], 0
    for size in sizes:
        found += analyser.push(times_s[start : start + size], samples[start : start + size])
        start += size
    found += analyser.push(times_s[start:], samples[start:]) + analyser.finish()
    assert_same(found, expected)
    assert analyser.is_mirrored == whole.is_mirrored


def test_one_sample_at_a_time():
    times_s, samples = spoilt(1)
    whole, single = GaitAnalyser(100.0), GaitAnalyser(100.0)
    expected = whole.push(times_s, samples) + whole.finish()
    found = []
    for i in range(len(times_s)):
        found += single.push(times_s[i : i + 1], samples[i : i + 1])
    assert_same(found + single.finish(), expected)


@pytest.mark.parametrize("seed", range(3))
def test_mounting_does_not_matter(seed):
    samples = walk(1)
    turned = Rotation.random(random_state=seed).as_matrix().astype(np.float32)
    expected = analyse(samples)
    found = analyse(np.hstack([samples[:, :3] @ turned.T, samples[:, 3:] @ turned.T]))
    assert [stride.rejected for stride in found] == [stride.rejected for stride in expected]
    for name in ("toe_off_s", "stride_length_m", "clearance_m", "turn_deg"):
        np.testing.assert_allclose(
            [getattr(stride, name) for stride in found],
            [getattr(stride, name) for stride in expected],
            atol=2e-2 if name == "turn_deg" else 2e-3,
        )


@pytest.mark.parametrize("row", [0, FRAILEST])
@pytest.mark.parametrize("rate_hz", [50.0, 52.0, 100.0, 104.0, 128.0, 200.0])
def test_rate_does_not_matter(row, rate_hz):
    fine = walk(row, rate_hz=400.0)
    expected = analyse(fine, 400.0)
    divisor = gcd(round(rate_hz), 400)
    samples = resample_poly(fine, round(rate_hz) // divisor, 400 // divisor, axis=0, padtype="line")
    found = analyse(samples.astype(np.float32), rate_hz)
    assert len(found) == pytest.approx(len(expected), abs=1)
    assert mean(found, "stride_time_s") == pytest.approx(mean(expected, "stride_time_s"), rel=0.02)
    assert mean(found, "stride_length_m") == pytest.approx(
        mean(expected, "stride_length_m"), rel=0.05
    )
    assert mean(found, "swing_fraction") == pytest.approx(
        mean(expected, "swing_fraction"), abs=0.03
    )


@pytest.mark.parametrize("gain", [0.95, 1.05])
def test_gain_and_bias_are_learnt_while_standing(gain):
    samples = walk(2)
    expected = analyse(samples)
    wrong = samples * np.float32([gain] * 3 + [1.0] * 3)
    wrong[:, 3:] += np.float32([0.1, -0.15, 0.2])
    found = analyse(wrong)
    assert [stride.rejected for stride in found] == [stride.rejected for stride in expected]
    np.testing.assert_allclose(
        [stride.stride_length_m for stride in found],
        [stride.stride_length_m for stride in expected],
        atol=0.02,
    )
    np.testing.assert_allclose(
        [stride.turn_deg for stride in found],
        [stride.turn_deg for stride in expected],
        atol=1.5,
    )


def test_knows_nothing_of_the_future():
    """What a walk has given so far stays, whatever comes after."""
    samples = walk(0)
    times_s = np.arange(len(samples)) / 100.0
    one, other = GaitAnalyser(100.0), GaitAnalyser(100.0)
    early = one.push(times_s[:3000], samples[:3000])
    late = other.push(times_s, samples)
    assert len(early) > 15
    assert_same(early, late[: len(early)])


def test_short_loss_is_bridged_and_a_long_one_rejects_its_stride():
    samples = walk(0)
    expected = analyse(samples)
    victim = next(stride for stride in expected[8:] if stride.accepted)
    start = round((victim.toe_off_s + 0.05) * 100.0)
    for n_lost, fault in ((3, None), (12, StrideFault.GAP)):
        holed = samples.copy()
        holed[start : start + n_lost] = np.nan
        found = analyse(holed)
        assert len(found) == len(expected)
        same = next(s for s in found if abs(s.toe_off_s - victim.toe_off_s) < 0.1)
        assert same.rejected == fault
        other = [s.rejected for s in found if s is not same]
        assert other == [s.rejected for s in expected if s is not victim]


def test_seconds_of_loss_end_the_bout():
    samples = walk(0)
    strides = analyse(samples)
    long = [stride for stride in strides if stride.bout == 0]
    middle = long[len(long) // 2]
    first, last = (round(t * 100.0) for t in (middle.toe_off_s, middle.toe_off_s + 3.0))
    holed = samples.copy()
    holed[first:last] = np.nan
    bouts = {stride.bout for stride in analyse(holed)}
    assert len(bouts) == len({stride.bout for stride in strides}) + 1


def test_fewer_than_five_strides_are_no_bout():
    samples = walk(0)
    fourth = [s for s in analyse(samples) if s.bout == 0][3]
    standing = np.repeat(samples[:1], 1000, axis=0)
    standing += np.float32(0.01) * np.random.default_rng(0).standard_normal(standing.shape).astype(
        np.float32
    )
    cut = round((fourth.end_s + 0.05) * 100.0)
    assert analyse(np.concatenate([samples[:cut], standing])) == []


def test_standing_gives_no_stride():
    samples, walking = simulate_walk(ROWS[0], duration_s=4.0, rate_hz=100.0, seed=3)
    assert not walking[:300].any()
    still = np.tile(samples[:300], (10, 1))
    assert analyse(still) == []


@pytest.mark.parametrize("kind", ["still", "noise", "nan", "constant", "huge"])
def test_memory_is_bounded(kind):
    rng = np.random.default_rng(0)
    block = {
        "still": np.tile(np.float32([0, 0, 9.81, 0, 0, 0]), (6000, 1))
        + rng.standard_normal((6000, 6)).astype(np.float32) * np.float32(0.01),
        "noise": rng.standard_normal((6000, 6)).astype(np.float32) * np.float32(8.0),
        "nan": np.full((6000, 6), np.nan, np.float32),
        "constant": np.ones((6000, 6), np.float32),
        "huge": np.full((6000, 6), 3e38, np.float32),
    }[kind]
    analyser = GaitAnalyser(100.0)
    for minute in range(5):
        times_s = (minute * 6000 + np.arange(6000)) / 100.0
        assert analyser.push(times_s, block) == []
        finder = analyser._finder
        assert len(finder._times_s) <= finder._kept
        assert len(finder._rests) <= 6
        assert finder._n_waiting <= finder._block
    assert analyser.finish() == []


def test_reset_forgets_and_finish_keeps_the_bout_number():
    samples = walk(0)
    times_s = np.arange(len(samples)) / 100.0
    analyser = GaitAnalyser(100.0)
    first = analyser.push(times_s, samples) + analyser.finish()
    again = analyser.push(times_s, samples) + analyser.finish()
    assert again[0].bout == first[-1].bout + 1
    analyser.reset()
    assert_same(analyser.push(times_s, samples) + analyser.finish(), first)


def test_grid_bridges_on_a_line():
    grid = SampleGrid(100.0)
    times_s = np.array([0.0, 0.01, 0.04, 0.05, 0.06])
    samples = np.tile(np.float32([[0], [1], [4], [np.nan], [6]]), (1, 6))
    runs = grid.push(times_s, samples)
    assert [run.restart for run in runs] == [True, False, False, False, False]
    whole = np.concatenate([run.samples[:, 0] for run in runs])
    np.testing.assert_allclose(whole, [0, 1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(np.concatenate([run.times_s for run in runs]), whole / 100.0)
    assert not any(run.lost.any() for run in runs)
    (late,) = grid.push(np.array([5.0]), samples[:1])
    assert late.restart


@pytest.mark.parametrize(("pause_s", "n_more"), [(1.2, 0), (5.0, 1)])
def test_short_pause_does_not_end_the_bout(pause_s, n_more):
    """Someone stands still in the middle of a walk and goes on."""
    samples = walk(0)
    strides = analyse(samples)
    middle = [stride for stride in strides if stride.bout == 0][10]
    here = round((middle.foot_flat_start_s + middle.foot_flat_end_s) / 2.0 * 100.0)
    standing = samples[here - 3 : here + 3].mean(axis=0)
    noise = np.random.default_rng(0).standard_normal((round(pause_s * 100.0), 6)) * 0.01
    paused = np.concatenate([samples[:here], (standing + noise).astype(np.float32), samples[here:]])
    found = analyse(paused)
    n_bouts = len({stride.bout for stride in strides})
    assert len({stride.bout for stride in found}) == n_bouts + n_more
    assert len(found) == len(strides)


def test_turns_are_walking_but_do_not_count():
    person = ROWS[0]
    samples, walking = simulate_walk(person, duration_s=90.0, rate_hz=100.0, seed=11)
    strides = analyse(samples)
    turning = [stride for stride in strides if stride.rejected is StrideFault.TURN]
    assert len(turning) >= 3
    for stride in turning:
        assert not walking[round(stride.toe_off_s * 100.0)]
        assert 30.0 < abs(stride.turn_deg) < 75.0  # half a turn in three to five strides
    for one, other in pairwise(strides):
        if StrideFault.TURN in (one.rejected, other.rejected):
            assert not one.accepted
            assert not other.accepted
    first, last = turning[0].toe_off_s, turning[-1].toe_off_s
    one_turn = [s.turn_deg for s in turning if s.toe_off_s - first < 8.0]
    assert last >= first
    assert abs(sum(one_turn)) == pytest.approx(180.0, abs=6.0)


finite_or_not = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(finite_or_not, min_size=6, max_size=6), min_size=1, max_size=40),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
)
def test_wild_input_gives_no_stride_and_no_error(rows, times_s):
    n = min(len(rows), len(times_s))
    analyser = GaitAnalyser(100.0)
    samples = np.tile(np.array(rows[:n], np.float32), (10, 1))
    regular_s = np.arange(len(samples)) / 100.0
    assert analyser.push(regular_s, samples) == []
    assert analyser.push(np.array(times_s[:n]), samples[:n]) == []
    assert analyser.push(np.empty(0), np.empty((0, 6), np.float32)) == []
    assert analyser.finish() == []
