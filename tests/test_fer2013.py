"""FER-2013: labels by name, counts by the published table, no copy on both sides."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_app.errors import DatasetError
from tests.face_files import csv_table, drawn, jpeg, picture
from trainer.datasets import fer2013
from trainer.datasets.face_overview import copies_between, copies_within
from trainer.datasets.face_reading import read_face_data
from trainer.datasets.fer2013 import COUNTS, LABELS, Faces, check_counts, clean, read_faces


@pytest.fixture(scope="module")
def faces(data_dir: Path) -> dict[str, Faces]:
    return read_faces(data_dir)


def test_counts_are_the_published_ones(faces: dict[str, Faces]) -> None:
    assert set(faces) == {"Training", "PublicTest"}
    for usage, total in (("Training", 28_709), ("PublicTest", 3_589)):
        assert faces[usage].pixels.shape == (total, 48, 48)
        check_counts(faces[usage])
        assert fer2013.is_published(faces[usage])


def test_duplicates_are_the_counted_ones(faces: dict[str, Faces]) -> None:
    train = copies_within(faces["Training"])
    assert (train.unique, train.groups, train.conflicting, train.blank) == (27_473, 1_035, 39, 12)
    public = copies_within(faces["PublicTest"])
    assert (public.groups, public.blank) == (26, 1)
    between = copies_between(faces["Training"], faces["PublicTest"])
    assert (between.identical, between.other_label, between.persons) == (280, 13, 0)
    # 291 by another way to shrink before hashing; ways to shrink differ by a few pictures.
    assert abs(between.near - 291) <= 4


def test_cleaning_leaves_no_copy_conflict_or_blank(faces: dict[str, Faces]) -> None:
    train, public = faces["Training"], faces["PublicTest"]
    kept, cleaning = clean(train, public, drop_conflicting=True, drop_blank=True)
    gone = cleaning.copies + cleaning.conflicting + cleaning.blank
    assert len(kept.labels) == len(train.labels) - gone
    assert not np.isin(kept.groups, public.groups).any()
    assert not fer2013.conflicting_mask(kept).any()
    assert not kept.blank.any()
    untouched, cleaning = clean(train, public, drop_conflicting=False, drop_blank=False)
    assert (cleaning.conflicting, cleaning.blank) == (0, 0)
    assert len(untouched.labels) == len(train.labels) - cleaning.copies
    same, cleaning = clean(
        train, public, drop_copies=False, drop_conflicting=False, drop_blank=False
    )
    assert cleaning.copies == 0
    assert same.counts == train.counts


def test_folders_are_read_by_class_name_not_by_alphabet(tmp_path: Path) -> None:
    for i, name in enumerate(sorted(LABELS)):
        picture(tmp_path / "test" / name / f"PublicTest_{i}.png", grey=10 * (i + 1))
        picture(tmp_path / "train" / name / f"Training_{i}.png", grey=10 * (i + 1))
        picture(tmp_path / "test" / name / f"PrivateTest_{i}.png", grey=10 * (i + 1))
    found = read_faces(tmp_path)
    assert set(found) == {"Training", "PublicTest", "PrivateTest"}
    by_label = dict(
        zip(found["PublicTest"].labels, found["PublicTest"].pixels[:, 40, 40], strict=True)
    )
    # Alphabetical: angry disgust fear happy neutral sad surprise, written with 10, 20 ... 70.
    assert by_label == {0: 10, 1: 20, 2: 30, 3: 40, 6: 50, 4: 60, 5: 70}


def test_groups_are_hashes_of_pixels(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "a.png", grey=100)
    picture(tmp_path / "sad" / "b.png", grey=100)
    picture(tmp_path / "sad" / "c.png", grey=101)
    own = read_faces(tmp_path)["own split"]
    assert own.groups[0] == own.groups[1] != own.groups[2]
    assert own.groups[0] == hashlib.sha256(own.pixels[0].tobytes()).hexdigest()[:32]
    assert fer2013.conflicting_mask(own).tolist() == [True, True, False]


def test_a_spoiled_copy_is_not_called_by_the_name(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "Training_1.png", grey=100)
    with pytest.raises(DatasetError, match="counts differ"):
        check_counts(read_faces(tmp_path)["Training"])
    assert not fer2013.is_published(read_faces(tmp_path)["Training"])


def test_right_counts_at_another_size_are_a_spoiled_copy_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COUNTS, "Training", (0, 0, 0, 2, 0, 0, 0))
    for i in range(2):
        picture(tmp_path / "happy" / f"Training_{i}.png", grey=100 + i)
    assert fer2013.is_published(read_faces(tmp_path)["Training"])
    assert fer2013.is_published(read_face_data(tmp_path, LABELS, 64).faces["Training"])
    picture(tmp_path / "happy" / "Training_1.png", grey=100, size_px=224)
    assert not fer2013.is_published(read_faces(tmp_path)["Training"])


# ---- the csv


def test_the_csv_gives_the_pixels_and_classes_it_holds(tmp_path: Path) -> None:
    pixels = drawn(3)
    rows = [(3, pixels[0], "Training"), (6, pixels[1], "PublicTest"), (0, pixels[2], "PrivateTest")]
    table = csv_table(tmp_path / "fer2013.csv", rows)
    for place in (table, tmp_path):
        found = read_faces(place)
        assert list(found) == ["PrivateTest", "PublicTest", "Training"]
        np.testing.assert_array_equal(found["Training"].pixels[0], pixels[0])
        assert LABELS[found["PublicTest"].labels[0]] == "neutral"
        assert LABELS[found["PrivateTest"].labels[0]] == "angry"
    data = read_face_data(table)
    assert data.from_csv
    assert "csv" in data.layout


def test_columns_stand_in_any_order_and_usage_may_be_missing(tmp_path: Path) -> None:
    pixels = drawn(2)
    text = " ".join(map(str, pixels[0].ravel()))
    (tmp_path / "a.csv").write_text(f"emotion, Usage, pixels\n4,PublicTest,{text}\n")
    found = read_faces(tmp_path / "a.csv")["PublicTest"]
    assert LABELS[found.labels[0]] == "sad"
    np.testing.assert_array_equal(found.pixels[0], pixels[0])
    (tmp_path / "b.csv").write_text(f"\ufeffemotion,pixels\n4,{text}\n", encoding="utf-8")
    assert set(read_faces(tmp_path / "b.csv")) == {"own split"}


GOOD = " ".join(["7"] * 2304)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (f"3,{GOOD} 9,Training", "wrong number of pixels.*2304, got 2305"),
        ("3,1 2 3,Training", "wrong number of pixels.*got 3"),
        ("3,,Training", "wrong number of pixels.*got 0"),
        (f"3,{GOOD[:-1]}256,Training", "out of range.*7 to 256"),
        (f"3,{GOOD[:-1]}-1,Training", "out of range.*-1 to 7"),
        (f"3,{GOOD[:-1]}x,Training", "no whole numbers"),
        (f"3,{GOOD[:-1]}1.5,Training", "no whole numbers"),
        (f"7,{GOOD},Training", "unknown class.*6 neutral, got 7"),
        (f"-1,{GOOD},Training", "unknown class"),
        (f"happy,{GOOD},Training", "unknown class.*got happy"),
        (f"3,{GOOD},Validation", "unknown Usage.*PrivateTest, got Validation"),
        (f"3,{GOOD},", "unknown Usage"),
        (f"3,{GOOD}", "cells are missing"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, problem: str) -> None:
    table = tmp_path / "fer2013.csv"
    table.write_text(f"emotion,pixels,Usage\n3,{GOOD},Training\n{row}\n")
    with pytest.raises(DatasetError, match=rf"fer2013\.csv row 00003: .*{problem}"):
        read_faces(table)
    kept = read_face_data(table, skip_unreadable=True)
    assert kept.faces["Training"].counts == (0, 0, 0, 1, 0, 0, 0)
    assert len(kept.unreadable) == 1


def test_many_bad_rows_are_counted_and_the_first_ones_named(tmp_path: Path) -> None:
    table = tmp_path / "fer2013.csv"
    table.write_text("emotion,pixels,Usage\n" + "9,1,Training\n" * 8)
    with pytest.raises(DatasetError, match=r"8 pictures.*row 00002.*row 00006.*\.\.\..*prepare"):
        read_faces(table)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,pixels\n3,1 2\n", "no column emotion.*got id,pixels"),
        (f"3,{GOOD},Training\n", "no column emotion and no pixels"),
        ("", "no column emotion"),
        ("emotion,pixels,Usage\n", "no labelled pictures"),
        (b"emotion,pixels\n3,\xff\xfe\n", "csv cannot be read"),
    ],
)
def test_a_wrong_csv_is_refused(tmp_path: Path, text: str | bytes, problem: str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "faces.csv").write_bytes(data)
    for place in (tmp_path / "faces.csv", tmp_path):
        with pytest.raises(DatasetError, match=problem):
            read_faces(place)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(
        st.one_of(
            st.text(max_size=12),
            st.sampled_from([GOOD, "3", "Training", "9" * 30, "1 " * 2304, '"', "nan " * 2304]),
        ),
        max_size=5,
    ),
    header=st.sampled_from(["emotion,pixels,Usage", "pixels,emotion", "Usage,pixels,emotion"]),
)
def test_whatever_a_row_holds_it_is_read_or_refused(
    tmp_path: Path, cells: list[str], header: str
) -> None:
    table = tmp_path / "wild.csv"
    text = f"{header}\n{','.join(cells)}\n"
    table.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    found = {}
    with contextlib.suppress(DatasetError):
        found = read_faces(table)
    assert all(faces.pixels.shape == (1, 48, 48) for faces in found.values())


# ---- files


@pytest.mark.parametrize("content", [b"", b"not a picture", jpeg(drawn(1)[0])[:-300]])
def test_an_unreadable_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "broken.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"happy/broken\.jpg: not a readable picture"):
        read_faces(tmp_path)
    picture(tmp_path / "happy" / "good.png", grey=9)
    data = read_face_data(tmp_path, skip_unreadable=True)
    assert data.faces["own split"].names.tolist() == [f"{tmp_path.name}/happy/good.png"]
    assert "happy/broken.jpg" in data.unreadable[0]


def test_a_place_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no labelled pictures"):
        read_faces(tmp_path)
    with pytest.raises(DatasetError, match="no such file"):
        read_faces(tmp_path / "nowhere")
    picture(tmp_path / "one.png", grey=3)
    with pytest.raises(DatasetError, match="a single picture"):
        read_faces(tmp_path / "one.png")
    (tmp_path / "fer2013.tar.xz").write_bytes(b"cut short")
    with pytest.raises(DatasetError, match="archive cannot be read"):
        read_faces(tmp_path)


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_a_damaged_archive_is_refused(tmp_path: Path, compression: str) -> None:
    noise = np.random.default_rng(1).integers(0, 4, 200_000, dtype=np.uint8)
    (tmp_path / "noise").write_bytes(noise.tobytes())
    archive = tmp_path / "fer2013.tar.xz"
    with tarfile.open(archive, f"w:{compression}") as file:
        file.add(tmp_path / "noise", "train/notes/noise.png")
    whole = archive.read_bytes()
    start = len(whole) // 2
    archive.write_bytes(whole[:start] + bytes(b ^ 255 for b in whole[start:]))
    with pytest.raises(DatasetError, match="archive cannot be read"):
        read_faces(tmp_path)


def test_an_archive_gives_what_its_folders_would(tmp_path: Path) -> None:
    for i, usage in enumerate(("Training", "PublicTest")):
        picture(tmp_path / "in" / "sad" / f"{usage}_1.png", grey=10 + i)
    with tarfile.open(tmp_path / "fer2013.tar.xz", "w:xz") as file:
        file.add(tmp_path / "in", "set")
    packed, loose = read_faces(tmp_path / "fer2013.tar.xz"), read_faces(tmp_path / "in")
    assert set(packed) == set(loose) == {"Training", "PublicTest"}
    np.testing.assert_array_equal(packed["Training"].pixels, loose["Training"].pixels)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "a.png", grey=100)
    data = bytearray((tmp_path / "happy" / "a.png").read_bytes())
    data[16:24] = b"\x00\x0f\xff\xff" * 2  # a million pixels wide and high
    (tmp_path / "happy" / "a.png").write_bytes(data)
    with pytest.raises(DatasetError, match=r"happy/a\.png"):
        read_faces(tmp_path)


def test_a_jpeg_differs_from_the_csv_it_was_made_from_by_little(tmp_path: Path) -> None:
    pixels = drawn(1)[0]
    (tmp_path / "folders" / "happy").mkdir(parents=True)
    (tmp_path / "folders" / "happy" / "Training_1.jpg").write_bytes(jpeg(pixels))
    csv_table(tmp_path / "fer2013.csv", [(3, pixels, "Training")])
    folders = read_faces(tmp_path / "folders")["Training"]
    table = read_faces(tmp_path / "fer2013.csv")["Training"]
    assert folders.groups[0] != table.groups[0]
    assert np.abs(folders.pixels.astype(int) - table.pixels).max() < 40
    assert copies_between(table, folders).near == 1


def test_the_published_table_adds_up() -> None:
    assert {usage: sum(counts) for usage, counts in COUNTS.items()} == {
        "Training": 28_709,
        "PublicTest": 3_589,
        "PrivateTest": 3_589,
    }
