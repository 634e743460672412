"""The feature archives of either layout, and splits of nights that leak."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")
from edge_app.errors import DatasetError
from trainer.datasets.feature_night import FeatureNight
from trainer.datasets.raw_night import RawNight
from trainer.datasets.sleep_features import (
    N_COLUMNS,
    SOUND_COLUMNS,
    ArchiveNight,
    load_feature_set,
    moments_of,
)
from trainer.datasets.sleep_leaks import refuse_identical_epochs
from trainer.datasets.sleepedf_bandpower import CHANNELS, load_nights
from trainer.features.welch import FEATURES

RNG = np.random.default_rng(5)


def save(path, **nights):
    """Write ``name=(x, y)``."""
    arrays = {}
    for name, (x, y) in nights.items():
        arrays[f"{name}_x"] = np.asarray(x, np.float32)
        arrays[f"{name}_y"] = np.asarray(y, np.int8)
    np.savez(path, **arrays)
    return path


# The 60-subject set


def test_the_two_columns_that_are_used_mean_what_the_reference_says(data_dir):
    reference = json.loads((data_dir / "sleep" / "features_reference.json").read_text())
    n = np.arange(3000)
    pseudo = ((7919 * n * n + 104729 * n) % 1000 - 500) / 50
    x = 30 * np.sin(2 * np.pi * 1.3 * n / 100) + 8 * np.sin(2 * np.pi * 10 * n / 100 + 0.5)
    x = x + (0.2 + n / 3000) * pseudo + 1.5
    np.testing.assert_allclose(x[:4], reference["first_samples"], rtol=1e-12)
    values = np.array(reference["values"])[None]
    assert values.shape == (1, N_COLUMNS)
    assert values[0, 0] ** 2 == pytest.approx(np.var(x), rel=1e-9)
    assert (values[0, 5] * values[0, 0]) ** 2 == pytest.approx(np.var(np.diff(x)), rel=1e-9)
    features = moments_of(values)
    named = dict(zip(FEATURES, features[0], strict=True))
    assert named["variance"] == np.float32(values[0, 0] ** 2)
    assert named["diff_variance"] == np.float32((values[0, 5] * values[0, 0]) ** 2)
    assert all(np.isnan(named[name]) for name in FEATURES if name.startswith("psd"))


def test_the_60_subject_set_has_the_documented_rows(data_dir):
    nights = load_feature_set(data_dir)
    assert len(nights) == 118
    assert len({night.subject for night in nights}) == 60
    counts = np.bincount(np.concatenate([night.stages for night in nights]) + 1)
    assert counts.tolist() == [154, 45659, 11748, 49130, 6319, 18630]
    moments = [night.moments() for night in nights]
    assert not any(night.contiguous for night in moments)
    loaded = load_nights(data_dir / "sleep" / "sleepedf78_fpzcz_features.npz")
    for ours, theirs in zip(loaded, moments, strict=True):
        assert (ours.name, ours.subject) == (theirs.name, theirs.subject)
        np.testing.assert_array_equal(ours.features, theirs.features)
    assert (*range(13), *range(15, 24)) == SOUND_COLUMNS


def test_moments_of_the_two_sets_agree_where_they_hold_the_same_epochs(data_dir):
    whole = {n.name: n for n in load_nights(data_dir)}
    thinned = load_nights(data_dir / "sleep" / "sleepedf78_fpzcz_features.npz")
    shared = [night for night in thinned if night.name in whole]
    assert shared
    for night in shared:
        theirs = whole[night.name].features[:, 5:]
        nearest = np.abs(np.log(theirs[:, None] / night.features[None, :50, 5:])).sum(2).min(0)
        assert np.median(nearest) < 1e-3


# The band-power set


def test_the_band_power_set_has_the_documented_rows_in_both_channels(data_dir):
    nights = load_nights(data_dir)
    assert len(nights) == 16
    assert sum(len(night.stages) for night in nights) == 16_118
    assert len(nights[0].stages) == 841
    both = load_nights(data_dir, channel="both")
    assert [night.channel for night in both] == list(CHANNELS) * 16
    with np.load(data_dir / "sleep" / "sleepedf_bandpower.npz") as archive:
        for night in both:
            first = 7 * CHANNELS.index(night.channel)
            raw = archive[f"{night.name}_x"][:, first : first + 7]
            np.testing.assert_array_equal(night.features, raw)
            assert night.contiguous


def test_a_file_may_hold_other_people_both_layouts_and_unknown_values(tmp_path):
    x14, x35 = RNG.random((5, 14)), RNG.random((3, N_COLUMNS))
    x14[2, :5] = np.nan
    path = save(tmp_path / "n.npz", SC4771E0=(x14, [0, 1, 2, 3, -1]), SC4362F0=(x35, [4, -1, 0]))
    old, new = load_nights(path)
    assert (old.name, old.subject, old.contiguous) == ("SC4362F0", "36", False)
    assert (new.name, new.subject, new.contiguous) == ("SC4771E0", "77", True)
    assert old.stages.tolist() == [4, -1, 0]
    np.testing.assert_allclose(old.features[:, 5], x35[:, 0] ** 2, rtol=1e-6)
    np.testing.assert_allclose(new.features, x14[:, :7], rtol=1e-6)
    with pytest.raises(DatasetError, match="SC4362F0 has no channel Pz-Oz"):
        load_nights(path, channel="Pz-Oz")
    with pytest.raises(DatasetError, match="SC4771E0 has another shape"):
        load_feature_set(path)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.ones((4, 9)), np.zeros(4), "another shape"),
        (np.ones((4, 14)), np.zeros(3), "another shape"),
        (np.ones((0, 14)), np.zeros(0), "another shape"),
        (np.ones((4, 14)), np.full(4, 7), "unknown stages"),
        (np.full((4, 14), -1.0), np.zeros(4), "negative or not finite"),
        (np.full((4, 14), np.inf), np.zeros(4), "negative or not finite"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path, x, y, words):
    with pytest.raises(DatasetError, match=words):
        load_nights(save(tmp_path / "n.npz", SC4001E0=(x, y)))


# Leaks


def features(name, subject=None, n=20):
    values = RNG.random((n, 7)).astype(np.float32)
    return FeatureNight(name, subject or name[3:5], values, np.zeros(n, np.int64))


def raw(name, epochs=None, n=3):
    epochs = RNG.standard_normal((n, 3000)).astype(np.float32) if epochs is None else epochs
    stages = np.zeros(len(epochs), np.int64)
    return RawNight(
        name, name[3:5], 1, "Fpz", 100.0, epochs, stages, (None,) * len(epochs), 0, simulated=True
    )


def archived(name, n=4):
    values = RNG.random((n, N_COLUMNS)).astype(np.float32)
    return ArchiveNight(name, name[3:5], values, np.zeros(n, np.int64))


def test_nights_of_different_people_pass():
    refuse_identical_epochs([features("SC4001E0"), features("SC4002E0"), features("SC4011E0")])
    refuse_identical_epochs([archived("SC4021E0"), raw("SC4011E0")])


def test_one_epoch_under_two_names_is_found():
    train, test = raw("SC4001E0"), raw("SC4011E0")
    test.epochs[1] = train.epochs[2]
    with pytest.raises(DatasetError, match="SC4001E0 and SC4011E0 share an identical epoch"):
        refuse_identical_epochs([train, test])
    rows, copied = features("SC4001E0"), features("SC4011E0")
    copied.features[5] = rows.features[3]
    with pytest.raises(DatasetError, match="identical epoch"):
        refuse_identical_epochs([rows, copied])


def test_epochs_without_signal_are_no_leak_nor_are_two_nights_of_one_person():
    flat = np.zeros((2, 3000), np.float32)
    missing = np.full((2, 3000), np.nan, np.float32)
    refuse_identical_epochs([raw("SC4001E0", flat), raw("SC4011E0", flat)])
    refuse_identical_epochs([raw("SC4001E0", missing), raw("SC4011E0", missing)])
    same = raw("SC4001E0")
    refuse_identical_epochs([same, raw("SC4002E0", same.epochs)])


def test_no_two_people_of_the_archives_share_an_epoch(data_dir):
    refuse_identical_epochs(load_nights(data_dir, channel="both"))
    refuse_identical_epochs(load_feature_set(data_dir))
