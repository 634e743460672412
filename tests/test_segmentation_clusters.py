"""k-means on pixels: known groups, Lloyd's conditions, the same seed the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.errors import ConfigError, PreprocessError
from edge_app.preprocess.segmentation.clusters import kmeans_colour, kmeans_colour_and_place

RED, GREEN, BLUE = (220, 10, 20), (30, 200, 40), (10, 15, 90)


def flag(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three stripes in noisy colours and which is which, the darkest as 0."""
    of = np.repeat([[2, 0, 1]], 12, axis=0).repeat(8, axis=1)
    colours = np.array([BLUE, RED, GREEN])  # by their sum
    noise = np.random.default_rng(seed).integers(-6, 7, (12, 24, 3))
    return (colours[of] + noise).clip(0, 255).astype(np.uint8), of


def test_three_stripes_are_three_clusters_from_dark_to_bright() -> None:
    picture, of = flag()
    found = kmeans_colour(picture, 3)
    assert np.array_equal(found.labels, of)
    for label in range(3):
        assert found.centres[label] == pytest.approx(picture[of == label].mean(axis=0), abs=1e-3)
    painted = found.painted()
    assert painted.shape == picture.shape
    assert np.array_equal(painted[0, 8], np.rint(picture[of == 0].mean(axis=0)))


def test_every_pixel_is_nearest_to_its_own_centre_and_centres_are_means() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    found = kmeans_colour(picture, 5)
    far = np.linalg.norm(picture[:, :, None].astype(float) - found.centres[None, None], axis=3)
    own = np.take_along_axis(far, found.labels[:, :, None], axis=2)[:, :, 0]
    assert (own - far.min(axis=2)).max() < 1.0  # centres that still moved by 0.01 levels
    for label in range(5):
        mean = picture[found.labels == label].mean(axis=0)
        assert found.centres[label] == pytest.approx(mean, abs=0.5)


def test_the_same_seed_gives_the_same_clusters_and_the_numbers_differ_between_seeds() -> None:
    picture = np.random.default_rng(4).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    first, again = kmeans_colour(picture, 6, seed=7), kmeans_colour(picture, 6, seed=7)
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.centres, again.centres)
    others = [kmeans_colour(picture, 6, seed=seed).labels for seed in range(5)]
    assert any(not np.array_equal(first.labels, labels) for labels in others)


def test_place_parts_two_patches_of_one_colour_which_colour_alone_cannot() -> None:
    picture = np.zeros((10, 40, 3), np.uint8)
    picture[:, :10] = picture[:, 30:] = (200, 180, 160)
    by_colour = kmeans_colour(picture, 2)
    assert np.array_equal(by_colour.labels, (picture[:, :, 0] > 0).astype(int))
    by_place = kmeans_colour_and_place(picture, 3)
    dark, left, right = by_place.labels[5, 20], by_place.labels[5, 2], by_place.labels[5, 37]
    assert dark == 0
    assert len({dark, left, right}) == 3
    assert by_place.centres[left][3:] == pytest.approx((4.5, 4.5), abs=1e-3)  # column, row in px
    assert by_place.centres[right][3:] == pytest.approx((34.5, 4.5), abs=1e-3)


def test_a_weight_of_almost_nothing_is_colour_alone() -> None:
    picture, of = flag()
    found = kmeans_colour_and_place(picture, 3, place_weight=1e-3)
    assert np.array_equal(found.labels, of)


def test_one_pixel_and_a_constant_picture() -> None:
    one = np.array([[[1, 2, 3]]], np.uint8)
    assert kmeans_colour(one, 1).labels.tolist() == [[0]]
    assert kmeans_colour_and_place(one, 1).centres.tolist() == [[1, 2, 3, 0, 0]]
    constant = np.full((6, 6, 3), 90, np.uint8)
    assert not kmeans_colour(constant, 1).labels.any()
    for call in (lambda: kmeans_colour(constant, 2), lambda: kmeans_colour_and_place(one, 2)):
        with pytest.raises(PreprocessError, match="fewer different pixels"):
            call()
    halves = kmeans_colour_and_place(constant, 2).labels
    assert sorted(np.bincount(halves.ravel()).tolist()) == [18, 18]


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 0, 3), np.uint8),
    ],
    ids=lambda picture: f"{picture.shape} {picture.dtype}",
)
def test_another_kind_of_picture_is_refused(bad: np.ndarray) -> None:
    for cluster in (kmeans_colour, kmeans_colour_and_place):
        with pytest.raises(PreprocessError, match="not a colour picture"):
            cluster(bad, 2)


def test_settings_that_mean_nothing_are_refused() -> None:
    picture, _ = flag()
    with pytest.raises(ConfigError, match="no clusters"):
        kmeans_colour(picture, 0)
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="place_weight"):
            kmeans_colour_and_place(picture, 2, place_weight=weight)
