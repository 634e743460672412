"""Histograms and thresholds: the worked example exactly, plain arithmetic, other libraries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_app.errors import ConfigError, PreprocessError
from edge_app.preprocess.segmentation.histogram import (
    clahe,
    entropy_bits,
    equalise,
    histogram,
    normalised_histogram,
)
from edge_app.preprocess.segmentation.pictures import to_eight_bits
from edge_app.preprocess.segmentation.thresholds import (
    adaptive_foreground,
    basic_global_threshold,
    foreground,
    otsu_threshold,
    otsu_variances,
)

COUNTS = (8, 7, 2, 6, 9, 4)
WITHIN = (3.1196, 1.5268, 0.5561, 0.4909, 0.9779, 2.2491)
BETWEEN = (0.0, 1.5928, 2.5635, 2.6287, 2.1417, 0.8705)
SIX_BY_SIX = np.repeat(np.arange(6), COUNTS).astype(np.uint8)[
    np.random.default_rng(3).permutation(36)
]
SIX_BY_SIX = SIX_BY_SIX.reshape(6, 6)

pictures = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 255)
)
few_levels = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from((0, 9, 10, 200, 255)),
)


def variances(levels: list[int], threshold: float) -> tuple[float, float]:
    """Variance within and between the classes, by their definitions, in fractions."""
    n, mean = len(levels), Fraction(sum(levels), len(levels))
    within = between = Fraction(0)
    for members in ([x for x in levels if x < threshold], [x for x in levels if x >= threshold]):
        if members:
            centre = Fraction(sum(members), len(members))
            within += sum((x - centre) ** 2 for x in members) / n
            between += len(members) * (centre - mean) ** 2 / n
    return float(within), float(between)


def test_otsus_table_of_the_worked_example() -> None:
    assert histogram(SIX_BY_SIX)[:6].tolist() == list(COUNTS)
    within, between = otsu_variances(np.array(COUNTS))
    assert tuple(np.round(within, 4)) == WITHIN
    assert tuple(np.round(between, 4)) == BETWEEN
    assert int(np.argmin(within)) == int(np.argmax(between)) == 3
    assert otsu_threshold(SIX_BY_SIX) == 3
    assert foreground(SIX_BY_SIX, 3).tolist() == [[x >= 3 for x in row] for row in SIX_BY_SIX]


@settings(max_examples=30, deadline=None)
@given(picture=few_levels | pictures)
def test_otsu_is_the_best_threshold_by_definition(picture: np.ndarray) -> None:
    levels = [int(x) for x in picture.ravel()]
    chosen = otsu_threshold(picture)
    if len(set(levels)) == 1:
        assert chosen == levels[0]
        return
    table = {t: variances(levels, t) for t in sorted(set(levels))}
    within, between = otsu_variances(histogram(picture))
    for t, expected in table.items():
        assert (within[t], between[t]) == pytest.approx(expected, abs=1e-6)
    assert variances(levels, chosen)[1] == pytest.approx(max(b for _, b in table.values()))


@settings(max_examples=30, deadline=None)
@given(picture=pictures)
def test_the_basic_global_threshold_is_midway_between_its_classes(picture: np.ndarray) -> None:
    got = basic_global_threshold(picture, bound=1e-9)
    levels = [int(x) for x in picture.ravel()]
    dark, bright = [x for x in levels if x < got], [x for x in levels if x >= got]
    if not dark:
        assert set(levels) == {got}
    else:
        assert got == pytest.approx((sum(dark) / len(dark) + sum(bright) / len(bright)) / 2)


def test_a_wider_bound_ends_the_iteration_earlier() -> None:
    picture = np.array([[0] * 90 + [100] * 5 + [200] * 5], np.uint8)
    # mean 15; dark 0, bright 150: 75; the classes stay, so 75 again
    assert basic_global_threshold(picture, bound=61.0) == 75.0
    assert basic_global_threshold(picture, bound=0.5) == 75.0
    picture = np.array([[0] * 60 + [50] * 30 + [255] * 10], np.uint8)
    # mean 40.5; (0 + 101.25) / 2 = 50.625; then (50/3 + 255) / 2 = 135.83, and so on
    assert basic_global_threshold(picture, bound=11.0) == pytest.approx(50.625)
    assert basic_global_threshold(picture, bound=0.5) == pytest.approx((50 / 3 + 255) / 2)


@settings(max_examples=40, deadline=None)
@given(picture=pictures)
def test_scikit_image_finds_the_same_thresholds(picture: np.ndarray) -> None:
    filters = pytest.importorskip("skimage.filters")
    levels = [int(x) for x in picture.ravel()]
    if len(set(levels)) < 2:
        return
    theirs = int(filters.threshold_otsu(picture)) + 1  # they count it as background
    best = variances(levels, theirs)[1]
    assert variances(levels, otsu_threshold(picture))[1] == pytest.approx(best)
    ours = basic_global_threshold(picture, bound=1e-9)
    if abs(ours - round(ours)) > 1e-6:
        assert math.floor(ours) in filters.threshold_isodata(picture, return_all=True)


def naive_adaptive(
    picture: np.ndarray, window: int, step: int, min_variance: float
) -> list[list[bool]]:
    """Sliding windows pixel by pixel, by the definitions above."""

    def best(values: list[int]) -> int:
        def between(threshold: int) -> float:
            dark = [x for x in values if x < threshold]
            bright = [x for x in values if x >= threshold]
            if not dark:
                return 0.0
            apart = sum(dark) / len(dark) - sum(bright) / len(bright)
            return round(len(dark) * len(bright) * apart**2 / len(values) ** 2, 9)

        return max(sorted(set(values)), key=between)

    def starts(side: int) -> list[int]:
        last = max(0, side - window)
        return sorted({*range(0, last, step), last})

    height, width = picture.shape
    whole = best([int(x) for x in picture.ravel()])
    votes: Counter[tuple[int, int]] = Counter()
    for top in starts(height):
        for left in starts(width):
            places = [
                (y, x)
                for y in range(top, min(height, top + window))
                for x in range(left, min(width, left + window))
            ]
            values = [int(picture[place]) for place in places]
            threshold = best(values)
            if float(np.var(values)) < min_variance:
                bright = dict.fromkeys(places, sum(values) / len(values) >= whole)
            else:
                bright = {place: int(picture[place]) >= threshold for place in places}
            votes.update({place: 1 if up else -1 for place, up in bright.items()})
    return [[votes[y, x] >= 0 for x in range(width)] for y in range(height)]


@pytest.mark.parametrize(("window", "step"), [(8, 8), (8, 4), (8, 3), (40, 40)])
def test_adaptive_thresholds_are_those_of_the_windows(window: int, step: int) -> None:
    rng = np.random.default_rng(window + step)
    picture = rng.integers(0, 60, (21, 19)) + 150 * (rng.random((21, 19)) > 0.6)
    picture[:9, :9] = rng.integers(100, 104, (9, 9))  # uniform windows
    picture = picture.astype(np.uint8)
    got = adaptive_foreground(picture, window_px=window, step_px=step, min_variance=50.0)
    assert got.tolist() == naive_adaptive(picture, window, step, 50.0)


def test_adaptive_finds_print_in_uneven_light_where_one_threshold_cannot() -> None:
    light = np.linspace(60, 250, 96)[None, :].repeat(48, axis=0)
    paper = np.ones((48, 96), bool)
    paper[::6] = paper[:, ::8] = False  # dark lines, half as bright as the paper beside them
    picture = np.where(paper, light, light / 2).astype(np.uint8)
    adaptive = adaptive_foreground(picture, window_px=16, step_px=8)
    at_once = foreground(picture, otsu_threshold(picture))
    assert np.mean(adaptive == paper) > 0.98
    assert np.mean(at_once == paper) < 0.85


@settings(max_examples=30, deadline=None)
@given(picture=pictures)
def test_histogram_and_entropy_by_counting(picture: np.ndarray) -> None:
    counted = Counter(int(x) for x in picture.ravel())
    assert histogram(picture).tolist() == [counted[level] for level in range(256)]
    shares = normalised_histogram(picture)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[picture[0, 0]] == pytest.approx(counted[int(picture[0, 0])] / picture.size)
    bits = sum(n / picture.size * math.log2(picture.size / n) for n in counted.values())
    assert entropy_bits(picture) == pytest.approx(bits, abs=1e-12)
    measure = pytest.importorskip("skimage.measure")
    assert entropy_bits(picture) == pytest.approx(measure.shannon_entropy(picture), abs=1e-12)


def test_entropy_at_its_ends() -> None:
    assert entropy_bits(np.full((5, 7), 31, np.uint8)) == 0.0
    assert entropy_bits(np.arange(256, dtype=np.uint8).reshape(16, 16)) == 8.0
    assert entropy_bits(np.array([[0, 255], [0, 255]], np.uint8)) == 1.0


@settings(max_examples=30, deadline=None)
@given(picture=pictures)
def test_equalised_levels_follow_the_cumulated_histogram(picture: np.ndarray) -> None:
    got = equalise(picture)
    levels = sorted(int(x) for x in picture.ravel())
    darkest = levels.count(levels[0])
    for level in set(levels):
        if levels[0] == levels[-1]:
            expected = level
        else:  # the darkest becomes 0, the rest in proportion to how many are not brighter
            up_to = sum(x <= level for x in levels)
            expected = 255 * (up_to - darkest) / (len(levels) - darkest)
        assert np.all(np.abs(got[picture == level].astype(float) - expected) <= 0.5001)


def test_clahe_spreads_a_dark_corner_that_equalising_the_whole_cannot() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(100, 256, (64, 64)).astype(np.uint8)
    picture[:16, :16] = rng.integers(5, 13, (16, 16))

    def spread(levels: np.ndarray) -> int:
        return int(np.ptp(levels[4:12, 4:12]))

    assert spread(clahe(picture, clip=40.0, tiles=4)) > 100 > 40 > spread(equalise(picture))
    gentle, strong = clahe(picture, clip=1.0, tiles=4), clahe(picture, clip=40.0, tiles=4)
    assert spread(gentle) < spread(strong)


def test_clahe_with_one_tile_and_no_clipping_equalises() -> None:
    picture = np.random.default_rng(1).normal(90, 20, (64, 64)).clip(0, 255).astype(np.uint8)
    got = clahe(picture, clip=4096.0, tiles=1)
    cumulated = np.cumsum(histogram(picture)) / picture.size
    assert np.abs(got - 255 * cumulated[picture]).max() <= 1.0


def test_a_constant_picture_is_all_foreground_and_stays_constant() -> None:
    for level in (0, 77, 255):
        picture = np.full((9, 11), level, np.uint8)
        assert otsu_threshold(picture) == basic_global_threshold(picture) == level
        assert foreground(picture, level).all()
        assert adaptive_foreground(picture).all()
        assert np.array_equal(equalise(picture), picture)
        assert np.ptp(clahe(picture)) == 0
        within, between = otsu_variances(histogram(picture))
        assert not within.any()
        assert not between.any()


def test_one_pixel_is_a_picture() -> None:
    picture = np.array([[200]], np.uint8)
    assert otsu_threshold(picture) == basic_global_threshold(picture) == 200
    assert adaptive_foreground(picture).tolist() == [[True]]
    assert histogram(picture)[200] == 1
    assert equalise(picture).tolist() == [[200]]
    assert clahe(picture).shape == (1, 1)


BAD = {
    "16 bits": np.zeros((4, 4), np.uint16),
    "float": np.zeros((4, 4), np.float32),
    "colour": np.zeros((4, 4, 3), np.uint8),
    "RGBA": np.zeros((4, 4, 4), np.uint8),
    "no pixels": np.zeros((0, 4), np.uint8),
}


OPERATIONS = (
    *(histogram, entropy_bits, equalise, clahe, otsu_threshold, basic_global_threshold),
    adaptive_foreground,
    lambda picture: foreground(picture, 3),
)


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_another_kind_of_picture_is_refused(bad: str, operation: Callable[..., object]) -> None:
    with pytest.raises(PreprocessError, match="not a grey picture") as caught:
        operation(BAD[bad])
    assert str(BAD[bad].shape) in str(caught.value)
    assert "to_eight_bits" in caught.value.next_step


@pytest.mark.parametrize("counts", [np.zeros(6), np.array([3, -1]), np.ones((2, 2)), np.zeros(0)])
def test_what_is_no_histogram_is_refused(counts: np.ndarray) -> None:
    with pytest.raises(PreprocessError, match="not a histogram"):
        otsu_variances(counts)


def test_settings_that_mean_nothing_are_refused() -> None:
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    wrong = [
        lambda: basic_global_threshold(picture, bound=0.0),
        lambda: basic_global_threshold(picture, bound=math.nan),
        lambda: adaptive_foreground(picture, window_px=1),
        lambda: adaptive_foreground(picture, window_px=8, step_px=9),
        lambda: adaptive_foreground(picture, window_px=8, step_px=0),
        lambda: adaptive_foreground(picture, min_variance=0.0),
        lambda: clahe(picture, clip=0.5),
        lambda: clahe(picture, clip=math.nan),
        lambda: clahe(picture, tiles=0),
    ]
    for call in wrong:
        with pytest.raises(ConfigError):
            call()


def test_sixteen_bits_and_floats_become_eight_by_rounding() -> None:
    deep = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    assert to_eight_bits(deep).tolist() == [[0, 0, 1, 1, 255]]
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_eight_bits(every), np.rint(every / 257.0))
    floats = np.array([[0.0, 0.5 / 255 + 1e-6, 0.2, 1.0]], np.float32)
    assert to_eight_bits(floats).tolist() == [[0, 1, 51, 255]]
    assert to_eight_bits(np.array([[True, False]])).tolist() == [[255, 0]]
    same = np.zeros((2, 2, 4), np.uint8)
    assert to_eight_bits(same).shape == (2, 2, 4)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf, 255.0])
def test_floats_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(PreprocessError, match="out of range"):
        to_eight_bits(np.array([[0.5, value]]))
    with pytest.raises(PreprocessError, match="not a picture"):
        to_eight_bits(np.array([[1, 2]], np.int32))


def test_views_are_taken_as_they_are_seen() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (30, 20)).astype(np.uint8)
    view = picture[::-2, ::3]
    assert otsu_threshold(view) == otsu_threshold(view.copy())
    assert cv2.countNonZero(equalise(view.T)) == cv2.countNonZero(equalise(view.copy()))
