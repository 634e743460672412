"""The statistics in the package are those of the real data, and show no person."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from edge_app.simulation.face_video import STATISTICS as FACES
from edge_app.simulation.gait_parameters import ROWS
from edge_app.simulation.sleep_night import STATISTICS as SLEEP
from trainer.simulation_statistics import FILES, write_all
from trainer.sleep_simulation import transition_counts

pytestmark = pytest.mark.torch
PACKAGED = {"sleep": SLEEP, "face": FACES, "gait": ROWS}


@pytest.fixture(scope="module")
def written(data_dir, tmp_path_factory):
    return write_all(data_dir, tmp_path_factory.mktemp("statistics"))


def test_the_packaged_files_can_be_made_again(written):
    assert [path.name for path in written] == [PACKAGED[name].name for name in FILES]
    for path, packaged in zip(written, PACKAGED.values(), strict=True):
        with np.load(path) as new, np.load(packaged) as old:
            assert new.files == old.files
            for key in new.files:
                assert new[key].dtype == old[key].dtype
                if new[key].dtype.kind == "f":
                    np.testing.assert_allclose(new[key], old[key], rtol=1e-9)
                else:
                    np.testing.assert_array_equal(new[key], old[key])


def test_the_packaged_files_are_small():
    assert sum(path.stat().st_size for path in PACKAGED.values()) < 24_000


def test_transitions_counted_another_way(data_dir):
    pairs: Counter[str] = Counter()
    for path in (data_dir / "sleep" / "hypnograms").glob("SC4*.json"):
        letters = json.loads(path.read_text())["stages"].replace("4", "3").replace("M", "?")
        first = min(letters.index(stage) for stage in "123R" if stage in letters)
        last = max(letters.rindex(stage) for stage in "123R" if stage in letters)
        kept = letters[first - 1 : last + 1]
        pairs.update(kept[i : i + 2] for i in range(len(kept) - 1))
    derived = transition_counts(data_dir).sum(axis=(0, 1))
    for i, before in enumerate("W123R"):
        for j, after in enumerate("W123R"):
            assert derived[i, j] == pairs[before + after]


def test_sleep_statistics_are_what_their_names_say():
    with np.load(SLEEP) as packaged:
        statistics = {key: packaged[key] for key in packaged.files}
    np.testing.assert_allclose(statistics["transitions"].sum(axis=3), 1.0)
    assert (statistics["transitions"] >= 0).all()
    for covariance in (statistics["night_covariance"], *statistics["epoch_covariance"]):
        np.testing.assert_allclose(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > 0
    share = np.linalg.eigvalsh(statistics["slow_share"])
    assert 0 < share.min() < share.max() < 1
    assert 0.9 < statistics["slow_persistence"] < 1
    # N3 is the stage of slow waves: 75 uV peak to peak, so tens of uV^2/Hz and more.
    assert np.exp(statistics["level"][3, 0]) > 100


def test_gait_rows_are_a_dozen_numbers_without_ids():
    with np.load(ROWS) as packaged:
        assert sorted(packaged.files) == ["frailty", "rows"]
        assert packaged["rows"].shape == (12, 11)
        assert Counter(packaged["frailty"].tolist()) == {"robust": 4, "prefrail": 4, "frail": 4}


def test_average_faces_are_flatter_than_any_picture():
    with np.load(FACES) as packaged:
        assert packaged["faces"].shape == (7, 48, 48)
        assert packaged["faces"].dtype == np.uint8
        assert packaged["faces"].std(axis=(1, 2)).max() < 45  # single pictures: about 55
