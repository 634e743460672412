"""Readers of face pictures: any folder of class-named images, any usual file."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.errors import DatasetError
from tests.face_files import csv_table, drawn, jpeg, picture, write
from trainer.datasets.face_copies import difference_hashes, near_copies, picture_hashes
from trainer.datasets.face_files import ReadProgress
from trainer.datasets.face_labels import SPELLINGS, ClassNames
from trainer.datasets.face_picture import COLOUR, DEEP, RESIZED, SQUEEZED, TRANSPARENT, decode
from trainer.datasets.face_reading import hash_pictures, read_face_data
from trainer.datasets.fer2013 import LABELS


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


# ---- one picture


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg"])
def test_every_format_gives_the_grey_pixels(suffix: str) -> None:
    pixels = drawn(1)[0]
    found = decode(encoded(suffix, pixels), "x", 48)
    tolerance = 0 if suffix in (".png", ".bmp") else 12
    assert np.abs(found.pixels.astype(int) - pixels).max() <= tolerance
    assert found.source_px == (48, 48)


def test_colour_becomes_luma_by_bt_601() -> None:
    bgr = np.zeros((48, 48, 3), np.uint8)
    bgr[:16], bgr[16:32], bgr[32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    found = decode(encoded(".png", bgr), "x", 48)
    by_hand = [round(0.114 * 255), round(0.587 * 255), round(0.299 * 255)]
    assert found.pixels[[0, 20, 40], 0].tolist() == by_hand
    assert found.changes == (COLOUR,)


def test_large_pictures_shrink_by_area() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (96, 96), dtype=np.uint8)
    found = decode(encoded(".png", pixels), "x", 48)
    means = pixels.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(found.pixels - means).max() <= 0.51
    assert (found.source_px, found.changes) == ((96, 96), (RESIZED,))
    wide = decode(encoded(".png", pixels[:60]), "x", 48)
    assert wide.pixels.shape == (48, 48)
    assert wide.changes == (RESIZED, SQUEEZED)


def test_sixteen_bits_keep_the_greys_or_are_refused() -> None:
    pixels = drawn(1)[0]
    full = decode(encoded(".png", pixels.astype(np.uint16) * 257), "x", 48)
    np.testing.assert_array_equal(full.pixels, pixels)
    assert full.changes == (DEEP,)
    with pytest.raises(
        DatasetError, match=r"x: a deep picture whose white is not known.*brightest"
    ):
        decode(encoded(".png", pixels.astype(np.uint16)), "x", 48)


def test_transparent_parts_are_put_on_black() -> None:
    pixels = np.full((48, 48, 4), 200, np.uint8)
    pixels[..., 3] = 255
    opaque = decode(encoded(".png", pixels), "x", 48)
    assert opaque.pixels.min() == 200
    assert TRANSPARENT not in opaque.changes
    pixels[:24, :, 3] = 0
    found = decode(encoded(".png", pixels), "x", 48)
    assert (found.pixels[0, 0], found.pixels[40, 0]) == (0, 200)
    assert TRANSPARENT in found.changes


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg"])
@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.0, 0.97))
def test_a_file_cut_short_is_refused_by_name(suffix: str, share: float) -> None:
    whole = encoded(suffix, drawn(1)[0])
    with pytest.raises(DatasetError, match=r"^face\.img: not a readable picture"):
        decode(whole[: int(share * len(whole))], "face.img", 48)


@settings(max_examples=60, deadline=None)
@given(
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF0000WEBP", b"BM"]),
    rest=st.binary(max_size=200),
)
def test_whatever_a_file_holds_it_is_read_or_refused(start: bytes, rest: bytes) -> None:
    found = None
    with contextlib.suppress(DatasetError):
        found = decode(start + rest, "x", 48)
    assert found is None or found.pixels.shape == (48, 48)


# ---- names


def test_spellings_of_a_class_are_one_whatever_the_case() -> None:
    classes = ClassNames(("surprised", "anger", "happy"))
    assert [classes.index(name) for name in ("Surprise", "SURPRISED", "angry", "Happiness ")] == [
        0,
        0,
        1,
        2,
    ]
    assert classes.index("sad") is None
    assert classes.index("notes") is None
    assert len({word for group in SPELLINGS for word in group}) == sum(map(len, SPELLINGS))
    assert ClassNames(("Bored", "tired")).index("bored") == 0  # any other word is itself


# ---- folders


def test_only_some_classes_nested_and_in_any_format(tmp_path: Path) -> None:
    pixels = drawn(5)
    write(tmp_path / "a" / "b" / "HAPPY" / "1.png", pixels[0])
    write(tmp_path / "Sadness" / "ward 3" / "2.bmp", pixels[1])
    write(tmp_path / "sad" / "3.webp", pixels[2])
    write(tmp_path / "sad" / "4.JPG", pixels[3])
    write(tmp_path / "fear" / "5.jpeg", pixels[4])
    picture(tmp_path / "sad" / ".6.png", grey=1)
    picture(tmp_path / "notes" / "7.png", grey=1)
    (tmp_path / "sad" / "readme.txt").write_text("no picture")
    data = read_face_data(tmp_path)
    assert data.layout == "folders named by class"
    own = data.faces["own split"]
    assert own.counts == (0, 0, 1, 1, 3, 0, 0)
    assert any("1 picture left out: folder notes" in note for note in data.notes)
    assert read_face_data(tmp_path / "sad").faces["own split"].counts[4] == 2


def test_mixed_sizes_and_colours_become_one_with_a_note(tmp_path: Path) -> None:
    for i, size_px in enumerate((48, 224, 30)):
        picture(tmp_path / "happy" / f"{i}.png", grey=100, size_px=size_px)
    write(tmp_path / "happy" / "colour.png", np.full((48, 48, 3), 9, np.uint8))
    for size_px in (48, 64):
        data = read_face_data(tmp_path, size_px=size_px)
        assert data.faces["own split"].pixels.shape == (4, size_px, size_px)
        assert any("colour made grey" in note for note in data.notes)
    assert "2 pictures resized" in read_face_data(tmp_path).notes


@pytest.mark.parametrize("nested", ["", "train/"])
def test_numbered_folders_are_refused(tmp_path: Path, nested: str) -> None:
    for i in range(7):
        picture(tmp_path / f"{nested}{i}" / "x.png", grey=i)
    with pytest.raises(DatasetError, match=r"numbered.*angry or happy.*rename"):
        read_face_data(tmp_path)


def test_sides_of_an_own_split_are_told_by_folders(tmp_path: Path) -> None:
    for i, side in enumerate(("train", "Validation", "test")):
        picture(tmp_path / side / "happy" / "x.png", grey=i)
    picture(tmp_path / "happy" / "y.png", grey=9)
    faces = read_face_data(tmp_path).faces
    assert sorted(faces) == [
        "own split",
        "own split, test",
        "own split, train",
        "own split, validation",
    ]
    # The folder that is named itself tells nothing: `--data .../test` is everything there.
    assert set(read_face_data(tmp_path / "test").faces) == {"own split"}


def test_classes_that_are_not_asked_for_are_left_out_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "contempt" / "x.png", grey=1)
    picture(tmp_path / "happy" / "x.png", grey=2)
    data = read_face_data(tmp_path)
    assert data.notes == ("1 picture left out: contempt is none of the classes",)
    both = read_face_data(tmp_path, ("happy", "contempt"))
    assert both.faces["own split"].counts == (1, 1)


def test_the_fingerprint_is_of_pictures_and_labels_not_of_names(tmp_path: Path) -> None:
    for i, label in enumerate(("happy", "sad")):
        picture(tmp_path / "one" / label / "x.png", grey=i)
        picture(tmp_path / "two" / label / f"{9 - i}.png", grey=i)
        picture(tmp_path / "other" / label / "x.png", grey=1 - i)
    one, two, other = (
        read_face_data(tmp_path / name).fingerprint for name in ("one", "two", "other")
    )
    assert one == two != other


def test_long_reads_are_told_with_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    progress = ReadProgress("faces", 40, lambda: now_s[0])
    with caplog.at_level(logging.INFO, "trainer"):
        for _ in range(20):
            now_s[0] += 0.6
            progress.advance()
    said = [record.getMessage() for record in caplog.records]
    # Every 5 s: after 9 pictures (5.4 s) and after 18 (10.8 s), at 0.6 s a picture.
    assert said == [
        "reading faces: 22 %, about 19 s left",
        "reading faces: 45 %, about 13 s left",
    ]


# ---- copies


def test_near_copies_survive_light_and_jpeg_but_are_not_strangers() -> None:
    pixels = drawn(40, seed=3)
    changed = np.stack(
        [decode(jpeg((one * 0.8 + 20).astype(np.uint8)), "x", 48).pixels for one in pixels]
    )
    assert not np.isin(picture_hashes(changed), picture_hashes(pixels)).any()
    bits, others = difference_hashes(changed), difference_hashes(pixels)
    by_hand = np.array(
        [min(int(np.unpackbits(one ^ other).sum()) for other in others) <= 8 for one in bits]
    )
    np.testing.assert_array_equal(near_copies(bits, others), by_hand)
    assert by_hand.mean() > 0.8
    strangers = difference_hashes(drawn(40, seed=4))
    assert not near_copies(strangers, others).any()
    assert not near_copies(bits, others[:0]).any()


def test_hashes_of_a_place_need_no_classes(tmp_path: Path) -> None:
    pixels = drawn(3)
    write(tmp_path / "any" / "where" / "x.png", pixels[0])
    write(tmp_path / "0" / "y.png", pixels[1])
    (tmp_path / "any" / "broken.png").write_bytes(b"x")
    found = hash_pictures(tmp_path)
    assert sorted(found.exact) == sorted(picture_hashes(pixels[:2]))
    assert found.unreadable == 1
    assert len(hash_pictures(tmp_path, but=tmp_path / "0").exact) == 1
    table = csv_table(tmp_path / "t.csv", [(3, pixels[2], "Training")])
    assert hash_pictures(table).exact.tolist() == picture_hashes(pixels[2:]).tolist()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no pictures to compare with"):
        hash_pictures(tmp_path / "empty")


def test_labels_in_another_order_keep_their_pictures(tmp_path: Path) -> None:
    pixels = drawn(7)
    csv_table(tmp_path / "t.csv", [(i, pixels[i], "Training") for i in range(7)])
    order = tuple(reversed(LABELS))
    faces = read_face_data(tmp_path / "t.csv", order).faces["Training"]
    for label, one in zip(faces.labels, faces.pixels, strict=True):
        np.testing.assert_array_equal(one, pixels[LABELS.index(order[label])])
