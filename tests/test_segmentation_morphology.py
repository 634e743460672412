"""Morphology of masks: worked examples drawn out by hand, plain loops, scikit-image."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_app.errors import ConfigError, PreprocessError
from edge_app.preprocess.segmentation.morphology import (
    closing,
    dilate,
    erode,
    full_element,
    hit_or_miss,
    opening,
    thicken,
    thin,
)

SQUARE = full_element(3)
masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))
elements = st.sampled_from([(1, 1), (1, 3), (3, 1), (3, 3), (3, 5), (5, 3)]).flatmap(
    lambda shape: hnp.arrays(np.bool_, shape).filter(np.any)
)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def shifted(mask: np.ndarray, down: int, across: int) -> np.ndarray:
    """What stands that far below and to the right of each pixel, edge pixels repeated."""
    height, width = mask.shape
    rows = [min(max(y + down, 0), height - 1) for y in range(height)]
    columns = [min(max(x + across, 0), width - 1) for x in range(width)]
    return mask[rows][:, columns]


def offsets(element: np.ndarray) -> list[tuple[int, int]]:
    middle = element.shape[0] // 2, element.shape[1] // 2
    return [
        (int(y) - middle[0], int(x) - middle[1]) for y, x in zip(*element.nonzero(), strict=True)
    ]


U_SHAPE = drawn(
    "........",
    ".###.###",
    ".###.###",
    ".###.###",
    ".#######",
    ".#######",
    ".#######",
    "........",
)


def test_the_u_shape_eroded() -> None:
    # The left arm keeps its middle column, the right one also its outer column, for beyond the
    # picture's right edge that edge goes on; the bridge keeps its middle row.
    assert np.array_equal(
        erode(U_SHAPE, SQUARE),
        drawn(
            "........",
            "........",
            "..#...##",
            "..#...##",
            "..#...##",
            "..######",
            "........",
            "........",
        ),
    )


def test_the_u_shape_dilated() -> None:
    assert np.array_equal(dilate(U_SHAPE, SQUARE), np.ones((8, 8), bool))  # the gap is one wide
    narrow = drawn(
        "........",
        "........",
        "..#...#.",
        "..#...#.",
        "..#...#.",
        "..#####.",
        "........",
        "........",
    )
    assert np.array_equal(
        dilate(narrow, SQUARE),
        drawn(
            "........",
            ".###.###",
            ".###.###",
            ".###.###",
            ".#######",
            ".#######",
            ".#######",
            "........",
        ),
    )


@settings(max_examples=40, deadline=None)
@given(mask=masks, element=elements)
def test_erosion_and_dilation_by_their_definitions(mask: np.ndarray, element: np.ndarray) -> None:
    around = offsets(element)
    covered = np.all([shifted(mask, y, x) for y, x in around], axis=0)
    assert np.array_equal(erode(mask, element), covered)
    reached = np.any([shifted(mask, -y, -x) for y, x in around], axis=0)
    assert np.array_equal(dilate(mask, element), reached)


def test_a_dilated_pixel_is_the_element() -> None:
    element = drawn("#..", "##.", "...")
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    assert np.array_equal(dilate(mask, element)[2:5, 2:5], element)


@settings(max_examples=40, deadline=None)
@given(mask=masks, element=elements)
def test_opening_takes_away_and_closing_adds_whatever_the_element(
    mask: np.ndarray, element: np.ndarray
) -> None:
    assert not (opening(mask, element) & ~mask).any()
    assert not (mask & ~closing(mask, element)).any()
    reflected = np.ascontiguousarray(element[::-1, ::-1])
    assert np.array_equal(closing(mask, element), ~opening(~mask, reflected))


@settings(max_examples=40, deadline=None)
@given(mask=masks, side=st.sampled_from([1, 3, 5]))
def test_opening_and_closing_twice_is_once_and_both_libraries_agree(
    mask: np.ndarray, side: int
) -> None:
    element = full_element(side)
    opened, closed = opening(mask, element), closing(mask, element)
    assert np.array_equal(opening(opened, element), opened)
    assert np.array_equal(closing(closed, element), closed)
    kernel, levels = element.astype(np.uint8), mask.astype(np.uint8)
    assert np.array_equal(cv2.morphologyEx(levels, cv2.MORPH_OPEN, kernel) > 0, opened)
    assert np.array_equal(cv2.morphologyEx(levels, cv2.MORPH_CLOSE, kernel) > 0, closed)
    theirs = pytest.importorskip("skimage.morphology")
    assert np.array_equal(theirs.erosion(mask, element), erode(mask, element))
    assert np.array_equal(theirs.dilation(mask, element), dilate(mask, element))
    assert np.array_equal(theirs.opening(mask, element), opened)
    assert np.array_equal(theirs.closing(mask, element), closed)


@settings(max_examples=40, deadline=None)
@given(mask=masks, roles=hnp.arrays(np.int8, (3, 3), elements=st.sampled_from([-1, 0, 1])))
def test_hit_or_miss_by_its_definition(mask: np.ndarray, roles: np.ndarray) -> None:
    wanted, unwanted = roles == 1, roles == -1
    if not (wanted | unwanted).any():
        with pytest.raises(ConfigError, match="structuring element"):
            hit_or_miss(mask, wanted, unwanted)
        return
    expected = np.ones_like(mask)
    for y, x in offsets(wanted):
        expected &= shifted(mask, y, x)
    for y, x in offsets(unwanted):
        expected &= ~shifted(mask, y, x)
    assert np.array_equal(hit_or_miss(mask, wanted, unwanted), expected)


BAR = drawn("...", "###", "...")
NOTHING_ABOVE = drawn("###", "...", "...")


def test_hit_or_miss_finds_the_bar_with_background_above_it_where_opening_cannot() -> None:
    mask = drawn(
        "..........",
        "..........",
        "..###.....",
        "..........",
        "......###.",
        "..###.###.",
        "......###.",
        "..........",
    )
    hits = hit_or_miss(mask, BAR, NOTHING_ABOVE)
    assert sorted(zip(*(int_list(axis) for axis in hits.nonzero()), strict=True)) == [
        (2, 3),
        (4, 7),
        (5, 3),
    ]
    # Opening keeps every bar of three, also those that lie under others.
    assert np.array_equal(opening(mask, BAR), mask)
    inside = np.zeros_like(mask)
    inside[5:7, 6:9] = True
    assert opening(mask, BAR)[inside].all()
    assert not hits[inside].any()


def int_list(axis: np.ndarray) -> list[int]:
    return [int(index) for index in axis]


def lam_lee_suen(mask: np.ndarray) -> np.ndarray:
    """Thinning by the three conditions of the paper, pixel by pixel, two subpasses in turn."""
    ring = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]  # x1 to x8
    mask = np.pad(mask, 1)
    while True:
        before = mask.copy()
        for second in (False, True):
            doomed = []
            for y, x in zip(*mask.nonzero(), strict=True):
                n = [bool(mask[y + down, x + across]) for down, across in ring]
                at = n + n  # indices go round
                crossings = sum(
                    not at[2 * i] and (at[2 * i + 1] or at[2 * i + 2]) for i in range(4)
                )
                one = sum(n[2 * i] or at[2 * i + 1] for i in range(4))
                two = sum(at[2 * i + 1] or at[2 * i + 2] for i in range(4))
                if second:
                    blocked = (n[5] or n[6] or not n[3]) and n[4]
                else:
                    blocked = (n[1] or n[2] or not n[7]) and n[0]
                if crossings == 1 and 2 <= min(one, two) <= 3 and not blocked:
                    doomed.append((y, x))
            for place in doomed:
                mask[place] = False
        if np.array_equal(mask, before):
            return mask[1:-1, 1:-1]


def pieces(mask: np.ndarray, connectivity: int) -> int:
    """How many pieces there are, by flooding."""
    steps = [
        s for s in product((-1, 0, 1), repeat=2) if any(s) and (connectivity == 8 or not all(s))
    ]
    left = {(int(y), int(x)) for y, x in zip(*mask.nonzero(), strict=True)}
    count = 0
    while left:
        count += 1
        front = [left.pop()]
        while front:
            y, x = front.pop()
            near = {(y + down, x + across) for down, across in steps} & left
            left -= near
            front += near
    return count


SHAPES = {
    "a bar of three rows": np.pad(np.ones((3, 9), bool), 2),
    "a U": U_SHAPE,
    "a ring": np.pad(np.pad(np.zeros((3, 5), bool), 3, constant_values=True), 1),
    "a disc": np.hypot(*np.mgrid[-7:8, -7:8]) < 6.5,
    "a cross": np.pad(
        np.logical_or(
            *np.broadcast_arrays(np.arange(15)[:, None] // 5 == 1, np.arange(15) // 5 == 1)
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", list(SHAPES))
def test_thinning_leaves_lines_one_pixel_wide(name: str) -> None:
    pytest.importorskip("skimage")
    mask = SHAPES[name]
    got = thin(mask)
    assert np.array_equal(got, lam_lee_suen(mask))
    assert got.any()
    assert not (got & ~mask).any()
    blocks = got[:-1, :-1] & got[1:, :-1] & got[:-1, 1:] & got[1:, 1:]
    assert not blocks.any()  # nowhere two pixels wide
    assert pieces(got, 8) == pieces(mask, 8)
    assert pieces(np.pad(~got, 1, constant_values=True), 4) == pieces(
        np.pad(~mask, 1, constant_values=True), 4
    )
    assert np.array_equal(thin(got), got)


def test_a_bar_of_three_rows_becomes_its_middle_row() -> None:
    pytest.importorskip("skimage")
    assert np.array_equal(
        thin(np.pad(np.ones((3, 9), bool), 1)),
        drawn("...........", "...........", "..#######..", "...........", "..........."),
    )


@settings(max_examples=40, deadline=None)
@given(mask=masks)
def test_thinning_keeps_the_pieces_of_any_mask(mask: np.ndarray) -> None:
    pytest.importorskip("skimage")
    got = thin(mask)
    assert np.array_equal(got, lam_lee_suen(mask))
    assert pieces(got, 8) == pieces(mask, 8)


@settings(max_examples=40, deadline=None)
@given(mask=masks, passes=st.integers(1, 4))
def test_thickening_adds_layers_and_joins_nothing(mask: np.ndarray, passes: int) -> None:
    pytest.importorskip("skimage")
    got = thicken(mask, passes=passes)
    assert not (mask & ~got).any()
    assert not (got & ~dilate(mask, full_element(2 * passes + 1))).any()
    padded = np.pad(mask, passes + 1)  # inside the cut a piece may lie in two parts
    assert pieces(thicken(padded, passes=passes), 4) == pieces(padded, 4)


def test_two_squares_grow_towards_each_other_and_stay_two() -> None:
    pytest.importorskip("skimage")
    mask = np.zeros((12, 20), bool)
    mask[4:8, 3:7] = mask[4:8, 12:16] = True
    grown = thicken(mask, passes=8)
    assert grown.sum() > 3 * mask.sum()
    assert pieces(grown, 4) == 2
    assert pieces(dilate(mask, full_element(17)), 4) == 1


@pytest.mark.parametrize("full", [False, True])
def test_a_mask_of_nothing_or_of_all_stays_as_it_is(full: bool) -> None:
    pytest.importorskip("skimage")
    mask = np.full((6, 9), full)
    for operation in (erode, dilate, opening, closing):
        assert np.array_equal(operation(mask, SQUARE), mask)
    assert not hit_or_miss(mask, BAR, NOTHING_ABOVE).any()
    assert np.array_equal(thicken(mask, passes=3), mask)
    if not full:
        assert not thin(mask).any()
    one = np.full((1, 1), full)
    for result in (erode(one, SQUARE), dilate(one, SQUARE), opening(one, SQUARE), thin(one)):
        assert np.array_equal(result, one)


BAD_MASKS = (
    np.zeros((4, 4), np.uint8),
    np.zeros((4, 4, 3), np.bool_),
    np.zeros((0, 4), np.bool_),
    np.zeros((4, 4), np.float32),
)


@pytest.mark.parametrize("bad", BAD_MASKS, ids=lambda mask: f"{mask.shape} {mask.dtype}")
def test_what_is_no_mask_is_refused(bad: np.ndarray) -> None:
    calls = [
        lambda: erode(bad, SQUARE),
        lambda: dilate(bad, SQUARE),
        lambda: opening(bad, SQUARE),
        lambda: closing(bad, SQUARE),
        lambda: hit_or_miss(bad, BAR, NOTHING_ABOVE),
        lambda: thin(bad),
        lambda: thicken(bad, passes=1),
    ]
    for call in calls:
        with pytest.raises(PreprocessError, match="not a mask"):
            call()


def test_what_is_no_element_is_refused() -> None:
    mask = np.ones((5, 5), bool)
    wrong = [
        lambda: full_element(2),
        lambda: full_element(-1),
        lambda: erode(mask, np.ones((3, 3))),
        lambda: dilate(mask, np.zeros((3, 3), bool)),
        lambda: opening(mask, np.ones((2, 3), bool)),
        lambda: hit_or_miss(mask, SQUARE, SQUARE),
        lambda: hit_or_miss(mask, SQUARE, np.zeros((1, 1), bool)),
        lambda: hit_or_miss(mask, np.ones((2, 2), bool), np.zeros((2, 2), bool)),
        lambda: hit_or_miss(mask, np.ones((3, 3)), np.zeros((3, 3))),
    ]
    for call in wrong:
        with pytest.raises(ConfigError, match="structuring element"):
            call()
    for passes in (0, -5):
        with pytest.raises(ConfigError, match="passes"):
            thicken(mask, passes=passes)
        with pytest.raises(ConfigError, match="passes"):
            thin(mask, passes=passes)


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(ConfigError, match="scikit-image") as caught:
        thin(np.ones((3, 3), bool))
    assert "pip install" in caught.value.next_step
