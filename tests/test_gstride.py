"""GSTRIDE register reader: the real file, tables like it, and what must be refused."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest

from edge_app.errors import DatasetError
from tests.gstride_tables import ITEM_COLUMNS, TITLES, row, write
from trainer.datasets.gait_parameters import OFFERED, gait_table, is_spread
from trainer.datasets.gstride import COUNTS, read_register, read_table

YES, NO = "YES", "NO"


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


def test_what_the_reports_need_of_the_real_register(data_dir):
    """Counts stated on the data's own page."""
    people = read_register(data_dir)
    assert Counter(person.sex for person in people) == {"F": 118, "M": 45}
    assert Counter(p.place for p in people) == {
        "Consultation": 65,
        "Nursing home": 51,
        "Familiar": 47,
    }
    assert sum(person.lives_in_nursing_home is True for person in people) == 53
    assert sum(math.isnan(person.tug_s) for person in people) == 16
    first = people[0]
    assert (first.person, first.age_range, first.gait_speed_mps) == ("V001", "80-84", 1.42)
    assert first.gait.stride_time_s.std == 0.072


def test_medians_of_the_real_register(data_dir):
    """Figures of the reference page, found there by other code."""
    people = read_register(data_dir)
    frail = sorted(p.gait.stride_length_m.mean for p in people if p.frailty == "frail")
    assert frail[len(frail) // 2] == pytest.approx(0.61, abs=0.005)
    robust = sorted(p.gait.toe_off_angle_deg.mean for p in people if p.frailty == "robust")
    assert robust[len(robust) // 2] == pytest.approx(-60, abs=0.5)


def test_what_a_model_reads_is_in_the_units_of_the_bedside(tmp_path):
    people = read_table(write(tmp_path / "r.csv", [row("V001")])).people
    table = dict(zip(OFFERED, gait_table(people, OFFERED)[0], strict=True))
    assert table["stride_time_s_mean"] == 1.2
    assert table["load_fraction_mean"] == pytest.approx(0.11)
    assert table["swing_fraction_sd"] == pytest.approx(0.019)
    assert table["toe_off_angle_deg_mean"] == -52.0
    assert table["stride_speed_mps_mean"] == pytest.approx(0.90 / 1.20)
    assert "stride_speed_mps_sd" not in table  # the register's step speed is another quotient
    assert is_spread(OFFERED).sum() == 12
    assert len(OFFERED) == 25


def test_classes_by_number_of_items(tmp_path):
    rows = [
        row("V001", (NO, NO, NO, NO, NO), "0"),
        row("V002", (YES, NO, NO, NO, "-"), "1"),
        row("V003", (NO, "YES ", NO, NO, YES), "2"),
        row("V004", (YES, YES, YES, "Incapable", NO), "3"),
        row("V005", (YES, YES, YES, YES, YES), "5"),
    ]
    counts = {"robust": 1, "prefrail": 2, "frail": 2}
    people = read_register(write(tmp_path / "r.csv", rows), expected_counts=counts)
    assert [person.frailty for person in people] == [
        *("robust", "prefrail", "prefrail", "frail", "frail")
    ]
    assert people[0].gait.clearance_m.mean == 0.12
    assert people[0].gait.clearance_m.std == 0.02


@pytest.mark.parametrize(
    ("items", "index", "frailty", "fried_index"),
    [
        (("", "", "", "", ""), "3", "frail", 3),  # clinical columns blank: the index decides
        ((YES, NO, NO, NO, NO), "", "prefrail", 1),  # no index: counted
        ((YES, NO, NO, NO, "-"), "", "prefrail", None),  # 1 or 2: pre-frail either way
        ((YES, YES, YES, "-", "-"), "", "frail", None),
        ((NO, "-", NO, NO, NO), "1", "prefrail", 1),  # the blank item was a yes
        ((NO, "-", NO, NO, NO), "", None, None),  # 0 or 1: robust or pre-frail
        ((YES, YES, "-", NO, NO), "", None, None),
        (("", "", "", "", ""), "", None, None),
    ],
)
def test_frailty_from_index_or_items(tmp_path, items, index, frailty, fried_index):
    rows = [row("V001", (NO,) * 5, "0"), row("V002", items, index)]
    table = read_table(write(tmp_path / "r.csv", rows))
    if frailty is None:
        assert table.left_out == ("V002",)
        assert [person.person for person in table.people] == ["V001"]
    else:
        assert table.left_out == ()
        assert (table.people[1].frailty, table.people[1].fried_index) == (frailty, fried_index)


def test_people_left_out_are_told(tmp_path, caplog):
    rows = [row("V001"), row("V002", ("",) * 5, "")]
    read_table(write(tmp_path / "r.csv", rows))
    assert "left out 1 of 2" in caplog.text
    assert "V002" in caplog.text


def test_missing_gait_keeps_the_person_for_evaluation_only(tmp_path):
    cells = row("V001")
    cells[TITLES.index("Load - Avg. (%)")] = ""
    cells[TITLES.index("Clearance - STD (m)")] = "-"
    cells[31] = cells[32] = cells[33] = ""
    path = write(tmp_path / "r.csv", [cells])
    (person,) = read_table(path).people
    assert math.isnan(person.gait.load_percent.mean)
    assert person.gait.load_percent.std == 1.5
    assert math.isnan(person.gait.clearance_m.std)
    with pytest.raises(DatasetError, match="V001 lacks load_percent"):
        read_register(path, expected_counts={"robust": 1})


GIVEN = (row("V001"), row("V002", (YES, YES, YES, NO, NO), "3"))


def reordered() -> tuple[tuple[str, ...], list[list[str]]]:
    order = np.random.default_rng(3).permutation(len(TITLES))
    return tuple(TITLES[i] for i in order), [[one[i] for i in order] for one in GIVEN]


def without(*names: str) -> tuple[tuple[str, ...], list[list[str]]]:
    kept = [i for i, title in enumerate(TITLES) if not title.startswith(names)]
    return tuple(TITLES[i] for i in kept), [[one[i] for i in kept] for one in GIVEN]


@pytest.mark.parametrize(
    ("titles_and_rows", "saved"),
    [
        (reordered(), {}),
        (without("Notes", "Type", "Device", "Location", "Test surface", "Sex", "Distance"), {}),
        (without("Unintentional", "Low", "Gait speed", "Manual", "Time", "SPPB"), {}),
        ((TITLES, list(GIVEN)), {"encoding": "utf-8-sig"}),
        ((TITLES, list(GIVEN)), {"delimiter": ","}),
        ((TITLES, list(GIVEN)), {"delimiter": "\t", "descriptions": False}),
        (
            ([title.upper().replace("  ", " ") for title in TITLES], list(GIVEN)),
            {"encoding": "utf-8"},
        ),
        ((TITLES, [[c.replace(",", ".") for c in one] for one in GIVEN]), {"delimiter": ","}),
        ((TITLES, [*GIVEN, [""] * len(TITLES)]), {}),
    ],
)
def test_tolerant_in_form(tmp_path, titles_and_rows, saved):
    titles, rows = titles_and_rows
    people = read_table(write(tmp_path / "r.csv", rows, titles=titles, **saved)).people
    assert [(person.person, person.frailty) for person in people] == [
        ("V001", "robust"),
        ("V002", "frail"),
    ]
    assert people[0].gait.stride_time_s.mean == 1.2
    assert people[0].gait.toe_off_angle_deg.mean == -52.0


def test_fewer_gait_columns_are_not_known(tmp_path):
    titles, rows = without("Push", "3D Path", "Clearance")
    (person, _) = read_table(write(tmp_path / "r.csv", rows, titles=titles)).people
    assert math.isnan(person.gait.push_percent.mean)
    assert person.gait.swing_percent.mean == 29.0


def changed(title: str, cell: str) -> list[str]:
    cells = row("V001")
    cells[TITLES.index(title)] = cell
    return cells


def retitled(old: str, new: str) -> list[str]:
    return [new if title == old else title for title in TITLES]


GOOD = row("V001")


@pytest.mark.parametrize(
    ("rows", "titles", "problem"),
    [
        ([GOOD], retitled("ID (VNNN)", "Name"), "is not the GSTRIDE register"),
        ([GOOD], retitled("Stride time - Avg. (s)", "Stride"), "is not the GSTRIDE register"),
        ([], TITLES, "is not the GSTRIDE register"),
        ([GOOD], retitled("Strides", "Time (s)"), "a column occurs twice"),
        ([GOOD], retitled("Stride time - Avg. (s)", "Stride time - Avg. (ms)"), "another unit"),
        ([GOOD], retitled("Load - STD (%)", "Load - STD (share)"), "another unit"),
        ([GOOD[:-2]], TITLES, "line 4 has another length"),
        ([row("V001", (YES, NO, NO, NO, NO), "0")], TITLES, "does not follow"),
        ([row("V001", (NO, NO, NO, NO, "-"), "2")], TITLES, "does not follow"),
        ([row("V001", (NO,) * 5, "0,5")], TITLES, "does not follow"),
        ([row("V001", ("perhaps", NO, NO, NO, NO), "0")], TITLES, "unknown answer"),
        (
            [changed("Stride time - Avg. (s)", "1.2.3")],
            TITLES,
            "no number in column 'Stride time - Avg. ",
        ),
        ([changed("Stride time - Avg. (s)", "nan")], TITLES, "no number"),
        ([changed("Stride time - Avg. (s)", "1200")], TITLES, r"column 'Stride time - Avg. \(s\)'"),
        ([changed("Stride time - STD (s)", "-0,1")], TITLES, r"column 'Stride time - STD \(s\)'"),
        ([changed("Foot Flat - Avg. (%)", "0,42")], TITLES, "do not sum to a stride"),
        ([changed("Toe-Off angle - Avg. (°)", "52,0")], TITLES, "other sign"),
        ([changed("Toe-Off angle - Avg. (°)", "-0,91")], TITLES, "degrees: a median beyond 5 deg"),
        ([GOOD, GOOD], TITLES, "a person occurs twice"),
        ([row("V001", ("",) * 5, "")], TITLES, "nobody's frailty can be determined"),
    ],
)
def test_strict_in_meaning(tmp_path, rows, titles, problem):
    for read in (read_table, read_register):
        with pytest.raises(DatasetError, match=problem) as refused:
            read(write(tmp_path / "r.csv", rows, titles=titles))
        assert "r.csv" in str(refused.value)
        assert "10.5281/zenodo.8003441" in refused.value.next_step


def test_training_insists_on_the_published_people(tmp_path):
    path = write(tmp_path / "r.csv", [GOOD])
    assert len(read_table(path).people) == 1
    with pytest.raises(DatasetError, match="the people are not those of the register"):
        read_register(path)


def test_clinical_and_site_columns_are_never_offered_to_a_model():
    assert not [name for name in OFFERED if "tug" in name or "4m" in name or "grip" in name]
    assert len(ITEM_COLUMNS) == 5
    stems = {name.removesuffix("_mean").removesuffix("_sd") for name in OFFERED}
    assert len(stems) == 13


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\r\n\r\n", "is empty"),
        (b"a,b,c\n1,2,3\n", "is not the GSTRIDE register"),
        (b"\x81\x8d;\n", "is not the GSTRIDE register"),
        (b"PK\x03\x04 sheet", "is not text.* Export it as CSV"),
        (b"0123456789\x00", "is not text.* Export it as CSV"),
        ("ID;Stride".encode("utf-16"), "UTF-16.* Save it as UTF-8"),
        ("ID;Stride".encode("utf-16-le"), "UTF-16.* Save it as UTF-8"),
    ],
)
def test_no_table_is_refused(tmp_path, content, said):
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(DatasetError) as refused:
        read_table(tmp_path / "r.csv")
    assert re.search(said, str(refused.value))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such file") as refused:
        read_register(tmp_path / "gstride.csv")
    assert "spelling" in refused.value.next_step


def test_a_typographic_minus_is_a_minus(tmp_path):
    cells = changed("Toe-Off angle - Avg. (°)", "\N{MINUS SIGN}61,5")
    (person,) = read_table(write(tmp_path / "r.csv", [cells], encoding="utf-8")).people
    assert person.gait.toe_off_angle_deg.mean == -61.5
