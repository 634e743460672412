"""Conditioning is a pure function of one window."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.errors import PreprocessError
from edge_app.preprocess.gait.window import gyr_rms_radps
from edge_app.preprocess.resample import fill_missing, resample_window


@pytest.mark.parametrize(("n_from", "n_to"), [(1500, 3000), (7680, 3000), (208, 200)])
def test_resampling_keeps_a_slow_wave_and_an_offset(n_from: int, n_to: int) -> None:
    def wave(n: int) -> np.ndarray:
        return (40 + 10 * np.cos(2 * np.pi * 3 * np.arange(n) / n))[:, None].astype(np.float32)

    got = resample_window(wave(n_from), n_to)
    assert got.shape == (n_to, 1)
    assert got.dtype == np.float32
    inner = slice(n_to // 20, -n_to // 20)
    np.testing.assert_allclose(got[inner], wave(n_to)[inner], atol=0.05)
    np.testing.assert_allclose(got, wave(n_to), atol=1.0)


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    fast = np.sin(2 * np.pi * 100 * np.arange(7680) / 256)[:, None].astype(np.float32)
    got = resample_window(fast, 3000)  # 100 Hz lies above the new Nyquist of 50 Hz
    assert float(np.sqrt(np.mean(got[100:-100] ** 2))) < 0.01


def test_the_right_length_is_left_alone() -> None:
    samples = np.ones((10, 1), np.float32)
    assert resample_window(samples, 10) is samples


def test_missing_samples_lie_on_a_line() -> None:
    samples = np.array([[np.nan, 1], [2, np.inf], [np.nan, 3], [np.nan, 4], [5, 5]], np.float32)
    before = samples.copy()
    got = fill_missing(samples)
    assert got.tolist() == [[2, 1], [2, 2], [3, 3], [4, 4], [5, 5]]
    np.testing.assert_array_equal(samples, before)
    with pytest.raises(PreprocessError):
        fill_missing(np.full((4, 1), np.nan, np.float32))


def test_the_rms_of_a_known_rotation() -> None:
    n = np.arange(200)
    samples = np.zeros((200, 6), np.float32)
    samples[:, 4] = 2 + np.sin(2 * np.pi * n / 80)
    # mean of (2 + sin)^2 over two and a half periods, by the same sum in float64
    expected = np.sqrt(np.mean((2 + np.sin(2 * np.pi * n / 80)) ** 2))
    assert gyr_rms_radps(samples) == pytest.approx(expected, rel=1e-6)
