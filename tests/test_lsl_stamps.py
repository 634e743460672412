"""Stamps without jitter, with every gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.contracts import Chunk, StreamInfo
from edge_app.sources.lsl_stamps import SLEW, ClockOffset, StampLine
from edge_app.windowing import SlidingWindows

RATES_HZ = [100.0, 250.0, 1000.0]


def jitter(n: int, most_s: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-most_s, most_s, n)


def found_by_windowing(times_s: np.ndarray, rate_hz: float) -> tuple[int, int]:
    """(gaps, missing samples) that windowing sees, told of no jitter."""
    info = StreamInfo("eeg", "eeg", rate_hz, ("c",), ("uV",), "test", True)
    windower = SlidingWindows(info, length_samples=10, hop_samples=10)
    windower.push(Chunk(times_s, np.zeros((len(times_s), 1), np.float32)))
    assert windower.counts.discontinuities == 0
    return windower.counts.gaps, windower.counts.missing_samples


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("most_s", [0.001, 0.004, 0.01])
def test_jitter_goes_and_no_gap_comes(rate_hz: float, most_s: float) -> None:
    true_s = 5000.0 + np.arange(int(30 * rate_hz)) / rate_hz
    line = StampLine(rate_hz, 0.02)
    out_s = line.push(true_s + jitter(len(true_s), most_s))
    later = slice(int(5 * rate_hz), None)
    assert np.abs(out_s - true_s)[later].max() < 0.2 * most_s
    assert np.abs(out_s - true_s).max() <= 1.5 * most_s
    assert found_by_windowing(out_s, rate_hz) == (0, 0)
    assert (np.diff(out_s) > 0).all()
    assert line.jitter_rms_s == pytest.approx(most_s / np.sqrt(3.0), rel=0.3)


@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_a_crystal_that_is_off_is_followed(ppm: float) -> None:
    true_s = np.arange(60_000) / 100.0 * (1.0 + 1e-6 * ppm)
    line = StampLine(100.0, 0.02)
    out_s = line.push(true_s + jitter(len(true_s), 0.005))
    assert np.abs(out_s - true_s)[3000:].max() < 0.0005
    assert 1e6 * (100.0 / line.rate_hz - 1.0) == pytest.approx(ppm, abs=30.0)
    assert line.gaps == 0


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("lost", [3, 8, 30, 700])
@pytest.mark.parametrize("most_s", [0.0, 0.002])
def test_a_gap_is_kept_to_the_sample(rate_hz: float, lost: int, most_s: float) -> None:
    n = int(10 * rate_hz)
    index = np.r_[0:n, n + lost : 2 * n + lost]
    line = StampLine(rate_hz, 0.02)
    out_s = line.push(index / rate_hz + jitter(2 * n, most_s))
    assert line.lost_samples == lost
    assert found_by_windowing(out_s, rate_hz) == (line.gaps, lost)
    assert np.abs(out_s - index / rate_hz)[-n // 2 :].max() < 0.0005 + 0.2 * most_s


@pytest.mark.parametrize("most_s", [0.0, 0.002])
def test_single_lost_samples_are_found_below_the_declared_jitter(most_s: float) -> None:
    n, rng = 12_000, np.random.default_rng(3)
    kept = rng.random(n) >= 0.05
    kept[:300] = True
    true_s = np.arange(n) / 100.0
    line = StampLine(100.0, 0.02)
    out_s = line.push((true_s + jitter(n, most_s))[kept])
    lost = int((~kept).sum())
    assert abs(line.lost_samples - lost) <= 0.01 * lost + 1
    assert found_by_windowing(out_s, 100.0)[1] == line.lost_samples
    assert abs(out_s[-1] - true_s[kept][-1]) < 0.025


def test_one_late_stamp_is_no_gap() -> None:
    times_s = np.arange(3000) / 250.0
    times_s[2000] += 0.018
    line = StampLine(250.0, 0.02)
    out_s = line.push(times_s)
    assert line.gaps == 0
    assert abs(out_s[2000] - 2000 / 250.0) < 0.002


def test_time_that_goes_back_begins_a_new_line() -> None:
    true_s = np.r_[np.arange(500), np.arange(300, 800)] / 100.0
    line = StampLine(100.0, 0.02)
    out_s = line.push(true_s + jitter(1000, 0.002))
    assert line.back_jumps == 1
    assert out_s[499] - out_s[500] == pytest.approx(2.0, abs=0.01)


def test_exact_stamps_pass_unchanged_and_their_gaps_are_counted() -> None:
    times_s = np.r_[np.arange(100), np.arange(101, 200), np.arange(210, 300)] / 100.0
    line = StampLine(100.0, 0.0)
    out_s = np.concatenate([line.push(times_s[i : i + 7]) for i in range(0, len(times_s), 7)])
    np.testing.assert_array_equal(out_s, times_s)
    assert (line.gaps, line.lost_samples, line.jitter_rms_s) == (2, 11, 0.0)


def bursts(
    rate_hz: float, burst: int, seconds: float, *, late: float = 0.03, chunks: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(stamps, true times, push times) of an outlet whose pushes are late, a share of them.

    Every sample is stamped at its push; in chunks, the newest is and the others count back.
    """
    rng, n = np.random.default_rng(5), int(seconds * rate_hz) // burst * burst
    true_s = 1000.0 + np.arange(n) / rate_hz
    pushes = n // burst
    late_s = rng.uniform(0.0, 0.03, pushes) * (rng.random(pushes) < late)
    pushed_s = np.maximum.accumulate(true_s[burst - 1 :: burst] + late_s + 0.0001)
    back_s = np.arange(burst)[::-1] / rate_hz if chunks else 2e-5 * np.arange(burst)[::-1]
    stamps_s = np.repeat(pushed_s, burst) - np.tile(back_s, pushes)
    return stamps_s, true_s, np.repeat(pushed_s, burst)


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize(("rate_hz", "burst"), [(250.0, 1), (250.0, 5), (250.0, 12), (1000.0, 20)])
def test_late_bursts_are_no_gaps(rate_hz: float, burst: int, *, chunks: bool) -> None:
    stamps_s, true_s, _ = bursts(rate_hz, burst, 120.0, chunks=chunks)
    line = StampLine(rate_hz, 0.02)
    out_s = line.push(stamps_s)
    assert (line.gaps, line.lost_samples, line.back_jumps) == (0, 0, 0)
    assert found_by_windowing(out_s, rate_hz) == (0, 0)
    assert len(out_s) + line.n_held == len(stamps_s)
    settled = slice(int(10 * rate_hz), len(out_s))
    assert np.abs(out_s[settled] - true_s[settled]).max() < 0.008


def test_bursts_are_dated_before_their_push() -> None:
    stamps_s, true_s, pushed_s = bursts(250.0, 12, 60.0, late=1.0)
    line = StampLine(250.0, 0.02)
    out_s = line.push(stamps_s)
    settled = slice(2500, len(out_s))
    ahead_s = (out_s - pushed_s[: len(out_s)])[settled]
    assert np.percentile(ahead_s, 95) < 0.0
    assert ahead_s.max() < 0.005
    assert np.median(np.abs(out_s - true_s[: len(out_s)])[settled]) < 0.005


@pytest.mark.parametrize("lost", [10, 25, 50])
def test_a_loss_within_bursts_is_a_gap_to_a_few_samples(lost: int) -> None:
    stamps_s, _, _ = bursts(250.0, 5, 60.0)
    line = StampLine(250.0, 0.02)
    line.push(np.r_[stamps_s[:7500], stamps_s[7500 + lost :]])
    assert abs(line.lost_samples - lost) <= 2


def test_a_long_step_is_held_until_it_is_clear_what_it_was() -> None:
    exact_s = np.arange(5000) / 250.0
    lossy_s = np.r_[exact_s[:2000], exact_s[2010:]]
    late_s = exact_s.copy()
    late_s[2000:2010] = exact_s[2010]
    for times_s, lost in ((lossy_s, 10), (late_s, 0)):
        line = StampLine(250.0, 0.02)
        out_s = np.concatenate([line.push(times_s[i : i + 1]) for i in range(2000)])
        np.testing.assert_allclose(out_s, times_s[:2000], atol=1e-6)  # at once
        assert len(line.push(times_s[2000:2001])) == 0
        rest_s = line.push(times_s[2001:2080])
        assert line.n_held == 0
        assert len(rest_s) == 80
        assert (line.gaps, line.lost_samples) == (int(lost > 0), lost)
        np.testing.assert_allclose(rest_s[-50:], times_s[2030:2080], atol=1e-4)


wild = st.lists(st.floats(-50.0, 50.0, allow_subnormal=False), min_size=1, max_size=200)


@given(steps=wild, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_stamps_in_any_chunks_give_the_same(steps: list[float], sizes: list[int]) -> None:
    times_s = 1000.0 + np.cumsum(np.array(steps) * 0.01) + np.arange(len(steps)) / 100.0
    whole = StampLine(100.0, 0.02)
    out_s = whole.push(times_s)
    parted, parts, start = StampLine(100.0, 0.02), [], 0
    while start < len(times_s):
        for size in sizes:
            parts.append(parted.push(times_s[start : start + size]))
            start += size
    np.testing.assert_array_equal(np.concatenate(parts), out_s)
    assert np.isfinite(out_s).all()
    assert (parted.gaps, parted.lost_samples) == (whole.gaps, whole.lost_samples)
    assert len(out_s) + whole.n_held == len(times_s)


def test_a_new_clock_offset_is_taken_over_without_a_step() -> None:
    offset = ClockOffset(5.0)
    times_s = np.arange(400) / 100.0
    first = offset.apply(times_s[:100])
    offset.target_s = 5.01
    rest = np.concatenate([offset.apply(times_s[i : i + 10]) for i in range(100, 400, 10)])
    out_s = np.r_[first, rest]
    np.testing.assert_allclose(first, times_s[:100] + 5.0)
    steps = np.diff(out_s) * 100.0
    assert steps.max() <= 1.0 + SLEW + 1e-9
    np.testing.assert_allclose(out_s[-100:], times_s[-100:] + 5.01)
