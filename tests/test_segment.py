"""``edge-app segment``: one picture through every method, and pictures that are not as usual."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge_app.cli import app
from edge_app.errors import ConfigError, PreprocessError, SourceError, SourceNotFoundError
from edge_app.preprocess.segmentation.thresholds import otsu_variances
from edge_app.segment import METHODS, SegmentOptions, check_request, read_picture, segment


def squares(path: Path, dtype: str = "uint8", channels: int = 3) -> Path:
    """A drawn picture: a bright square on dark ground, blue a little higher than red."""
    picture = np.full((40, 60, channels), 30, np.uint8)
    picture[10:30, 20:45] = 200
    picture[..., 0] += 20  # blue, for OpenCV writes BGR
    if channels == 4:
        picture[..., 3] = 7
    deep = picture.astype(dtype) * (257 if dtype == "uint16" else 1)
    assert cv2.imwrite(str(path), deep / np.float32(255) if dtype == "float32" else deep)
    return path


def run(*arguments: object) -> None:
    result = CliRunner().invoke(
        app, ["segment", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception


def test_one_method_writes_its_mask_pixel_by_pixel(tmp_path: Path) -> None:
    out = tmp_path / "made" / "mask.png"
    run(squares(tmp_path / "in.png"), "--method", "otsu", "--out", out)
    mask = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((40, 60), np.uint8)
    expected[10:30, 20:45] = 255
    assert np.array_equal(mask, expected)
    assert out.stat().st_mode & 0o077 == 0


def test_a_result_in_colour_keeps_the_order_of_colours(tmp_path: Path) -> None:
    out = tmp_path / "painted.png"
    run(squares(tmp_path / "in.png"), "--method", "kmeans-colour", "--clusters", 2, "--out", out)
    assert cv2.imread(str(out))[0, 0].tolist() == [50, 30, 30]  # blue first
    assert cv2.imread(str(out))[20, 30].tolist() == [220, 200, 200]


def test_the_sheet_shows_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    figure = pytest.importorskip("matplotlib.figure")
    titles: list[str] = []
    save = figure.Figure.savefig

    def spy(self: object, path: Path, **given: object) -> None:
        titles.extend(axes.get_title() for axes in self.axes)
        save(self, path, **given)

    monkeypatch.setattr(figure.Figure, "savefig", spy)
    out = tmp_path / "sheet.png"
    run(squares(tmp_path / "in.png"), "--out", out)
    assert cv2.imread(str(out)).shape[0] > 500
    assert out.stat().st_mode & 0o077 == 0
    shown = {title.partition(":")[0] for title in titles}
    assert set(METHODS) <= shown
    assert "otsu: 20.8 % foreground" in titles  # 20 x 25 of 40 x 60


def test_a_constant_picture_still_gives_a_sheet(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    image = tmp_path / "grey.png"
    cv2.imwrite(str(image), np.full((1, 1), 90, np.uint8))
    run(image, "--out", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    with pytest.raises(PreprocessError, match="fewer different pixels"):
        run(image, "--method", "kmeans-colour", "--out", tmp_path / "x.png")


def test_help_names_every_method() -> None:
    shown = CliRunner().invoke(app, ["segment", "--help"], terminal_width=200).output
    assert all(name in shown for name in METHODS)


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [
        ("in.png", "uint8", 4),
        ("in.png", "uint16", 3),
        ("in.png", "uint16", 4),
        ("in.tiff", "float32", 3),
        ("in.bmp", "uint8", 3),
    ],
)
def test_kinds_of_pictures_that_mean_the_same(
    tmp_path: Path, name: str, dtype: str, channels: int
) -> None:
    plain = read_picture(squares(tmp_path / "plain.png"))
    assert plain[0, 0].tolist() == [30, 30, 50]
    got = read_picture(squares(tmp_path / name, dtype, channels))
    assert got.dtype == np.uint8
    assert np.array_equal(got, plain)


def test_a_grey_picture_and_a_large_one(tmp_path: Path) -> None:
    image = tmp_path / "large.png"
    cv2.imwrite(str(image), np.repeat(np.uint8([[10, 240]]), 3000, axis=0).repeat(750, axis=1))
    got = read_picture(image)
    assert got.shape == (1024, 512, 3)
    mask = segment(got, "otsu", SegmentOptions())
    assert not mask[:, :256].any()
    assert mask[:, 256:].all()
    within, _ = otsu_variances(np.bincount(got[..., 0].ravel(), minlength=256))
    assert within.min() == pytest.approx(0.0, abs=1e-6)


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        read_picture(tmp_path / "nowhere.png")
    with pytest.raises(SourceNotFoundError, match="a folder; one picture is wanted"):
        read_picture(tmp_path)
    for name, content in (("empty.png", b""), ("text.png", b"not a picture")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match="is no picture"):
            read_picture(tmp_path / name)
    bright = tmp_path / "bright.tiff"
    cv2.imwrite(str(bright), np.full((4, 4, 3), 1.5, np.float32))
    with pytest.raises(PreprocessError, match="out of range") as caught:
        read_picture(bright)
    assert caught.value.source == str(bright)


def test_requests_that_cannot_be_meant(tmp_path: Path) -> None:
    image = squares(tmp_path / "in.png")
    before = image.read_bytes()
    for method, out in (
        (None, image),
        ("otsu", tmp_path / "x.jpg"),
        ("watershed", tmp_path / "x.png"),
    ):
        with pytest.raises(ConfigError):
            check_request(image, method, out)
    with pytest.raises(ConfigError, match="no such --method") as caught:
        run(image, "--method", "watershed", "--out", tmp_path / "x.png")
    assert "basic-global" in str(caught.value)
    seed = ["segment", str(image), "--out", str(tmp_path / "x.png"), "--seed", str(2**31)]
    assert CliRunner().invoke(app, seed).exit_code == 2  # more than OpenCV takes
    assert image.read_bytes() == before
    assert not (tmp_path / "x.png").exists()


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="matplotlib") as caught:
        run(squares(tmp_path / "in.png"), "--out", tmp_path / "sheet.png")
    assert "pip install" in caught.value.next_step
