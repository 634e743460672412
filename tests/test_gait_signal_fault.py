"""What is wrong with a signal is told, on SIMULATED walks that are spoilt in known ways."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.preprocess.gait.analyser import GaitAnalyser
from edge_app.preprocess.gait.signal_fault import SignalFault, signal_fault
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import load_gait_rows

RATE_HZ = 100.0
G, DEGREES = 9.80665, float(np.degrees(1.0))


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return simulate_walk(load_gait_rows()[0], duration_s=40.0, rate_hz=RATE_HZ, seed=2)[0]


def without_gyro(samples):
    return np.hstack([samples[:, :3], np.full_like(samples[:, 3:], np.nan)])


def scaled(samples, acc, gyr):
    return samples * np.float32([acc] * 3 + [gyr] * 3)


SPOILT = {
    SignalFault.DEAD: [np.zeros_like, lambda s: np.hstack([0 * s[:, :3], s[:, 3:]])],
    SignalFault.CONSTANT: [lambda s: np.repeat(s[:1], len(s), axis=0)],
    SignalFault.NO_GYRO: [without_gyro, lambda s: scaled(s, 1.0, 0.0)],
    SignalFault.ACC_UNIT: [lambda s: scaled(s, 1.0 / G, 1.0), lambda s: scaled(s, 1000.0, 1.0)],
    SignalFault.GYR_UNIT: [lambda s: scaled(s, 1.0, DEGREES)],
    SignalFault.SATURATED: [
        lambda s: np.clip(s, [-160.0] * 3 + [-4.36] * 3, [160.0] * 3 + [4.36] * 3)
    ],
}


@pytest.mark.parametrize(
    ("fault", "spoil"), [(fault, spoil) for fault, spoils in SPOILT.items() for spoil in spoils]
)
def test_fault_is_named(samples, fault, spoil):
    walking = samples[1500:1900]
    assert signal_fault(walking, RATE_HZ) is None
    assert signal_fault(spoil(walking).astype(np.float32), RATE_HZ) is fault


def test_losses_are_no_fault_of_the_sensor(samples):
    holed = samples[1500:1900].copy()
    holed[:360] = np.nan
    assert signal_fault(holed, RATE_HZ) is None
    assert signal_fault(np.zeros((0, 6), np.float32), RATE_HZ) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_axis_is_told(samples, axis):
    times_s = np.arange(len(samples)) / RATE_HZ
    right, mirrored = GaitAnalyser(RATE_HZ), GaitAnalyser(RATE_HZ)
    right.push(times_s, samples)
    assert not right.is_mirrored
    sign = np.ones(6, np.float32)
    sign[[axis, axis + 3]] = -1.0
    mirrored.push(times_s, samples * sign)
    assert mirrored.is_mirrored


def test_a_leg_that_dangles_is_no_mirrored_axis():
    """Its turning points look like rests, but the force there does not point up."""
    times_s = np.arange(6000) / RATE_HZ
    angle = np.radians(40.0) * np.sin(2.0 * np.pi * 0.5 * times_s)
    sin, cos, zero = np.sin(angle), np.cos(angle), np.zeros_like(angle)
    position = 0.45 * np.column_stack([-sin, zero, -cos])  # below the knee, x forward, z up
    force = np.gradient(np.gradient(position, times_s, axis=0), times_s, axis=0)
    x, z = force[:, 0], force[:, 2] + 9.81
    seen = np.column_stack([cos * x - sin * z, zero, sin * x + cos * z])
    rate = np.column_stack([zero, np.gradient(angle, times_s), zero])
    noise = 0.02 * np.random.default_rng(1).standard_normal((6000, 6))
    analyser = GaitAnalyser(RATE_HZ)
    analyser.push(times_s, (np.hstack([seen, rate]) + noise).astype(np.float32))
    assert not analyser.is_mirrored
    assert analyser.finish() == []
