"""GSTRIDE register reader: the real file, and every way in which another file must be refused."""

from __future__ import annotations

import csv
import io
from collections import Counter

import pytest

from edge_app.errors import DatasetError
from trainer.datasets.gstride import COUNTS, N_COLUMNS, read_register

TITLES = [f"column {i}" for i in range(N_COLUMNS)]
TITLES[24] = "Frailty assessment (index)"


def row(person: str, items: tuple[str, ...], index: str) -> list[str]:
    """A made-up person: ``items`` are columns 18, 19, 20, 22, 23."""
    cells = ["NO"] * N_COLUMNS
    cells[1], cells[5], cells[8] = person, "CSIC", "Plane"
    for column, answer in zip((18, 19, 20, 22, 23), items, strict=True):
        cells[column] = answer
    cells[24] = index
    cells[34:] = ["1,5", "0,25"] * 13
    return cells


def write(path, rows: list[list[str]], *, titles: list[str] = TITLES, encoding: str = "cp1252"):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerows([[""] * len(titles), titles, ["é"] * len(titles), *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def test_the_real_register(data_dir):
    people = read_register(data_dir)
    assert len(people) == 163
    assert Counter(person.frailty for person in people) == COUNTS
    assert Counter(person.fried_index for person in people) == {0: 65, 1: 49, 2: 28, 3: 15, 4: 6}
    assert sum(not person.has_recording for person in people) == 5
    assert Counter(person.device for person in people) == {"CSIC": 153, "Gaitup": 10}
    assert Counter(person.frailty for person in people if not person.indoors) == {
        "robust": 35,
        "prefrail": 20,
    }
    phases = [
        sum(
            getattr(person.gait, f"{phase}_percent").mean
            for phase in ("load", "foot_flat", "push", "swing")
        )
        for person in people
    ]
    assert min(phases) > 97.4
    assert max(phases) < 102.1
    # Cadence is of one foot: 60 s over the stride time, up to the mean of ratios.
    ratios = [
        person.gait.cadence_strides_per_min.mean * person.gait.stride_time_s.mean / 60
        for person in people
    ]
    assert min(ratios) > 0.9
    assert max(ratios) < 1.15


def test_medians_of_the_real_register(data_dir):
    """Figures of the reference page, found there by other code."""
    people = read_register(data_dir)
    frail = sorted(p.gait.stride_length_m.mean for p in people if p.frailty == "frail")
    assert frail[len(frail) // 2] == pytest.approx(0.61, abs=0.005)
    robust = sorted(p.gait.toe_off_angle_deg.mean for p in people if p.frailty == "robust")
    assert robust[len(robust) // 2] == pytest.approx(-60, abs=0.5)


def test_classes_by_number_of_items(tmp_path):
    yes, no = "YES", "NO"
    rows = [
        row("V001", (no, no, no, no, no), "0"),
        row("V002", (yes, no, no, no, "-"), "1"),
        row("V003", (no, "YES ", no, no, yes), "2"),
        row("V004", (yes, yes, yes, "Incapable", no), "3"),
        row("V005", (yes, yes, yes, yes, yes), "5"),
    ]
    counts = {"robust": 1, "prefrail": 2, "frail": 2}
    people = read_register(write(tmp_path / "r.csv", rows), expected_counts=counts)
    assert [person.frailty for person in people] == [
        "robust",
        "prefrail",
        "prefrail",
        "frail",
        "frail",
    ]
    assert people[0].gait.clearance_m.mean == 1.5
    assert people[0].gait.clearance_m.std == 0.25


GOOD = row("V001", ("NO",) * 5, "0")


@pytest.mark.parametrize(
    ("rows", "titles", "problem"),
    [
        ([GOOD], TITLES[:-1], "is not the GSTRIDE register"),
        ([GOOD], ["a", *TITLES[1:24], "other", *TITLES[25:]], "is not the GSTRIDE register"),
        ([GOOD[:-2]], TITLES, "line 4 has another length"),
        ([row("V001", ("YES", "NO", "NO", "NO", "NO"), "0")], TITLES, "does not follow"),
        ([row("V001", ("perhaps", "NO", "NO", "NO", "NO"), "0")], TITLES, "unknown answer"),
        ([[*GOOD[:34], "1.2.3", *GOOD[35:]]], TITLES, "no number"),
        ([GOOD, GOOD], TITLES, "a person occurs twice"),
        ([GOOD], TITLES, "the people are not those of the register"),
    ],
)
def test_another_file_is_refused(tmp_path, rows, titles, problem):
    with pytest.raises(DatasetError, match=problem) as refused:
        read_register(write(tmp_path / "r.csv", rows, titles=titles))
    assert "r.csv" in str(refused.value)
    assert "10.5281/zenodo.8003441" in refused.value.next_step


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b"a,b,c\n1,2,3\n", b"\x81\x8d;\n"])
def test_no_table_is_refused(tmp_path, content):
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(DatasetError):
        read_register(tmp_path / "r.csv")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_register(tmp_path)
