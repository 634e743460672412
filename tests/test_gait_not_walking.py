"""What is not walking gives no stride: simulated wheelchair, bed, restless and dangling legs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from edge_app.preprocess.gait.analyser import GaitAnalyser

RATE_HZ = 100.0
Motion = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def imu(angles_rad: np.ndarray, position_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a sensor feels that turns by (n, 3) xyz Euler angles and moves along (n, 3)."""
    turned = Rotation.from_euler("xyz", angles_rad)
    acceleration = np.gradient(np.gradient(position_m, axis=0), axis=0) * RATE_HZ**2
    force = turned.inv().apply(acceleration + np.array([0.0, 0.0, 9.81]))
    steps = (turned[:-1].inv() * turned[1:]).as_rotvec() * RATE_HZ
    rate = np.vstack([steps, steps[-1:]])
    noise = rng.standard_normal((len(force), 6)) * ([0.03] * 3 + [0.006] * 3)
    return (np.hstack([force, rate]) + noise).astype(np.float32)


def still(times_s):
    return np.zeros((len(times_s), 3)), np.zeros((len(times_s), 3))


def wheelchair(times_s):
    """Rolls at 0.8 m/s over a rough floor, with curves."""
    rng = np.random.default_rng(11)
    shake = gaussian_filter1d(rng.standard_normal((len(times_s), 6)), 1.5, axis=0)
    angles = shake[:, :3] * 0.01
    angles[:, 2] += 0.8 * np.sin(times_s / 4.0)
    position = shake[:, 3:] * 0.002
    position[:, 0] += 0.8 * times_s
    return angles, position


def bed(times_s):
    """Turns over every five seconds, to the side and back."""
    side = gaussian_filter1d((times_s // 5.0) % 2.0, 40.0) * np.radians(80.0)
    angles = np.column_stack([side, 0.3 * side, 0.2 * side])
    return angles, np.column_stack([0.3 * side, 0.2 * side, 0.05 * np.sin(2.0 * side)])


def dangling(times_s, *, hz: float, degrees: float):
    """A leg of 0.45 m swings to and fro below a seat."""
    swing = np.radians(degrees) * np.sin(2.0 * np.pi * hz * times_s)
    position = 0.45 * np.column_stack([np.sin(swing), 0.0 * swing, 1.0 - np.cos(swing)])
    return np.column_stack([0.0 * swing, -swing, 0.0 * swing]), position


def tapping(times_s, *, degrees: float):
    """Heel on the floor and toes up (positive), or toes on the floor and heel up, once a second."""
    phase = np.clip(np.sin(2.0 * np.pi * times_s), 0.0, 1.0) ** 2
    pitch = np.radians(degrees) * phase
    arm = 0.12 if degrees > 0.0 else -0.12
    position = np.column_stack([arm * np.cos(pitch), 0.0 * pitch, arm * np.sin(pitch)])
    return np.column_stack([0.0 * pitch, -pitch, 0.0 * pitch]), position


def pedalling(times_s):
    """A foot on a bed cycle, one turn a second."""
    angle = 2.0 * np.pi * times_s
    position = 0.1 * np.column_stack([np.cos(angle), 0.0 * angle, np.sin(angle)])
    return np.column_stack([0.0 * angle, 0.3 * np.sin(angle), 0.0 * angle]), position


def heel_slide(times_s):
    """A leg in bed draws up and stretches out by 0.2 m, flat on the sheet, resting in between."""
    away = 0.2 * np.cumsum(
        (np.floor(times_s) % 2.0 * -2.0 + 1.0) * np.sin(np.pi * times_s) ** 2 * 2.0 / RATE_HZ
    )
    tilt = np.radians(20.0) * away / 0.2
    return np.column_stack([0.0 * tilt, tilt, 0.0 * tilt]), np.column_stack(
        [away, 0.0 * away, 0.05 * np.sin(np.pi * away / 0.2)]
    )


@pytest.mark.parametrize(
    "motion",
    [
        still,
        wheelchair,
        bed,
        *(
            lambda t, hz=hz, d=d: dangling(t, hz=hz, degrees=d)
            for hz in (0.4, 0.6, 1.0)
            for d in (8.0, 15.0, 30.0, 45.0)
        ),
        lambda t: tapping(t, degrees=20.0),
        lambda t: tapping(t, degrees=-30.0),
        pedalling,
        heel_slide,
    ],
)
@pytest.mark.parametrize("mounting", [0, 1])
def test_no_stride(motion: Motion, mounting: int) -> None:
    rng = np.random.default_rng(mounting)
    times_s = np.arange(0.0, 40.0, 1.0 / RATE_HZ)
    samples = imu(*motion(times_s), rng)
    turned = Rotation.random(random_state=mounting).as_matrix().astype(np.float32)
    samples = np.hstack([samples[:, :3] @ turned.T, samples[:, 3:] @ turned.T])
    analyser = GaitAnalyser(RATE_HZ)
    assert analyser.push(times_s, samples) + analyser.finish() == []


@pytest.mark.parametrize("size", [0.05, 0.3, 1.0, 3.0, 10.0])
def test_noise_is_no_walk(size: float) -> None:
    rng = np.random.default_rng(5)
    samples = rng.standard_normal((6000, 6)).astype(np.float32) * size
    samples[:, 2] += 9.81
    analyser = GaitAnalyser(RATE_HZ)
    assert analyser.push(np.arange(6000) / RATE_HZ, samples) + analyser.finish() == []
