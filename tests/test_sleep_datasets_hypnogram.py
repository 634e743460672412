"""Hypnograms: annotations, JSON and text to one stage an epoch, and what is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.errors import DatasetError
from tests.sleep_edf_files import CODE, TEXT, runs_of, write_hypnogram
from trainer.datasets.hypnogram import Hypnogram, Run, hypnogram_of_runs
from trainer.datasets.hypnogram_align import Placement, place, stages_on_grid
from trainer.datasets.hypnogram_files import read_hypnogram
from trainer.datasets.hypnogram_json import read_json_hypnogram
from trainer.datasets.sleep_counts import (
    PUBLISHED_COUNTS,
    SLEEP_EDF_20,
    count_stages,
    sleep_range,
)
from trainer.datasets.sleep_stages import stage_of_text

LETTERS = "WW122MM34R?W"
STAGES = [0, 0, 1, 2, 2, -1, -1, 3, 3, 4, -1, 0]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# Real files


def real_letters(folder, record):
    return json.loads((folder / f"{record}.json").read_text())["stages"]


@pytest.mark.parametrize("night", ["SC4001EC", "SC4002EC", "SC4042EC", "SC4082EP"])
def test_real_annotations_agree_with_the_json_epoch_by_epoch(data_dir, night):
    folder = data_dir / "sleep" / "hypnograms"
    letters = real_letters(folder, f"{night[:7]}0")
    expected = [{"M": -1, "?": -1}.get(letter, CODE[letter]) for letter in letters]
    read = read_hypnogram(folder / f"{night}-Hypnogram.edf")
    assert read.stages[: len(expected)].tolist() == expected
    assert len(read.stages) == 2880
    assert set(read.stages[len(expected) :]) <= {-1}
    assert read_json_hypnogram(folder / f"{night[:7]}0.json").start_unix_s == read.start_unix_s


@pytest.mark.parametrize(
    ("drop_first", "expected"),
    [(True, (5683, 2216, 13162, 4366, 5516)), (False, (5682, 2216, 13162, 4366, 5516))],
)
def test_the_29_nights_have_the_documented_counts_by_both_conventions(
    data_dir, drop_first, expected
):
    nights = [
        read_json_hypnogram(path).stages
        for path in (data_dir / "sleep" / "hypnograms").glob("*.json")
    ]
    assert len(nights) == 29
    kept = [sleep_range(night, drop_first=drop_first) for night in nights]
    counts = count_stages(
        night[keep.start : keep.stop] for night, keep in zip(nights, kept, strict=True)
    )
    assert counts.scored == expected
    assert counts.total == sum(expected)


def test_lights_of_the_json_are_seconds_after_the_recording_began(data_dir):
    night = read_json_hypnogram(data_dir / "sleep" / "hypnograms" / "SC4001E0.json")
    assert night.lights_off_s == (24 - 16) * 3600 - 13 * 60 + 38 * 60  # 16:13 to 00:38
    assert night.lights_on_s == night.lights_off_s + (6 * 3600 + 56 * 60 + 30) - 38 * 60


def test_the_canonical_set_is_39_nights():
    assert len(SLEEP_EDF_20) == 39
    assert sum(PUBLISHED_COUNTS) == 42_308


# Annotations


def test_annotations_become_epochs_with_masked_ones_in_place(tmp_path):
    path = write_hypnogram(tmp_path / "h.edf", list(runs_of(LETTERS)))
    assert read_hypnogram(path).stages.tolist() == STAGES


@given(st.text(alphabet="W1234RM?", min_size=1, max_size=200))
def test_any_letters_come_back_from_their_runs(letters):
    runs = [Run(*run) for run in runs_of(letters)]
    expected = [{"M": -1, "?": -1}.get(letter, CODE[letter]) for letter in letters]
    assert hypnogram_of_runs("x", runs[::-1], other_events=False).stages.tolist() == expected


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([(0, 45, "Sleep stage W")], "lasts 45 s.*multiple of 30 s"),
        ([(0, 30, "Sleep stage W"), (60, 30, "Sleep stage 1")], "hole of 30 s.*at 60 s"),
        ([(0, 60, "Sleep stage W"), (30, 30, "Sleep stage 1")], "overlap of 30 s"),
        ([(0, None, "Sleep stage W")], "no duration"),
        (
            [(0, 30, "Sleep stage W"), (30, 30, "Sleep stage 5")],
            "unknown annotation 'Sleep stage 5'",
        ),
        ([(0, 30, "nothing")], "unknown annotation 'nothing'"),
        ([(0, 45, "Sleep stage ?"), (45, 30, "Sleep stage W")], "lasts 45 s"),
    ],
)
def test_annotations_that_are_no_complete_hypnogram_are_refused(runs, words):
    with pytest.raises(DatasetError, match=words):
        hypnogram_of_runs("h.edf", [Run(*run) for run in runs], other_events=False)


def test_a_last_unscored_run_may_end_anywhere():
    runs = [Run(0, 60, "Sleep stage W"), Run(60, 6917, "Sleep stage ?")]
    stages = hypnogram_of_runs("h", runs, other_events=False).stages
    assert stages[:2].tolist() == [0, 0]
    assert len(stages) == 2 + 230


def test_other_events_are_left_out_only_where_the_stages_are_complete_without_them():
    staged = [Run(*run) for run in runs_of("WW11")]
    read = hypnogram_of_runs(
        "h", [*staged, Run(12, 3, "Arousal"), Run(5, None, "Lights off")], other_events=True
    )
    assert read.stages.tolist() == [0, 0, 1, 1]
    assert "Arousal" in read.notes[0]
    assert read.lights_off_s == 5


@pytest.mark.parametrize("text", ["Stadium 7", "Sleep stage 7"])
@pytest.mark.parametrize("at", [1, 2])
def test_unknown_annotations_in_the_place_of_a_stage_are_refused(text, at):
    texts = ["Sleep stage W", "Sleep stage 1", "Sleep stage 2"]
    texts[at] = text
    runs = [Run(30.0 * number, 30.0, word) for number, word in enumerate(texts)]

    def lay():
        expert = hypnogram_of_runs("h", runs, other_events=True)
        return stages_on_grid(expert, Placement(0.0, 0), 3, rest_s=0.0)

    with pytest.raises(DatasetError, match=text):
        lay()


def test_files_without_a_hypnogram_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such hypnogram"):
        read_hypnogram(tmp_path / "absent.edf")
    with pytest.raises(DatasetError, match="no sleep stage"):
        read_hypnogram(write_hypnogram(tmp_path / "x.edf", [(0, 30, "Arousal")]))
    (tmp_path / "cut.edf").write_bytes((tmp_path / "x.edf").read_bytes()[:300])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_hypnogram(tmp_path / "cut.edf")


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("Sleep stage W", 0),
        ("SLEEP-S1", 1),
        ("sleep_stage_n2", 2),
        ("N3", 3),
        ("Sleep stage 4", 3),
        ("Sleep stage N3", 3),
        ("Sleep stage R", 4),
        ("REM", 4),
        ("wake", 0),
        ("Movement time", -1),
        ("Sleep stage ?", -1),
        ("stage 2", 2),
        ("2", None),
        ("Sleep stage 5", None),
        ("Lights off", None),
        ("", None),
    ],
)
def test_words_of_scorers(text, stage):
    assert stage_of_text(text) == stage


# JSON


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"stages": "WX1"}, "unknown stages.*X"),
        ({"stages": "WW", "n_epochs": 3}, "contradict"),
        ({"stages": "WW", "epoch_s": 20}, "contradict"),
        ({"night": 1}, "cannot be read"),
        ([1], "cannot be read"),
    ],
)
def test_json_that_is_no_hypnogram_is_refused(tmp_path, content, words):
    path = write(tmp_path / "h.json", json.dumps(content))
    with pytest.raises(DatasetError, match=words):
        read_hypnogram(path)


# Text


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["WAKE", "W", "N1", "N2", "n2", "MT", "M", "N3", "S4", "REM", "?", "W"]),
        "stage\n"
        + "\n".join(["W", "W", "N1", "N2", "N2", "U", "U", "N3", "N3", "R", "U", "W"])
        + "\n",
        "epoch,stage\n0,W\n1,W\n2,S1\n3,S2\n4,S2\n5,M\n6,M\n7,S3\n8,S4\n9,R\n10,?\n11,W",
        "\n".join(LETTERS),
        "onset\tduration\ttrial_type\n"
        + "\n".join(f"{a}\t{b}\t{c}" for a, b, c in runs_of(LETTERS)),
        "onset;duration;stage\n"
        + "\n".join(f"{30 * i};30;{TEXT[w]}" for i, w in enumerate(LETTERS)),
    ],
)
def test_text_files_of_words(tmp_path, text):
    assert read_hypnogram(write(tmp_path / "h.txt", text)).stages.tolist() == STAGES


def test_numbers_need_a_coding(tmp_path):
    path = write(tmp_path / "h.txt", "0\n1\n5\n3\n-1\n")
    with pytest.raises(DatasetError, match=r"numbers.*Say the coding: aasm.*rk.*dreams"):
        read_hypnogram(path)
    assert read_hypnogram(path, coding="rk").stages.tolist() == [0, 1, 4, 3, -1]
    with pytest.raises(DatasetError, match="unknown stage '5' in row 3"):
        read_hypnogram(path, coding="aasm")
    table = write(tmp_path / "h.csv", "onset,duration,stage\n0,30,0\n30,60,4\n")
    with pytest.raises(DatasetError, match="coding"):
        read_hypnogram(table)
    assert read_hypnogram(table, coding="aasm").stages.tolist() == [0, 4, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("W\nN1\nN9\n", "unknown stage 'N9' in row 3"),
        ("W\n\nN1\n", "unknown stage '' in row 2"),
        ("onset,stage\n0,W\n", "lacks a column"),
        ("onset,duration,stage\n0,x,W\n", "no onset, duration and stage"),
        ("a,b\nW,W\n", "none of which is called stage"),
        ("onset,duration,stage\n0,30,W\n60,30,W\n", "hole"),
    ],
)
def test_text_that_is_no_hypnogram_is_refused(tmp_path, text, words):
    with pytest.raises(DatasetError, match=words):
        read_hypnogram(write(tmp_path / "h.csv", text))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DatasetError, match="as text"):
        read_hypnogram(tmp_path / "binary.txt")


def test_values_every_5_s_become_epochs_by_majority_and_ties_are_masked(tmp_path):
    values = (
        [5] * 6 + [2, 2, 2, 2, 3, 3] + [3, 3, 3, 2, 2, 2] + [1, 1, 1, 0, 0, 0] + [4] * 6 + [-1] * 6
    )
    path = write(tmp_path / "Hypnogram.txt", "[Hypnogram]\n" + "\n".join(map(str, [*values, 5])))
    read = read_hypnogram(path)
    assert read.stages.tolist() == [0, 2, -1, 3, 4, -1]
    assert "2 of 6 epochs hold several stages" in read.notes[1]
    assert "1 of them tie" in read.notes[1]
    assert "last 1 values" in read.notes[2]
    assert read.notes[0] == "digits read as dreams: 5 W, 4 R, 3 N1, 2 N2, 1 and 0 N3"


def read_or_refuse(path, **options):
    """Return whether there are stages, or an error that names the file."""
    try:
        stages = read_hypnogram(path, **options).stages
    except DatasetError as error:
        return str(path) in str(error)
    return set(stages.tolist()) <= {-1, 0, 1, 2, 3, 4}


ANY_CELL = st.sampled_from(["W", "N1", "2", "-1", "nan", "1e400", "1e15", "30", "", "?", "x", '"'])
ANY_LINES = st.lists(st.lists(ANY_CELL, min_size=1, max_size=4), max_size=6)


@given(
    st.sampled_from(["", "stage", "onset,duration,stage", "[Hypnogram]", "epoch;stage"]),
    ANY_LINES,
    st.sampled_from(",;\t"),
    st.sampled_from([None, "aasm", "rk", "dreams"]),
)
def test_whatever_the_text_there_is_a_hypnogram_or_one_clear_error(header, lines, mark, coding):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.txt"
        path.write_text("\n".join([header, *(mark.join(cells) for cells in lines)]))
        assert read_or_refuse(path, coding=coding)


@given(st.integers(0, 700), st.binary(min_size=1, max_size=40), st.integers(0, 800))
def test_whatever_is_damaged_in_annotations_there_is_one_clear_error(at, damage, length):
    with tempfile.TemporaryDirectory() as folder:
        path = write_hypnogram(Path(folder) / "h.edf", list(runs_of(LETTERS)))
        raw = bytearray(path.read_bytes())
        raw[at : at + len(damage)] = damage
        path.write_bytes(raw[:length])
        assert read_or_refuse(path)


# Alignment


def test_a_later_start_off_the_grid_is_told_and_shifts_the_grid():
    expert = Hypnogram("h", np.array([1, 2, 3]), start_unix_s=1067.0)
    placement = place(expert, recording_start_unix_s=1000.0)
    assert (placement.skip_s, placement.first) == (7.0, 2)
    assert "67 s after" in placement.notes[0]
    assert "not on its 30-s grid" in placement.notes[1]
    assert stages_on_grid(expert, placement, 5, rest_s=0.0).tolist() == [-1, -1, 1, 2, 3]
    assert place(expert, recording_start_unix_s=1000.0, offset_s=0.0) == Placement(0.0, 0)
    assert place(expert, recording_start_unix_s=None) == Placement(0.0, 0)


@pytest.mark.parametrize(
    ("n_epochs", "first", "words"),
    [
        (2, 0, "mismatched lengths: 1 epoch.*after the recording ends"),
        (4, 0, "mismatched lengths: 1 epoch.*after the hypnogram ends"),
        (3, -1, "mismatched lengths: 1 epoch.*before the recording begins"),
        (3, 3, "do not overlap"),
        (3, -3, "do not overlap"),
    ],
)
def test_a_hypnogram_that_does_not_fit_is_refused(n_epochs, first, words):
    expert = Hypnogram("h", np.array([1, 2, 3]))
    with pytest.raises(DatasetError, match=words):
        stages_on_grid(expert, Placement(0.0, first), n_epochs, rest_s=0.0)


def test_unscored_epochs_may_lie_outside_the_recording_and_one_may_be_cut():
    unscored = Hypnogram("h", np.array([-1, 1, 2, -1, -1]))
    assert stages_on_grid(unscored, Placement(0.0, -1), 2, rest_s=0.0).tolist() == [1, 2]
    cut = Hypnogram("h", np.array([1, 2, 3]))
    assert stages_on_grid(cut, Placement(0.0, 0), 2, rest_s=12.0).tolist() == [1, 2]


@given(st.lists(st.integers(-1, 4), max_size=300), st.booleans())
def test_sleep_range_keeps_all_sleep_and_at_most_60_scored_epochs_around_it(stages, drop_first):
    stages = np.array(stages, np.int64)
    keep = sleep_range(stages, drop_first=drop_first)
    asleep = np.flatnonzero(stages > 0)
    assert (len(keep) == 0) == (len(asleep) == 0)
    if len(asleep):
        assert keep.start <= asleep[0]
        assert keep.stop > asleep[-1]
        before = stages[keep.start : asleep[0]]
        outside = stages[: keep.start]
        counted, left = (before >= 0, outside >= 0) if drop_first else (before > -2, outside > -2)
        assert counted.sum() == min(60, counted.sum() + left.sum())
