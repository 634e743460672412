"""Strides of real walks (8 healthy people, both feet) against labels made by hand."""

from __future__ import annotations

import json
from math import gcd
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly
from scipy.spatial.transform import Rotation

from edge_app.errors import DatasetError
from edge_app.preprocess.gait.analyser import GaitAnalyser
from trainer.datasets.imu_walks import Imu, Trial, read_imu, read_trials
from trainer.evaluate_strides import evaluate_strides, in_bouts, match_events
from trainer.strides_table import strides_table
from trainer.walk_parameters import labelled_swing


@pytest.fixture(scope="module")
def folder(data_dir) -> Path:
    return data_dir / "gait" / "imu_walks"


@pytest.fixture(scope="module")
def trials(folder) -> tuple[Trial, ...]:
    return read_trials(folder)


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return evaluate_strides(folder)


def test_every_walk_is_read(trials):
    assert len(trials) == 24
    assert [trial.name for trial in trials][:4] == ["1-1", "1-2", "1-3", "2-1"]
    assert sum(len(foot.swings_s) for trial in trials for foot in trial.feet) == 837
    assert all(len(trial.feet) == 2 and trial.lower_back is not None for trial in trials)
    first = trials[0]
    assert first.turn_s == (13.16, 14.74)
    assert first.height_m == 1.75
    np.testing.assert_allclose(first.feet[0].swings_s[0], [5.27, 5.74])
    lossy = next(trial for trial in trials if trial.name == "2-3").feet[1].imu
    assert np.diff(lossy.times_s).max() > 0.0151


def test_detection(report):
    detection = report["detection"]
    assert detection["toe_off_0.2s"]["all"]["f1"] >= 0.97
    assert detection["toe_off_0.2s"]["walking"]["f1"] >= 0.98
    assert detection["toe_off_0.1s"]["straight"]["f1"] >= 0.98
    assert detection["heel_strike_0.2s"]["straight"]["f1"] >= 0.97
    for person, figures in report["by_person"].items():
        assert figures["detection"]["toe_off_0.2s"]["straight"]["f1"] >= 0.96, person
    for foot in ("left", "right"):
        figures = report["by_foot"][foot]
        assert figures["detection"]["toe_off_0.2s"]["all"]["f1"] >= 0.97, foot


def test_errors(report):
    errors = report["errors"]
    assert errors["stride_time_toe_off_to_toe_off_s"]["median_absolute"] <= 0.006
    assert errors["stride_time_accepted_s"]["median_absolute"] <= 0.010
    assert errors["stride_time_toe_off_to_toe_off_s"]["n"] > 700
    assert abs(errors["toe_off_s"]["median"]) <= 0.010
    assert abs(errors["heel_strike_s"]["median"]) <= 0.010
    for figures in report["by_person"].values():
        error = figures["errors"]["stride_time_toe_off_to_toe_off_s"]
        assert error["median_absolute"] <= 0.010


def test_course_is_ten_metres_long(report):
    assert report["lengths"]["outward"]["gain"] == pytest.approx(1.0, abs=0.03)
    assert report["lengths"]["there_and_back"]["gain"] == pytest.approx(1.0, abs=0.03)
    for figures in report["by_person"].values():
        assert figures["lengths"]["outward"]["gain"] == pytest.approx(1.0, abs=0.08)


def on_grid(imu: Imu) -> np.ndarray:
    """Every slot, losses on a line."""
    slots = np.arange(round(imu.times_s[0] * 100), round(imu.times_s[-1] * 100) + 1) / 100.0
    columns = [np.interp(slots, imu.times_s, column) for column in imu.samples.T]
    return np.column_stack(columns).astype(np.float32)


def strides_of(samples: np.ndarray, rate_hz: float):
    analyser = GaitAnalyser(rate_hz)
    found = analyser.push(np.arange(len(samples)) / rate_hz, samples) + analyser.finish()
    return found, analyser.is_mirrored


@pytest.mark.parametrize("rate_hz", [52, 104, 128, 200])
def test_rate_and_mounting_do_not_matter(trials, rate_hz):
    n_expected = n_same = 0
    length_m, time_s = [], []
    for number, trial in enumerate(trials[::4]):
        turned = Rotation.random(random_state=number).as_matrix()
        for foot in trial.feet:
            samples = on_grid(foot.imu)
            expected, _ = strides_of(samples, 100.0)
            other = np.hstack([samples[:, :3] @ turned.T, samples[:, 3:] @ turned.T])
            divisor = gcd(rate_hz, 100)
            other = resample_poly(other, rate_hz // divisor, 100 // divisor, padtype="line")
            found, mirrored = strides_of(other.astype(np.float32), float(rate_hz))
            assert not mirrored
            pairs = match_events(
                [s.toe_off_s for s in found], [s.toe_off_s for s in expected], 0.05
            )
            n_expected += len(expected)
            n_same += len(pairs)
            for one, same in pairs:
                if expected[one].accepted and found[same].accepted:
                    length_m.append(found[same].stride_length_m - expected[one].stride_length_m)
                    time_s.append(found[same].stride_time_s - expected[one].stride_time_s)
    assert n_same >= 0.985 * n_expected
    assert np.percentile(np.abs(length_m), 95) < 0.04
    assert np.median(np.abs(time_s)) < 0.01
    assert np.percentile(np.abs(time_s), 90) < 0.04


def test_mirrored_axis_is_told(trials):
    for trial in trials[::6]:
        samples = on_grid(trial.feet[0].imu) * np.float32([1, 1, -1, 1, 1, -1])
        assert strides_of(samples, 100.0)[1]


def test_labels_in_a_row_are_walking():
    swings = [[i * 1.0, i + 0.4] for i in range(5)] + [[7.5, 7.9], [8.5, 8.9]]
    assert in_bouts(np.array(swings)).tolist() == [True] * 5 + [False] * 2
    assert in_bouts(np.array(swings)[1:]).tolist() == [False] * 6
    assert in_bouts(np.zeros((0, 2))).tolist() == []


def test_pairs_are_one_to_one_and_nearest_first():
    assert match_events([1.0, 1.15, 5.0], [1.1, 2.0], 0.2) == [(0, 1)]
    assert match_events([1.0, 1.3], [1.1, 1.2], 0.2) == [(0, 0), (1, 1)]
    assert match_events([], [1.0], 0.2) == []
    assert match_events([1.0], [], 0.2) == []


NAMES = "PacketCounter\tAcc_X\tAcc_Y\tAcc_Z\tGyr_X\tGyr_Y\tGyr_Z\n"
ROWS = "".join("\t".join([f"{slot}.0", *["1.5"] * 6]) + "\n" for slot in range(21))


@pytest.fixture
def written(tmp_path) -> Path:
    """A made-up walk of 20 rows with a lost packet, in the layout of the real ones."""
    rows = [slot for slot in range(21) if slot != 7]
    body = "".join("\t".join([f"{s}.0", *["1.5"] * 9]) + "\n" for s in rows)
    names = "PacketCounter\tAcc_X\tAcc_Y\tAcc_Z\tGyr_X\tGyr_Y\tGyr_Z\tMag_X\tMag_Y\tMag_Z\n"
    (tmp_path / "3-1_rf.txt").write_text("Acquisition frequency: 100 Hz\n" + names + body)
    labels = {
        "Height": float("nan"),
        "UTurnBoundaries": [9, 12],
        "LeftFootEvents": [],
        "RightFootEvents": [[2, 5], [14, 19]],
    }
    (tmp_path / "3-1.json").write_text(json.dumps(labels))
    return tmp_path


def test_a_foot_may_be_missing_and_height_unknown(written):
    (trial,) = read_trials(written)
    assert [foot.side for foot in trial.feet] == ["right"]
    assert trial.lower_back is None
    assert np.isnan(trial.height_m)
    imu = trial.feet[0].imu
    assert imu.times_s[7] == 0.08  # slot 7 was lost
    assert imu.samples.shape == (20, 6)
    report = evaluate_strides(written)
    assert report["detection"]["toe_off_0.2s"]["all"]["missed"] == 2
    assert report["errors"]["toe_off_s"] == {"n": 0}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("3-1.json", "{"),
        ("3-1.json", "{}"),
        ("3-1.json", '{"RightFootEvents": [[5, 2]], "UTurnBoundaries": [1, 2]}'),
        ("3-1.json", '{"RightFootEvents": [[2, 5]], "UTurnBoundaries": [1]}'),
        ("3-1_rf.txt", "something else\n"),
        ("3-1_rf.txt", "Acquisition frequency: 100 Hz\nPacketCounter\n"),
        ("3-1_rf.txt", f"Acquisition frequency: 20 Hz\n{NAMES}{ROWS}"),
        ("3-1_rf.txt", f"Acquisition frequency: 1.0.0 Hz\n{NAMES}{ROWS}"),
    ],
)
def test_damaged_files_are_refused(written, file, text):
    (written / file).write_text(text)
    with pytest.raises(DatasetError, match=file):
        read_trials(written)


def test_a_walk_without_a_labelled_step_leaves_its_scores_unknown(written):
    labels = {"UTurnBoundaries": [9, 12], "LeftFootEvents": [], "RightFootEvents": []}
    (written / "3-1.json").write_text(json.dumps(labels))
    for name in ("lf", "rf", "lb"):
        text = f"Acquisition frequency: 100 Hz\n{NAMES}{ROWS}"
        (written / f"3-1_{name}.txt").write_text(text)
    report = evaluate_strides(written)
    assert report["f1"] is None
    assert report["lower_back_cadence"]["windows"] == 0
    json.dumps(report, allow_nan=False)
    assert strides_table(report).row_count > 0


def test_a_folder_without_walks_is_refused(tmp_path, written):
    (written / "3-1_rf.txt").unlink()
    with pytest.raises(DatasetError, match="no foot recording"):
        read_trials(written)
    with pytest.raises(DatasetError, match="no walks"):
        read_trials(tmp_path / "nowhere")


def test_a_counter_that_runs_backwards_is_refused(written):
    file = written / "3-1_rf.txt"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:5] + lines[3:]))
    with pytest.raises(DatasetError, match="counter"):
        read_imu(file)


def test_swing_by_labels_and_by_the_bedside_agree(data_dir):
    """And lie above what anybody in the GSTRIDE register has, 35 %: it defines swing otherwise."""
    found = evaluate_strides(data_dir / "gait" / "imu_walks")
    assert found["labelled_swing_fraction"] > 0.35
    assert found["parameters"]["swing_fraction"]["mean"] == pytest.approx(
        found["labelled_swing_fraction"], abs=0.02
    )


def test_labelled_swing_of_made_up_labels():
    swings_s = np.array([[0.0, 0.4], [1.0, 1.4], [2.0, 2.5], [12.0, 12.4], [13.0, 13.4]])
    straight = np.array([True, True, True, True, False])
    # of the four strides one lasts 10 s, one is not straight: 0.4 and 0.4 remain
    assert labelled_swing([(swings_s, straight)]) == pytest.approx(0.4)
    assert labelled_swing([(swings_s[:1], straight[:1])]) is None
