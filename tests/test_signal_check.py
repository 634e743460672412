"""Two seconds of a sensor, judged: what is wrong with a signal is told in its own units."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.contracts import (
    IMU_CHANNELS,
    IMU_UNITS,
    UNIT_RGB8,
    VIDEO_CHANNELS,
    Array,
    Chunk,
    StreamInfo,
)
from edge_app.signal_check import SignalReport, report_signal

EEG = StreamInfo("eeg", "eeg", 250.0, ("Fpz",), ("uV",), "band", True)
IMU = StreamInfo("foot", "imu", 100.0, IMU_CHANNELS, IMU_UNITS, "sensor", True)
VIDEO = StreamInfo("face", "video", 30.0, VIDEO_CHANNELS, (UNIT_RGB8,), "camera", True)
RNG = np.random.default_rng(3)


def report(info: StreamInfo, samples: Array, times_s: Array | None = None) -> SignalReport:
    """Judge samples that come in chunks of seven."""
    if times_s is None:
        times_s = 1000.0 + np.arange(len(samples)) / info.rate_hz
    chunks = [Chunk(times_s[k : k + 7], samples[k : k + 7]) for k in range(0, len(samples), 7)]
    return report_signal(info, chunks)


def eeg(amplitude_uv: float = 20.0, mains_uv: float = 0.0, mains_hz: float = 50.0) -> Array:
    time_s = np.arange(500) / EEG.rate_hz
    wave = amplitude_uv * RNG.standard_normal(500)
    wave += mains_uv * np.sqrt(2) * np.sin(2 * np.pi * mains_hz * time_s)
    return wave.astype(np.float32)[:, None]


def foot() -> Array:
    still = np.array([0.0, 0.0, 9.81, 0.0, 0.0, 0.0])
    return (still + 0.02 * RNG.standard_normal((200, 6))).astype(np.float32)


def test_a_good_signal_is_told_with_its_pace() -> None:
    said = report(EEG, eeg())
    assert said.samples == 500
    assert said.rate_hz == pytest.approx(250.0)
    assert (said.lost_fraction, said.advice) == (0.0, "")
    assert said.jitter_s < 1e-9
    assert "uV rms" in said.quality
    assert "250 Hz measured, 0.0 % lost" in str(said)


def test_lost_samples_are_counted_and_do_not_change_the_measured_rate() -> None:
    samples, times_s = eeg(), 1000.0 + np.arange(500) / 250.0
    kept = np.ones(500, bool)
    kept[100:110] = kept[300:315] = False
    said = report(EEG, samples[kept], times_s[kept])
    assert said.lost_fraction == pytest.approx(25 / 500)
    assert said.rate_hz == pytest.approx(250.0)
    assert "closer" in said.advice


def test_jitter_is_measured() -> None:
    times_s = 1000.0 + np.arange(500) / 250.0
    times_s[1::2] += 0.001  # steps of 5 and 3 ms
    assert report(EEG, eeg(), times_s).jitter_s == pytest.approx(0.001, rel=0.01)


def test_another_rate_than_declared_is_told() -> None:
    said = report(EEG, eeg(), 1000.0 + np.arange(500) / 200.0)
    assert said.rate_hz == pytest.approx(200.0)
    assert "said to send 250 Hz" in said.advice


@pytest.mark.parametrize(
    ("samples", "quality", "advice"),
    [
        (np.zeros((500, 1), np.float32), "flat", "Put the headset on"),
        (np.full((500, 1), np.nan, np.float32), "no finite value", "electrodes"),
        (eeg(5.0, mains_uv=50.0), "99 % mains hum", "reference electrode"),
        (eeg(5.0, mains_uv=50.0, mains_hz=60.0), "99 % mains hum", "reference electrode"),
        (eeg(2000.0), "uV rms", "Fasten the electrodes"),
        (eeg(2e7), "uV rms", "Correct `unit`"),
    ],
)
def test_what_is_wrong_with_an_eeg(samples: Array, quality: str, advice: str) -> None:
    said = report(EEG, samples)
    assert quality in said.quality
    assert advice in said.advice


def test_an_imu_is_judged_by_gravity_and_its_gyroscope() -> None:
    said = report(IMU, foot())
    assert (said.quality, said.advice) == ("gravity 9.81 m/s^2, turning 0.03 rad/s", "")
    in_g = foot()
    in_g[:, :3] /= 9.81
    assert "not in m/s^2" in report(IMU, in_g).advice
    dead = foot()
    dead[:, 3:] = 0.0
    assert "gyroscope does not move" in report(IMU, dead).advice


def test_an_imu_without_a_gyroscope_says_so() -> None:
    acc = StreamInfo("chest", "imu", 100.0, IMU_CHANNELS[:3], IMU_UNITS[:3], "H10", True)
    assert report(acc, foot()[:, :3]).quality == "gravity 9.81 m/s^2, no gyroscope"


def picture(low: int, high: int) -> Array:
    return RNG.integers(low, high, (60, 48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("pictures", "advice"),
    [
        (picture(60, 200), ""),
        (picture(0, 8), "Uncover the lens"),
        (picture(240, 255), "away from the window"),
        (np.full((60, 48, 64, 3), 120, np.uint8), "focus the lens"),
    ],
)
def test_pictures_are_judged_by_light_and_sharpness(pictures: Array, advice: str) -> None:
    said = report(VIDEO, pictures)
    assert said.quality.startswith("64 x 48 px, brightness")
    assert advice in said.advice
    assert bool(said.advice) == bool(advice)


def test_a_slow_camera_is_measured_and_not_called_lossy() -> None:
    said = report(VIDEO, picture(60, 200), np.arange(60) / 5.0)
    assert said.rate_hz == pytest.approx(5.0)
    assert (said.lost_fraction, said.advice) == (0.0, "")


def test_too_few_samples_are_not_judged() -> None:
    assert "too few" in str(report(EEG, eeg()[:2]))
    assert report_signal(EEG, []).advice
