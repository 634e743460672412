"""Windows are exact, independent of chunk size, and honest about what never came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.contracts import Chunk, StreamInfo, Window
from edge_app.errors import ConfigError, ContractError, PacketError
from edge_app.windowing import MAX_GAP_WINDOWS, SingleFrames, SlidingWindows, n_samples

RATE_HZ = 100.0


def info(rate_hz: float = RATE_HZ, jitter_s: float = 0.0) -> StreamInfo:
    return StreamInfo("s", "eeg", rate_hz, ("c",), ("uV",), "test", True, jitter_s=jitter_s)


def counting(n: int) -> np.ndarray:
    """Sample i has the value i, so a window's place can be read off its values."""
    return np.arange(n, dtype=np.float32)[:, None]


def cut(
    times_s: np.ndarray,
    samples: np.ndarray,
    sizes: list[int],
    *,
    length: int = 20,
    hop: int = 5,
    jitter_s: float = 0.0,
) -> tuple[list[Window], SlidingWindows]:
    """Push the signal in chunks of the given sizes, the last one repeated."""
    windower = SlidingWindows(info(jitter_s=jitter_s), length_samples=length, hop_samples=hop)
    windows, start, turn = [], 0, 0
    while start < len(times_s):
        size = sizes[min(turn, len(sizes) - 1)]
        stop = min(start + size, len(times_s))
        windows += windower.push(Chunk(times_s[start:stop].copy(), samples[start:stop].copy()))
        start, turn = stop, turn + 1
    return windows + windower.flush(), windower


def same(left: list[Window], right: list[Window]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
        assert (a.index, a.start_s, a.end_s, a.missing_fraction, a.invalid_fraction) == (
            b.index,
            b.start_s,
            b.end_s,
            b.missing_fraction,
            b.invalid_fraction,
        )
        assert (a.discontinuity, a.off_rate) == (b.discontinuity, b.off_rate)


@pytest.mark.parametrize(
    ("duration_s", "rate_hz", "expected"),
    [(0.29, 100, 29), (2.3, 100, 230), (30, 256, 7680), (2.0, 104, 208), (0.5, 128, 64)],
)
def test_a_duration_becomes_the_exact_number_of_samples(
    duration_s: float, rate_hz: float, expected: int
) -> None:
    assert n_samples(duration_s, rate_hz) == expected


@pytest.mark.parametrize(
    ("duration_s", "rate_hz"),
    [(0.5, 62.5), (1.0, 33.3), (0.0, 100), (-1, 100), (float("nan"), 100), (float("inf"), 1)],
)
def test_a_duration_that_is_no_whole_number_of_samples_is_refused(
    duration_s: float, rate_hz: float
) -> None:
    with pytest.raises(ConfigError, match="no whole number of samples"):
        n_samples(duration_s, rate_hz)


@pytest.mark.parametrize("chunk", [1, 7, 50, 333, 10_000])
@pytest.mark.parametrize(("length", "hop"), [(20, 5), (20, 20), (200, 50), (1, 1), (7, 3)])
def test_windows_lie_where_arithmetic_says(chunk: int, length: int, hop: int) -> None:
    n = 1003
    windows, windower = cut(
        5.0 + np.arange(n) / RATE_HZ, counting(n), [chunk], length=length, hop=hop
    )
    assert len(windows) == (n - length) // hop + 1 == windower.counts.windows
    for k, window in enumerate(windows):
        assert window.index == k
        assert window.samples[:, 0].tolist() == list(range(k * hop, k * hop + length))
        assert window.start_s == pytest.approx(5.0 + k * hop / RATE_HZ, abs=1e-9)
        assert window.end_s == pytest.approx(window.start_s + length / RATE_HZ, abs=1e-9)
        assert window.newest_s == pytest.approx(5.0 + (k * hop + length - 1) / RATE_HZ, abs=1e-9)
        assert not window.samples.flags.writeable


def test_empty_chunks_change_nothing() -> None:
    windower = SlidingWindows(info(), length_samples=4, hop_samples=4)
    empty = Chunk(np.empty(0), np.empty((0, 1), np.float32))
    assert windower.push(empty) == []
    first = windower.push(Chunk(np.arange(2) / RATE_HZ, counting(2)))
    assert first == []
    assert windower.push(empty) == []
    (window,) = windower.push(Chunk((2 + np.arange(2)) / RATE_HZ, counting(4)[2:]))
    assert window.samples[:, 0].tolist() == [0, 1, 2, 3]


def test_a_gap_keeps_the_grid_and_is_counted() -> None:
    kept = [i for i in range(100) if not 30 <= i < 37]
    times_s, samples = np.arange(100)[kept] / RATE_HZ, counting(100)[kept]
    windows, windower = cut(times_s, samples, [11], length=20, hop=20)
    assert [w.missing_fraction for w in windows] == [0.0, 7 / 20, 0.0, 0.0, 0.0]
    assert windower.counts.gaps == 1
    assert windower.counts.missing_samples == 7
    assert np.isnan(windows[1].samples[10:17, 0]).all()
    assert windows[1].samples[17:, 0].tolist() == [37, 38, 39]
    assert windows[2].samples[0, 0] == 40
    assert windows[2].start_s == pytest.approx(0.4)


def test_a_silence_of_several_windows_gives_each_of_them_as_missing() -> None:
    kept = [*range(10), *range(95, 120)]
    windows, _ = cut(np.arange(120)[kept] / RATE_HZ, counting(120)[kept], [35], length=20, hop=20)
    fractions = [w.missing_fraction for w in windows]
    assert fractions == [0.5, 1.0, 1.0, 1.0, 15 / 20, 0.0]


def test_not_finite_samples_are_told_apart_from_missing_ones() -> None:
    samples = counting(40)
    samples[[3, 4]] = np.nan
    samples[5] = np.inf
    windows, _ = cut(np.arange(40) / RATE_HZ, samples, [7], length=20, hop=20)
    assert (windows[0].missing_fraction, windows[0].invalid_fraction) == (0.0, 3 / 20)
    assert (windows[1].missing_fraction, windows[1].invalid_fraction) == (0.0, 0.0)


def test_values_too_large_to_square_are_not_taken_for_invalid() -> None:
    samples = np.full((20, 1), 3e38, np.float32)
    (window,), _ = cut(np.arange(20) / RATE_HZ, samples, [20])
    assert window.invalid_fraction == 0.0


@pytest.mark.parametrize("step_s", [-3.0, -0.02, MAX_GAP_WINDOWS * 0.2 + 1.0])
def test_a_jump_of_the_clock_starts_a_new_grid(step_s: float) -> None:
    times_s = np.concatenate([np.arange(25), 24 + step_s * RATE_HZ + np.arange(25)]) / RATE_HZ
    windows, windower = cut(times_s, counting(50), [50], length=20, hop=20)
    assert [w.discontinuity for w in windows] == [False, True]
    assert [w.index for w in windows] == [0, 0]
    assert windows[1].samples[0, 0] == 25
    assert windower.counts.discontinuities == 1
    assert windower.counts.abandoned_samples == 5


def test_stated_jitter_is_no_gap() -> None:
    rng = np.random.default_rng(1)
    times_s = np.arange(1000) / RATE_HZ + rng.uniform(0, 0.018, 1000)
    _, strict = cut(times_s, counting(1000), [10])
    windows, lenient = cut(times_s, counting(1000), [10], jitter_s=0.02)
    assert strict.counts.gaps > 0
    assert (lenient.counts.gaps, lenient.counts.discontinuities) == (0, 0)
    assert len(windows) == (1000 - 20) // 5 + 1


def test_a_clock_a_little_off_the_nominal_rate_is_no_gap() -> None:
    times_s = np.arange(5000) / 99.0
    windows, windower = cut(times_s, counting(5000), [13])
    assert windower.counts.gaps == 0
    assert len(windows) == (5000 - 20) // 5 + 1
    assert windows[-1].start_s == pytest.approx(times_s[(len(windows) - 1) * 5])


def test_a_window_comes_with_the_chunk_that_completes_it_even_after_a_gap() -> None:
    windower = SlidingWindows(info(), length_samples=20, hop_samples=20)
    assert windower.push(Chunk(np.arange(5) / RATE_HZ, counting(5))) == []
    late = Chunk((15 + np.arange(5)) / RATE_HZ, counting(5))  # 5 to 14 never came
    assert [w.missing_fraction for w in windower.push(late)] == [0.5]


@given(
    lost=st.lists(st.integers(1, 398), max_size=40, unique=True),
    jump_at=st.one_of(st.none(), st.integers(1, 300)),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=12),
    clock=st.floats(0.9, 1.1),
    n=st.integers(380, 400),
    jitter_seed=st.one_of(st.none(), st.integers(0, 99)),
)
def test_any_chunking_gives_the_same_windows(
    lost: list[int],
    jump_at: int | None,
    sizes: list[int],
    clock: float,
    n: int,
    jitter_seed: int | None,
) -> None:
    kept = [i for i in range(n) if i not in set(lost)]
    times_s = np.arange(n)[kept] / RATE_HZ * clock
    if jitter_seed is not None:
        times_s += np.random.default_rng(jitter_seed).uniform(0, 0.012, len(kept))
    if jump_at is not None:
        times_s[jump_at:] -= 1.0
    samples = counting(400)[kept]
    whole, first = cut(times_s, samples, [len(kept)])
    parts, second = cut(times_s, samples, sizes)
    same(whole, parts)
    assert first.counts == second.counts


@pytest.mark.parametrize(
    ("keep_every", "repeat", "off"), [(1, 1, False), (2, 1, True), (1, 2, True)]
)
def test_samples_at_another_rate_than_the_nominal_are_told(
    keep_every: int, repeat: int, off: bool
) -> None:
    """Every other sample lost, or each sent twice, hides in the jitter of single steps."""
    times_s = np.repeat(np.arange(0, 1000, keep_every) / RATE_HZ, repeat)
    windows, windower = cut(
        times_s, counting(len(times_s)), [10], length=200, hop=200, jitter_s=0.02
    )
    assert windows
    assert {window.off_rate for window in windows} == {off}
    assert windower.counts.off_rate == (len(windows) if off else 0)


def test_a_stamp_that_is_no_number_is_a_fault_of_the_packet() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(PacketError, match="finite"):
            Chunk(np.array([0.0, bad]), counting(2))


def test_frames_are_windows_of_one_each() -> None:
    windower = SingleFrames(StreamInfo("v", "video", 25.0, ("rgb",), ("rgb8",), "test", True))
    frames = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 5, 3), np.uint8)
    windows = windower.push(Chunk(np.array([0.0, 0.04, 0.2]), frames))
    assert [w.samples.shape for w in windows] == [(1, 4, 5, 3)] * 3
    assert [int(w.samples[0, 0, 0, 0]) for w in windows] == [0, 1, 2]
    assert [w.end_s for w in windows] == pytest.approx([0.04, 0.08, 0.24])
    assert not any(w.missing_fraction or w.discontinuity for w in windows)
    (back,) = windower.push(Chunk(np.array([0.1]), frames[:1]))
    assert back.discontinuity


@pytest.mark.parametrize(("length", "hop"), [(0, 1), (5, 0), (5, 6)])
def test_impossible_windows_are_refused(length: int, hop: int) -> None:
    with pytest.raises(ConfigError):
        SlidingWindows(info(), length_samples=length, hop_samples=hop)


def test_a_window_cannot_be_longer_than_its_time() -> None:
    with pytest.raises(ContractError):
        Window(0, 1.0, 1.0, RATE_HZ, counting(1))
