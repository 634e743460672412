"""FER-2013: labels by name, counts by the published table, no copy on both sides."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_app.errors import DatasetError
from trainer.datasets import fer2013
from trainer.datasets.fer2013 import COUNTS, LABELS, Faces, check_counts, clean, read_faces


@pytest.fixture(scope="module")
def faces(data_dir: Path) -> dict[str, Faces]:
    return read_faces(data_dir)


def test_counts_are_the_published_ones(faces: dict[str, Faces]) -> None:
    assert set(faces) == {"Training", "PublicTest"}
    for usage, total in (("Training", 28_709), ("PublicTest", 3_589)):
        assert faces[usage].pixels.shape == (total, 48, 48)
        check_counts(faces[usage])


def test_duplicates_are_the_counted_ones(faces: dict[str, Faces]) -> None:
    train, public = faces["Training"], faces["PublicTest"]
    assert len(np.unique(train.groups)) == 27_473
    assert int(np.isin(public.groups, train.groups).sum()) == 280
    conflicting = fer2013.conflicting_mask(train)
    assert len(np.unique(train.groups[conflicting])) == 39
    assert (int(train.blank.sum()), int(public.blank.sum())) == (12, 1)


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


def picture(path: Path, grey: int, size_px: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size_px, size_px), grey, dtype=np.uint8)
    pixels[:4] = 255 - grey
    assert cv2.imwrite(str(path), pixels)


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


def test_other_pictures_are_scaled_and_called_own(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "a.png", grey=100, size_px=96)
    picture(tmp_path / "notes" / "b.png", grey=100)
    found = read_faces(tmp_path)
    assert set(found) == {"own"}
    assert found["own"].pixels.shape == (1, 48, 48)
    assert found["own"].labels.tolist() == [LABELS.index("happy")]


def test_groups_are_hashes_of_pixels(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "a.png", grey=100)
    picture(tmp_path / "sad" / "b.png", grey=100)
    picture(tmp_path / "sad" / "c.png", grey=101)
    own = read_faces(tmp_path)["own"]
    assert own.groups[0] == own.groups[1] != own.groups[2]
    assert own.groups[0] == hashlib.sha256(own.pixels[0].tobytes()).hexdigest()[:32]
    assert fer2013.conflicting_mask(own).tolist() == [True, True, False]


def test_a_spoiled_copy_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "Training_1.png", grey=100)
    with pytest.raises(DatasetError, match="counts differ"):
        check_counts(read_faces(tmp_path)["Training"])
    picture(tmp_path / "happy" / "Training_2.png", grey=100, size_px=224)
    with pytest.raises(DatasetError, match=r"Training_2.*wrong size"):
        read_faces(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_an_unreadable_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "broken.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"happy/broken\.jpg"):
        read_faces(tmp_path)


def test_a_place_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no labelled pictures"):
        read_faces(tmp_path)
    with pytest.raises(DatasetError, match="no such file"):
        read_faces(tmp_path / "nowhere")
    (tmp_path / "fer2013.tar.xz").write_bytes(b"cut short")
    with pytest.raises(DatasetError, match="archive cannot be read"):
        read_faces(tmp_path)


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_a_damaged_archive_is_refused(tmp_path: Path, compression: str) -> None:
    noise = np.random.default_rng(1).integers(0, 4, 200_000, dtype=np.uint8)
    (tmp_path / "noise").write_bytes(noise.tobytes())
    archive = tmp_path / "fer2013.tar.xz"
    with tarfile.open(archive, f"w:{compression}") as file:
        file.add(tmp_path / "noise", "train/notes/noise")
    whole = archive.read_bytes()
    start = len(whole) // 2
    archive.write_bytes(whole[:start] + bytes(b ^ 255 for b in whole[start:]))
    with pytest.raises(DatasetError, match="archive cannot be read"):
        read_faces(tmp_path)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "a.png", grey=100)
    data = bytearray((tmp_path / "happy" / "a.png").read_bytes())
    data[16:24] = b"\x00\x0f\xff\xff" * 2  # a million pixels wide and high
    (tmp_path / "happy" / "a.png").write_bytes(data)
    with pytest.raises(DatasetError, match=r"happy/a\.png"):
        read_faces(tmp_path)


def test_the_published_table_adds_up() -> None:
    assert {usage: sum(counts) for usage, counts in COUNTS.items()} == {
        "Training": 28_709,
        "PublicTest": 3_589,
        "PrivateTest": 3_589,
    }
