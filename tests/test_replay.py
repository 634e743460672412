"""`edge-app replay` as a user runs it: same bytes every time, clear errors, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_app.build import find_bundle
from edge_app.replay import ReplayRequest, replay
from tests.bundles import write_bundle
from tests.conftest import ROOT

FIELDS = [
    "task",
    "time",
    "time_s",
    "window",
    "label",
    "probabilities",
    "confidence",
    "quality",
    "abstained",
    "final",
    "revision",
    "passing",
    "evidence",
    "latency_s",
    "model",
    "stream",
    "simulated",
]
REAL = {
    "emotion": "faces/face_noface.mov",
    "sleep": "sleep/raw/excerpt3.edf",
    "frailty": "gait/imu_walks/2-3_rf.txt",
}


def edge_app(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_app", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", sorted(REAL))
def test_a_real_recording_gives_valid_predictions_and_the_same_bytes_again(
    data_dir: Path, tmp_path: Path, task: str
) -> None:
    told = []
    for turn in ("first", "second"):
        done = edge_app("replay", data_dir / REAL[task], "--task", task, "--out", tmp_path / turn)
        assert done.returncode == 0, done.stderr
        told.append((tmp_path / turn / "predictions.jsonl").read_bytes())
    assert told[0] == told[1]
    labels = json.loads((find_bundle(task) / "manifest.json").read_text())["labels"]
    rows = lines(tmp_path / "first" / "predictions.jsonl")
    assert len(rows) > 10
    for row in rows:
        assert list(row) == FIELDS
        assert row["latency_s"] is None
        assert (row["label"] is None) != (row["abstained"] is None)
        assert list(row["probabilities"]) in (labels, [])
        if row["probabilities"]:
            assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
        assert row["window"]["start_s"] < row["window"]["end_s"] <= row["time_s"]
    assert [row["time_s"] for row in rows] == sorted(row["time_s"] for row in rows)
    health = json.loads((tmp_path / "first" / "health.json").read_text())
    assert health["predictions"] == len(rows)


@pytest.mark.parametrize("task", ["sleep", "frailty"])
def test_chunk_size_and_speed_change_nothing(data_dir: Path, tmp_path: Path, task: str) -> None:
    variants = [(1, None), (7, None), (50, None), (333, None), (10**7, None), (None, 2000.0)]
    told = set()
    for chunk_samples, speed in variants:
        request = ReplayRequest(
            data_dir / REAL[task],
            task,
            find_bundle(task),
            tmp_path / f"{chunk_samples}-{speed}",
            chunk_samples=chunk_samples,
            speed=speed,
        )
        told.add(replay(request).path.read_bytes())
    assert len(told) == 1


def test_chunks_of_video_change_nothing(data_dir: Path, tmp_path: Path) -> None:
    told = set()
    for chunk_samples in (1, 7, 333):
        request = ReplayRequest(
            data_dir / "faces" / "single_face.mp4",
            "emotion",
            find_bundle("emotion"),
            tmp_path / str(chunk_samples),
            chunk_samples=chunk_samples,
            face_detector=data_dir / "models" / "yunet_n_320_320.onnx",
        )
        told.add(replay(request).path.read_bytes())
    assert len(told) == 1


def test_a_face_that_leaves_ends_the_label_at_once(data_dir: Path, tmp_path: Path) -> None:
    request = ReplayRequest(
        data_dir / "faces" / "face_noface.mov", "emotion", find_bundle("emotion"), tmp_path
    )
    rows = lines(replay(request).path)
    assert len(rows) == 169
    # the face is there for the first 72 frames in one run, then gone
    assert sum(row["abstained"] == "no_face" for row in rows[:72]) <= 4
    assert sum(row["label"] is not None for row in rows[73:]) <= 2


def walking_csv(path: Path, text: str | None = None) -> Path:
    """Ten seconds of a rhythm, or the given text."""
    if text is None:
        n = np.arange(1000)
        swing = 3 * (1 + np.sin(2 * np.pi * n / 100))
        rows = [
            f"{i / 100:.2f},{0.1 + i % 7 / 1e4},{0.2 + i % 5 / 1e4},{9.81 + i % 3 / 1e4},"
            f"{0.01 + i % 3 / 1e4},{s:.6f},{0.02 + i % 5 / 1e4}"
            for i, s in zip(n, swing, strict=True)
        ]
        text = "\n".join(["time,acc_x,acc_y,acc_z,gyr_x,gyr_y,gyr_z", *rows]) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_the_predictions_say_of_a_made_up_walk(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "exports", "frailty")
    request = ReplayRequest(walking_csv(tmp_path / "walk.csv"), "frailty", bundle, tmp_path / "out")
    rows = lines(replay(request).path)
    assert [row["window"]["end_s"] for row in rows] == [2.0 + 0.5 * k for k in range(17)]
    assert [row["time"][11:] for row in rows[:2]] == ["00:00:02.000Z", "00:00:02.500Z"]
    assert {row["stream"] for row in rows} == {"walk.csv"}


@pytest.mark.parametrize(
    ("name", "content", "task", "options", "code", "says"),
    [
        ("missing.edf", None, "sleep", [], 4, "missing.edf"),
        ("empty.edf", b"", "sleep", [], 4, "empty"),
        ("noise.edf", b"\x00\x01" * 400, "sleep", [], 4, "noise.edf"),
        ("short.csv", b"time,acc_x,acc_y\n0,1,2\n", "frailty", [], 4, "gyr_x"),
        ("film.mp4", b"not a film", "emotion", [], 4, "film.mp4"),
        ("walk.csv", "walk", "sleep", [], 4, "walk.csv"),
        ("walk.csv", "walk", "frailty", ["--speed", "fast"], 2, "--speed"),
        ("walk.csv", "walk", "dance", [], 2, "dance"),
        ("walk.csv", "walk", "frailty", ["--bundle", "nowhere"], 3, "not a bundle"),
        ("walk.csv", "walk", "frailty", ["--bundle", "exports/sleep"], 2, "another task"),
        ("walk.csv", "walk", "frailty", ["--out", "/proc/out"], 5, "cannot be written"),
    ],
)
def test_bad_input_is_a_sentence_and_an_exit_code(
    tmp_path: Path,
    name: str,
    content: bytes | str | None,
    task: str,
    options: list[str],
    code: int,
    says: str,
) -> None:
    path = tmp_path / name
    if content == "walk":
        walking_csv(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    out = [] if "--out" in options else ["--out", str(tmp_path / "out")]
    done = edge_app("replay", path, "--task", task, *out, *options)
    assert done.returncode == code
    told = " ".join((done.stdout + done.stderr).split())
    assert says in told
    assert "Traceback" not in told
    assert not list((tmp_path / "out").glob("predictions*"))


def test_a_wrong_channel_lists_the_channels(data_dir: Path, tmp_path: Path) -> None:
    done = edge_app(
        "replay",
        data_dir / "sleep" / "raw" / "excerpt3.edf",
        "--task",
        "sleep",
        "--channel",
        "Fpz-Cz",
        "--out",
        tmp_path,
    )
    assert done.returncode == 4
    assert all(name in done.stderr for name in ("C3-A1", "FP1-A1", "O1-A1"))


def test_a_flipped_byte_in_the_bundle_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, "frailty")
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[-1] ^= 1
    (bundle / "model.onnx").write_bytes(bytes(content))
    walk = walking_csv(tmp_path / "walk.csv")
    done = edge_app(
        "replay", walk, "--task", "frailty", "--bundle", bundle, "--out", tmp_path / "o"
    )
    assert done.returncode == 3
    assert "hash differs" in done.stderr


LIMITED = """
import resource, signal, sys
from edge_app.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
main()
"""


def test_a_disk_that_fills_in_the_middle_leaves_an_earlier_result_alone(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, "frailty")
    out, walk = tmp_path / "out", walking_csv(tmp_path / "walk.csv")
    replay(ReplayRequest(walk, "frailty", bundle, out))
    before = (out / "predictions.jsonl").read_bytes()
    limit = len(before) - 300  # the last line is cut
    command = [sys.executable, "-c", LIMITED, limit, "replay", walk, "--task", "frailty"]
    command += ["--bundle", bundle, "--out", out]
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert "predictions.jsonl.part" in done.stderr
    assert (out / "predictions.jsonl").read_bytes() == before
    kept = (out / "predictions.jsonl.part").read_bytes()
    assert kept.endswith(b"\n")
    assert 0 < len(kept) <= limit
    assert before.startswith(kept)


@pytest.mark.parametrize("name", ["predictions.jsonl.part", "predictions.jsonl", "health.json"])
def test_a_directory_in_the_way_is_a_sentence(tmp_path: Path, name: str) -> None:
    bundle = write_bundle(tmp_path, "frailty")
    (tmp_path / "out" / name).mkdir(parents=True)
    walk = walking_csv(tmp_path / "walk.csv")
    done = edge_app(
        "replay", walk, "--task", "frailty", "--bundle", bundle, "--out", tmp_path / "out"
    )
    assert done.returncode == 5
    assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_replay_keeps_what_it_has_and_says_where(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    bundle = write_bundle(tmp_path, "frailty")
    out, walk = tmp_path / "out", walking_csv(tmp_path / "walk.csv")
    before = replay(ReplayRequest(walk, "frailty", bundle, out)).path.read_bytes()
    command = [sys.executable, "-m", "edge_app", "replay", walk, "--task", "frailty"]
    command += ["--speed", "1", "--bundle", bundle, "--out", out]
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    part = out / "predictions.jsonl.part"
    try:
        deadline_s = time.monotonic() + 60.0
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert f"stopped; what was estimated so far is in {part}\n" in output
    assert (out / "predictions.jsonl").read_bytes() == before
    kept = part.read_bytes()
    assert before.startswith(kept)
    assert kept.endswith(b"\n")


def test_a_recording_that_cannot_be_opened_leaves_an_earlier_partial_result(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl.part").write_text("{}\n")
    done = edge_app("replay", tmp_path / "mistyped.csv", "--task", "frailty", "--out", tmp_path)
    assert done.returncode == 4
    assert "estimated so far" not in done.stderr
    assert (tmp_path / "predictions.jsonl.part").read_text() == "{}\n"


def test_a_recording_shorter_than_a_window_gives_an_empty_result(tmp_path: Path) -> None:
    walk = walking_csv(tmp_path / "walk.csv")
    walk.write_text("\n".join(walk.read_text().splitlines()[:101]) + "\n")
    bundle = write_bundle(tmp_path, "frailty")
    done = edge_app(
        "replay", walk, "--task", "frailty", "--bundle", bundle, "--out", tmp_path / "out"
    )
    assert done.returncode == 0
    assert "0 predictions" in done.stdout
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == b""
    assert not (tmp_path / "out" / "predictions.jsonl.part").exists()


def test_not_finite_samples_are_abstentions_not_answers(tmp_path: Path) -> None:
    walk = walking_csv(tmp_path / "walk.csv")
    rows = walk.read_text().splitlines()
    for i in range(300, 340):
        rows[i] = f"{(i - 1) / 100:.2f},nan,inf,9.81,0,0,0"
    walk.write_text("\n".join(rows) + "\n")
    bundle = write_bundle(tmp_path, "frailty")
    told = lines(replay(ReplayRequest(walk, "frailty", bundle, tmp_path / "out")).path)
    spoilt = [row for row in told if row["abstained"] == "not_finite"]
    assert spoilt
    assert all(row["label"] is None and row["probabilities"] == {} for row in spoilt)
    assert any(row["label"] is not None for row in told)
