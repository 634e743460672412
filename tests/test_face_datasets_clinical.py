"""The clinical layout: labels from file names, persons from folders, and splits by person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.errors import DatasetError
from tests.face_files import clinical_set, drawn, picture
from trainer.datasets.clinical_faces import LABELS
from trainer.datasets.face_division import choose_side, divide, imbalance
from trainer.datasets.face_reading import read_face_data
from trainer.datasets.face_set import FaceData, Faces

WORDS = "Anger Contempt Disgust Fear Happy Neutral Sad Surprised"
PEOPLE = (
    ("0", "FEMALE", "25", "RU"),
    ("1", "male", "31", "India"),
    ("12", "m", "40", "Philippines"),
    ("7", "Female", "30", "russia"),
)


def read(root: Path, labels: tuple[str, ...] = LABELS) -> FaceData:
    return read_face_data(root, labels)


def test_the_file_is_the_class_and_the_folder_the_person(tmp_path: Path) -> None:
    data = read(clinical_set(tmp_path / "set", PEOPLE, WORDS))
    assert data.layout.startswith("clinical")
    faces = data.faces["own split"]
    assert faces.counts == (4,) * 8
    assert sorted(set(faces.groups)) == ["0", "1", "12", "7"]
    assert faces.pixels.shape == (32, 48, 48)
    assert faces.attributes is not None
    first = {person: list(faces.groups).index(person) for person in ("0", "1", "12", "7")}
    told = {
        person: tuple(str(faces.attributes[name][row]) for name in faces.attributes)
        for person, row in first.items()
    }
    assert list(faces.attributes) == ["age_group", "gender", "country", "country_raw"]
    assert told == {
        "0": ("Under_31", "female", "RU", "RU"),
        "1": ("Beyond_31", "male", "Other", "India"),
        "12": ("Beyond_31", "male", "Other", "Philippines"),
        "7": ("Under_31", "female", "RU", "russia"),
    }


def test_seven_classes_leave_contempt_out(tmp_path: Path) -> None:
    root = clinical_set(tmp_path, PEOPLE, WORDS)
    fer = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    data = read(root, fer)
    assert data.faces["own split"].counts == (4,) * 7
    assert any("4 pictures left out: contempt" in note for note in data.notes)


def test_the_table_is_found_by_its_columns_and_ids_agree_in_any_writing(tmp_path: Path) -> None:
    clinical_set(tmp_path, (("07", "", "", ""), ("3", "", "", "")), WORDS)
    (tmp_path / "people.csv").unlink()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "table.csv").write_text("Country;Set ID;AGE\nRU;7.0;64\n;3;old\n")
    data = read(tmp_path)
    attributes = data.faces["own split"].attributes
    assert attributes is not None
    assert set(attributes["age_group"]) == {"Beyond_31", ""}
    assert set(attributes["country"]) == {"RU", ""}
    assert set(attributes["gender"]) == {""}
    assert any("no column gender" in note for note in data.notes)
    assert any("row 3: age old is no age" in note for note in data.notes)


def test_what_table_and_folders_lack_is_said(tmp_path: Path) -> None:
    root = clinical_set(tmp_path, PEOPLE, WORDS)
    (root / "people.csv").write_text("set_id,gender,age,country\n0,f,25,RU\n1,m,31,RU\n99,m,2,RU\n")
    (root / "7" / "Sad.jpg").unlink()
    picture(root / "7" / "selfie.jpg", grey=1)
    notes = " ".join(read(root).notes)
    assert "persons without a row in the table: 12, 7" in notes
    assert "persons of the table without a picture: 99" in notes
    assert "1 of 4 persons lack a picture of some class" in notes
    assert "1 picture left out: named by no class" in notes


def test_without_a_table_persons_are_known_and_nothing_else(tmp_path: Path) -> None:
    root = clinical_set(tmp_path, PEOPLE, WORDS)
    (root / "people.csv").unlink()
    data = read(root)
    assert data.layout.startswith("clinical")
    assert data.faces["own split"].attributes is None
    assert len(set(data.faces["own split"].groups)) == 4
    assert any("no csv with a column set_id" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("set_id,age\n0,25\n0,46\n", "row 3: person 0 stands here twice"),
        ("set_id,age\n,25\n", "row 2: no set_id"),
        ("set_id,age\n", "no person"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    root = clinical_set(tmp_path, PEOPLE[:1], WORDS)
    (root / "people.csv").write_text(text)
    with pytest.raises(DatasetError, match=problem):
        read(root)


def test_two_tables_are_refused(tmp_path: Path) -> None:
    root = clinical_set(tmp_path, PEOPLE, WORDS)
    (root / "second.csv").write_text("set_id,age\n0,25\n")
    with pytest.raises(DatasetError, match=r"several tables.*people\.csv, second\.csv"):
        read(root)


# ---- dividing


def made(n_people: int, seed: int = 0, *, incomplete: bool = False) -> Faces:
    """Return eight pictures each of people with random demographics."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(n_people), 8)
    labels = np.tile(np.arange(8), n_people)
    words = {
        "age_group": np.array(["Under_31", "Beyond_31"])[random.integers(0, 2, n_people)],
        "gender": np.array(["male", "female"])[random.integers(0, 2, n_people)],
        "country": np.array(["RU", "Other", "Other"])[random.integers(0, 3, n_people)],
    }
    faces = Faces(
        pixels=drawn(len(person), seed=seed),
        labels=labels,
        groups=np.array([f"p{i:03d}" for i in person]),
        usage="own split",
        n_labels=8,
        names=np.array([f"{i:05d}" for i in range(len(person))]),
        attributes={name: column[person] for name, column in words.items()},
    )
    return faces.take(random.random(len(person)) < 0.7) if incomplete else faces


@settings(max_examples=25, deadline=None)
@given(
    n_people=st.integers(3, 40),
    validation=st.floats(0.05, 0.45),
    test=st.floats(0.0, 0.45),
    seed=st.integers(0, 5),
)
def test_sides_share_nobody_and_lose_nothing(
    n_people: int, validation: float, test: float, seed: int
) -> None:
    faces = made(n_people, seed)
    sides = divide(faces, validation_share=validation, test_share=test, seed=seed)
    groups = [set(side.groups) for side in sides]
    assert sum(map(len, groups)) == len(set.union(*groups)) == n_people
    assert sorted(np.concatenate([side.names for side in sides])) == sorted(faces.names)
    assert groups[0]
    assert groups[1]
    assert bool(groups[2]) == (test > 0)


def test_the_search_beats_nearly_all_random_sides() -> None:
    faces = made(19, seed=2, incomplete=True)
    found = imbalance(faces, choose_side(faces, 0.25, seed=1))
    random = np.random.default_rng(9)
    persons = np.unique(faces.groups)
    by_chance = [
        imbalance(faces, np.isin(faces.groups, random.permutation(persons)[:5])) for _ in range(300)
    ]
    assert found <= np.quantile(by_chance, 0.02)


def test_the_same_seed_gives_the_same_side_in_any_order_of_pictures() -> None:
    faces = made(19, seed=4)
    side = set(faces.groups[choose_side(faces, 0.3, seed=5)])
    order = np.random.default_rng(1).permutation(len(faces.labels))
    shuffled = faces.take(order)
    assert side == set(shuffled.groups[choose_side(shuffled, 0.3, seed=5)])
    draws = {frozenset(faces.groups[choose_side(faces, 0.3, seed=s)]) for s in range(6)}
    assert len(draws) > 1


def test_many_pictures_without_persons_are_divided_class_by_class() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 3_000)
    faces = Faces(
        pixels=np.zeros((3_000, 48, 48), np.uint8),
        labels=labels,
        groups=np.array([f"{i // 2:05d}" for i in range(3_000)]),  # every picture twice
        usage="own split",
        n_labels=3,
        names=np.array([f"{i:05d}" for i in range(3_000)]),
    )
    side = choose_side(faces, 0.2, seed=1)
    assert not np.isin(faces.groups[side], faces.groups[~side]).any()
    assert side.mean() == pytest.approx(0.2, abs=0.002)
    shares = [np.bincount(labels[rows], minlength=3) / rows.sum() for rows in (side, ~side)]
    assert np.abs(shares[0] - shares[1]).max() < 0.05
