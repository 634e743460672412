"""``trainer audit`` finds what was put into a folder of drawn pictures, and nothing else."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_app.errors import DatasetError, EdgeAppError
from trainer.audit import AuditLimits, audit, near_groups
from trainer.cli import app


def drawing(seed: int) -> np.ndarray:
    """Smooth blobs that fill the range: bright, dark and much between."""
    noise = np.random.default_rng(seed).normal(size=(96, 96))
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    return (128 + 45 * smooth / smooth.std()).clip(1, 254).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    good = [drawing(seed) for seed in range(12)]
    pictures = {f"good/{index}.png": picture for index, picture in enumerate(good)}
    pictures["twin/relit.png"] = np.rint(good[3] * 0.8 + 20).astype(np.uint8)
    pictures["twin/small.png"] = cv2.resize(good[3], (60, 60), interpolation=cv2.INTER_AREA)
    pictures["twin/same.png"] = good[5]
    pictures["blank/a.png"] = np.full((50, 50), 128, np.uint8)
    pictures["blank/b.png"] = np.full((50, 50), 131, np.uint8)
    pictures["flat.png"] = (
        np.kron(drawing(50)[::8, ::8] > 128, np.ones((8, 8))).astype(np.uint8) * 90 + 90
    )
    pictures["dark.png"] = (drawing(51) // 5).astype(np.uint8)
    pictures["bright.png"] = (230 + drawing(52) // 12).astype(np.uint8)
    pictures["clipped.png"] = (
        (4.0 * (drawing(53).astype(float) - 128) + 128).clip(0, 255).astype(np.uint8)
    )
    root = tmp_path / "pictures"
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), picture)
    (root / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    (root / "notes.txt").write_text("no picture", encoding="utf-8")
    return root


def names(figures: dict, kind: str) -> list[str]:
    return [row["picture"].removeprefix("pictures/") for row in figures[kind]]


def test_it_finds_what_was_put_there(folder: Path) -> None:
    limits = AuditLimits()
    figures = audit(folder, limits).figures(limits)
    assert figures["pictures"] == 22
    assert names(figures, "unreadable") == ["broken.jpg"]
    assert names(figures, "blank") == ["blank/a.png", "blank/b.png"]
    groups = [[n.removeprefix("pictures/") for n in g] for g in figures["near_duplicate_groups"]]
    assert [sorted(group) for group in groups] == [
        ["good/3.png", "twin/relit.png", "twin/small.png"],
        ["good/5.png", "twin/same.png"],
    ]
    assert names(figures, "near_duplicate") == [name for group in groups for name in group]
    assert "flat.png" in names(figures, "low_entropy")
    assert not {n for n in names(figures, "low_entropy") if n.startswith(("good", "blank"))}
    assert names(figures, "dark") == ["dark.png"]
    assert names(figures, "bright") == ["bright.png"]
    assert names(figures, "clipped") == ["clipped.png"]
    assert figures["counts"]["near_duplicate"] == 5
    (dark,) = figures["dark"]
    assert dark["value"] == pytest.approx((drawing(51) // 5).mean(), abs=0.5)


def test_an_archive_is_read_like_the_folder(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "pictures.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "pictures")
    limits = AuditLimits()
    ours, theirs = (audit(p, limits).figures(limits) for p in (folder, path))
    assert ours["counts"] == theirs["counts"]


def test_the_command_writes_sheet_and_figures(folder: Path, tmp_path: Path) -> None:
    sheet, file = tmp_path / "out" / "sheet.png", tmp_path / "out" / "audit.json"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = CliRunner().invoke(
        app, ["audit", str(folder), "--out", str(sheet), "--json", str(file)]
    )
    assert result.exit_code == 0, result.output
    assert "22 pictures: 1 unreadable, 2 blank, 5 near duplicate" in result.output
    assert cv2.imread(str(sheet)).shape[1] > 1000
    assert sheet.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text(encoding="utf-8"))["counts"]["dark"] == 1
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_tells_what_it_does_and_how_far_it_is(folder: Path) -> None:
    told: list[str] = []
    counts: list[tuple[str, int, int]] = []
    audit(folder, AuditLimits(), told.append, lambda n, of: counts.append((told[-1], n, of)))
    assert told == [f"reading {folder}", "measuring pictures", "comparing pictures with each other"]
    measured = [(n, of) for what, n, of in counts if what == told[1]]
    assert measured == [(n, 21) for n in range(1, 22)]  # one of 22 is unreadable
    assert [row for row in counts if row[0] == told[2]][-1][1:] == (19, 19)  # two are blank


def test_a_clean_folder_has_nothing_to_find(tmp_path: Path) -> None:
    for seed in range(4):
        cv2.imwrite(str(tmp_path / f"{seed}.png"), drawing(seed))
    found = audit(tmp_path, AuditLimits())
    assert not any(len(indices) for indices in found.found.values())
    assert not found.groups
    one = tmp_path / "one"
    one.mkdir()
    cv2.imwrite(str(one / "pixel.png"), np.array([[7]], np.uint8))
    assert audit(one, AuditLimits()).found["blank"].tolist() == [0]


def test_where_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        audit(tmp_path, AuditLimits())
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="no picture that can be read"):
        audit(tmp_path, AuditLimits())
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "away"), "--out", "x.png"])
    assert isinstance(result.exception, EdgeAppError)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 14),
    near_bits=st.integers(0, 40),
    wide=st.booleans(),
)
def test_groups_are_chains_of_near_pairs(seed: int, n: int, near_bits: int, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    bits = np.repeat(rng.integers(0, 256, (1, 32)), n, axis=0).astype(np.uint8)
    flips = rng.random((n, 256)) < (0.1 if wide else 0.03)
    bits ^= np.packbits(flips, axis=1)
    look_at = rng.random(n) < 0.8
    strings = ["".join(f"{byte:08b}" for byte in row) for row in bits]
    left, expected = {i for i in range(n) if look_at[i]}, []
    while left:  # flood from each picture over pairs that are near
        front = [left.pop()]
        group = set(front)
        while front:
            at = strings[front.pop()]
            near = {
                i
                for i in left
                if sum(a != b for a, b in zip(at, strings[i], strict=True)) <= near_bits
            }
            left -= near
            group |= near
            front += near
        if len(group) > 1:
            expected.append(sorted(group))
    got = near_groups(bits, look_at, near_bits)
    assert sorted(map(sorted, got)) == sorted(expected)
    assert [len(group) for group in got] == sorted((len(g) for g in got), reverse=True)
