"""The simulated foot: true to its row, continuous, like real recordings, the same by seed."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid
from scipy.signal import find_peaks
from scipy.spatial.transform import Rotation

from edge_app.errors import ContractError
from edge_app.simulation.foot_imu import _Gait, simulate_bouts, simulate_walk
from edge_app.simulation.foot_motion import foot_motion
from edge_app.simulation.gait_parameters import load_gait_rows

RATE_HZ = 100.0
ROWS = load_gait_rows()
EACH_ROW = pytest.mark.parametrize("row", range(len(ROWS)))


def walked(parameters, seed=3):
    """Return strides of one straight walk and their noise-free motion at 2 kHz."""
    strides = _Gait(parameters, np.random.default_rng(seed)).strides("walking", 0.0)
    times_s = np.arange(0.0, strides.end_s[-1], 1 / 2000)
    return strides, times_s, foot_motion(strides, times_s)


def walking_parts(samples, walking):
    """Return the straight walks of a recording, each at least 10 s long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], walking.astype(int), [0]])))
    parts = [samples[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [part for part in parts if len(part) > 10 * RATE_HZ]


@EACH_ROW
def test_stride_time_is_the_rows(row):
    parameters = ROWS[row]
    samples, walking = simulate_walk(parameters, duration_s=1000, rate_hz=RATE_HZ, seed=row)
    steps = []
    for part in walking_parts(samples, walking):
        # Once a stride, at push-off, the foot turns fastest toe down.
        distance = int(0.55 * parameters.stride_time_s * RATE_HZ)
        fastest = -np.quantile(part[:, 4], 0.001)
        peaks, _ = find_peaks(-part[:, 4], height=0.45 * fastest, distance=distance)
        steps.append(np.diff(peaks) / RATE_HZ)
    assert np.median(np.concatenate(steps)) == pytest.approx(parameters.stride_time_s, rel=0.04)
    strides = sum(len(step) for step in steps)
    assert strides > 300
    assert sum(step.sum() for step in steps) / strides == pytest.approx(
        parameters.stride_time_s, rel=0.02
    )


@EACH_ROW
def test_stride_time_by_autocorrelation(row):
    parameters = replace(ROWS[row], stride_time_sd_s=0.01)
    samples, walking = simulate_walk(parameters, duration_s=120, rate_hz=RATE_HZ, seed=row)
    part = max(walking_parts(samples, walking), key=len)[:, 4].astype(np.float64)
    part -= part.mean()
    correlation = np.correlate(part, part, "full")[len(part) :]
    lags = np.arange(1, len(part)) / RATE_HZ
    sensible = (lags > 0.6 * parameters.stride_time_s) & (lags < 1.5 * parameters.stride_time_s)
    found = lags[sensible][np.argmax(correlation[sensible])]
    assert found == pytest.approx(parameters.stride_time_s, rel=0.02)


@EACH_ROW
def test_stride_length_by_double_integration_between_foot_flats(row):
    parameters = ROWS[row]
    strides, times_s, motion = walked(parameters)
    lengths, heights = [], []
    for k in range(len(strides.start_s)):
        at = motion.stride == k
        speed = cumulative_trapezoid(motion.acceleration_mps2[at], times_s[at], axis=0, initial=0)
        way = cumulative_trapezoid(speed, times_s[at], axis=0, initial=0)
        np.testing.assert_allclose(speed[-1], 0.0, atol=0.03)  # zero velocity at foot-flat
        assert abs(way[-1, 2]) < 0.02  # and back on the floor
        lengths.append(way[-1, 0])
        heights.append(way[:, 2].max())
    np.testing.assert_allclose(lengths, strides.length_m, rtol=0.05)
    assert np.mean(lengths) == pytest.approx(
        parameters.stride_length_m,
        abs=4 * parameters.stride_length_sd_m / np.sqrt(len(lengths)),
    )
    assert np.median(heights) == pytest.approx(
        max(min(parameters.clearance_m, 0.35), np.min(heights)), abs=0.03
    )


@EACH_ROW
def test_phases_and_angles_are_the_rows(row):
    parameters = ROWS[row]
    strides, times_s, motion = walked(parameters)
    rate = np.gradient(motion.pitch_rad, times_s)
    swings, flats, toe_offs, strikes = [], [], [], []
    for k in range(len(strides.start_s)):
        at = np.flatnonzero(motion.stride == k)
        toe_off, strike = at[np.argmin(rate[at])], at[np.argmax(motion.pitch_rad[at])]
        swings.append((strike - toe_off) / len(at))
        flats.append(np.mean(np.abs(motion.rate_radps[at]).max(axis=1) < 1e-6))
        toe_offs.append(np.degrees(motion.pitch_rad[toe_off]))
        strikes.append(np.degrees(motion.pitch_rad[strike]))
    total = sum(parameters.phase_fractions)
    if parameters.heel_strike_angle_deg > 1:  # a flat landing has no peak of pitch
        assert np.mean(swings) == pytest.approx(parameters.swing_fraction / total, abs=0.02)
    assert np.mean(flats) == pytest.approx(parameters.foot_flat_fraction / total, abs=0.02)
    assert np.mean(toe_offs) == pytest.approx(parameters.toe_off_angle_deg, rel=0.08)
    assert np.mean(strikes) == pytest.approx(parameters.heel_strike_angle_deg, rel=0.12, abs=0.1)


def test_angular_rate_is_the_derivative_of_orientation():
    strides = _Gait(ROWS[1], np.random.default_rng(5)).strides("turning", 0.0)
    times_s = np.arange(0.0, strides.end_s[-1], 1 / 4000)
    motion = foot_motion(strides, times_s)
    swing = strides.swing_s[motion.stride]
    u = np.clip((times_s - strides.toe_off_s[motion.stride]) / swing, 0, 1)
    heading_rate = strides.turn_rad[motion.stride] * 30 * u**2 * (1 - u) ** 2 / swing
    heading = Rotation.from_rotvec(
        np.outer(cumulative_trapezoid(heading_rate, times_s, initial=0), [0, 0, 1])
    )
    attitude = heading.as_matrix() @ motion.rotation
    turned = np.gradient(attitude, times_s, axis=0)
    spin = np.einsum("nji,njk->nik", attitude, turned)
    rate = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], axis=1)
    np.testing.assert_allclose(rate[1:-1], motion.rate_radps[1:-1], atol=0.03)
    assert abs(strides.turn_rad.sum()) == pytest.approx(np.pi)


def test_standing_shows_gravity_and_nothing_else():
    for seed in range(5):
        first = next(simulate_bouts(ROWS[seed], rate_hz=RATE_HZ, seed=seed))
        assert first.activity == "standing"
        force = np.linalg.norm(first.samples[:, :3], axis=1)
        assert force.mean() == pytest.approx(9.81, abs=0.12)  # bias of three axes, 0.03 each
        assert np.abs(first.samples[:, 3:]).max() < 0.06


def test_bouts_join_without_a_step():
    bouts = list(islice(simulate_bouts(ROWS[0], rate_hz=4000.0, seed=1), 6))
    assert [bout.activity for bout in bouts] == [
        "standing", "walking", "turning", "walking", "turning", "standing",
    ]  # fmt: skip
    for before, after in pairwise(bouts):
        step = np.abs(after.samples[0] - before.samples[-1])
        assert step[:3].max() < 0.6  # a quarter millisecond of movement, and noise of 0.03
        assert step[3:].max() < 0.1


def test_stream_time_does_not_slip_at_rates_that_do_not_divide_strides():
    seconds = {}
    for rate_hz in (50.0, 104.0, 128.0):
        bouts = islice(simulate_bouts(ROWS[4], rate_hz=rate_hz, seed=9), 40)
        seconds[rate_hz] = sum(len(bout.samples) for bout in bouts) / rate_hz
    # Noise takes other draws at other rates, so the walks differ; the mean bout does not.
    assert all(600 < value < 1500 for value in seconds.values())


def test_the_seed_decides_everything():
    once, mask = simulate_walk(ROWS[2], duration_s=60, rate_hz=104.0, seed=7)
    again, _ = simulate_walk(ROWS[2], duration_s=60, rate_hz=104.0, seed=7)
    other, _ = simulate_walk(ROWS[2], duration_s=60, rate_hz=104.0, seed=8)
    assert once.shape == (6240, 6)
    assert once.dtype == np.float32
    assert mask.shape == (6240,)
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 1.0


def test_a_walk_is_its_bouts_one_after_the_other():
    samples, walking = simulate_walk(ROWS[2], duration_s=90, rate_hz=RATE_HZ, seed=4)
    bouts = list(islice(simulate_bouts(ROWS[2], rate_hz=RATE_HZ, seed=4), 6))
    np.testing.assert_array_equal(samples, np.concatenate([b.samples for b in bouts])[:9000])
    expected = np.concatenate([np.full(len(b.samples), b.activity == "walking") for b in bouts])
    np.testing.assert_array_equal(walking, expected[:9000])


def test_mounting_and_bias_do_not_tell_the_class():
    directions = [
        next(simulate_bouts(row, rate_hz=RATE_HZ, seed=11)).samples.mean(axis=0) for row in ROWS
    ]
    for direction in directions[1:]:
        np.testing.assert_allclose(direction, directions[0], atol=0.02)


def test_samples_are_counts_of_a_sixteen_bit_device():
    samples, _ = simulate_walk(ROWS[0], duration_s=30, rate_hz=RATE_HZ, seed=0)
    for columns, limit in ((slice(0, 3), 16 * 9.80665), (slice(3, 6), np.radians(2000))):
        counts = samples[:, columns].astype(np.float64) / (limit / 32768)
        np.testing.assert_allclose(counts, np.rint(counts), atol=0.01)
        assert np.abs(counts).max() <= 32768


def test_resembles_real_healthy_feet(data_dir):
    """Rms of rate, spread of force and the swing's peaks lie within half to twice the real ones."""
    real = []
    for path in sorted((data_dir / "gait" / "imu_walks").glob("*_lf.txt")):
        events = json.loads(path.with_name(path.name.replace("_lf.txt", ".json")).read_text())
        first, last = events["LeftFootEvents"][1][0], events["LeftFootEvents"][5][0]
        real.append(figures(np.loadtxt(path, skiprows=2)[first:last, 1:7]))
    assert len(real) == 24
    simulated = []
    for seed, row in enumerate(ROWS[:4]):  # the robust
        samples, walking = simulate_walk(row, duration_s=60, rate_hz=RATE_HZ, seed=seed)
        simulated.append(figures(samples[walking]))
    ratio = np.median(simulated, axis=0) / np.median(real, axis=0)
    assert ((ratio > 0.5) & (ratio < 2.0)).all(), ratio


def figures(samples):
    rate, force = samples[:, 3:6], np.linalg.norm(samples[:, :3], axis=1)
    return [
        np.sqrt(np.mean(rate[:, 1] ** 2)),
        np.quantile(rate[:, 1], 0.99),
        -np.quantile(rate[:, 1], 0.01),
        force.std(),
        np.quantile(force, 0.999),
        samples[:, 0].mean(),
        samples[:, 2].mean(),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stride_time_s", 1200.0),
        ("swing_fraction", 30.0),
        ("toe_off_angle_deg", 50.0),
        ("stride_length_m", float("nan")),
        ("frailty", "pre-frail"),
    ],
)
def test_a_wrong_unit_or_label_is_refused(field, value):
    with pytest.raises(ContractError) as caught:
        replace(ROWS[0], **{field: value})
    assert caught.value.next_step
