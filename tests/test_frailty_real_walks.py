"""The shipped frailty bundle on real walks of healthy people, from file to answer and report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from edge_app.replay import ReplayRequest, replay

BUNDLE = Path(__file__).resolve().parents[1] / "exports" / "frailty"


def joined(walks: Path, person: str, side: str, path: Path) -> Path:
    """Three trials of one person in a row, on one packet counter: 10 m alone are too few."""
    rows: list[str] = []
    head: list[str] = []
    passed = 0
    for trial in (1, 2, 3):
        lines = (walks / f"{person}-{trial}_{side}.txt").read_text().splitlines()
        head, newest = lines[:2], 0
        for line in lines[2:]:
            counter, rest = line.split("\t", 1)
            newest = int(float(counter))
            rows.append(f"{passed + newest}.0\t{rest}")
        passed += newest + 1
    path.write_text("\n".join(head + rows) + "\n")
    return path


@pytest.mark.parametrize("person", ["1", "15", "18"])
def test_a_real_walk_gives_strides_parameters_and_an_answer_with_evidence(
    tmp_path: Path, data_dir: Path, person: str
) -> None:
    walk = joined(data_dir / "gait" / "imu_walks", person, "rf", tmp_path / "walk.txt")
    result = replay(ReplayRequest(walk, "frailty", BUNDLE, tmp_path / "out"))
    said = [json.loads(line) for line in result.path.read_text().splitlines()]
    answered = [row for row in said if row["label"] is not None]
    assert answered
    # nothing is said before there is enough to rest on
    assert all(row["evidence"]["strides"] >= 20 for row in answered)
    assert all(row["evidence"]["walking_s"] >= 30.0 for row in answered)
    # healthy people of 38 to 78 years: whatever the class, frail would be absurd
    assert answered[-1]["label"] != "frail"

    with (tmp_path / "out" / "strides.csv").open() as file:
        strides = list(csv.DictReader(file))
    lengths_m = [float(row["stride_length_m"]) for row in strides if not row["rejected"]]
    summary = json.loads((tmp_path / "out" / "gait.json").read_text())
    assert summary["strides"]["accepted"] == len(lengths_m)
    assert summary["parameters"]["stride_length_m"]["mean"] == pytest.approx(np.mean(lengths_m))
    assert 0.9 < np.mean(lengths_m) < 1.7
    assert summary["simulated"] is False
    assert set(summary["contributions"]) == set(
        json.loads((BUNDLE / "manifest.json").read_text())["conditioning"]["parameters"]
    )


def test_standing_before_a_real_walk_is_insufficient_walking(
    tmp_path: Path, data_dir: Path
) -> None:
    """The first seconds of every trial are standing; repeated, they make half a minute."""
    lines = (data_dir / "gait" / "imu_walks" / "1-1_lf.txt").read_text().splitlines()
    stood = [line.split("\t", 1)[1] for line in lines[2 : 2 + 400]]
    rows = [f"{i}.0\t{stood[i % 800 if i % 800 < 400 else 799 - i % 800]}" for i in range(3000)]
    path = tmp_path / "standing.txt"
    path.write_text("\n".join([*lines[:2], *rows]) + "\n")
    result = replay(ReplayRequest(path, "frailty", BUNDLE, tmp_path / "out"))
    assert set(result.reasons) == {"insufficient_walking"}
    assert not result.labels
    assert result.strides == []
