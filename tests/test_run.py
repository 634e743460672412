"""`edge-app run`, `demo`, `check`, `devices` as a user meets them: real processes, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bundles import write_bundle
from tests.conftest import ROOT
from tests.test_replay import edge_app, walking_csv

CONFIG = """
device: test
streams:
  - name: foot
    bundle: exports/frailty
    source: {{kind: simulated, sensor: imu, seed: 1}}
  - name: file
    bundle: exports/frailty
    source: {{kind: recording, path: {path}, speed: null}}
sinks:
  - {{kind: jsonl, directory: out}}
"""


def configure(folder: Path, *, recording: str = "walk.csv") -> Path:
    write_bundle(folder / "exports", "frailty")
    walking_csv(folder / "walk.csv")
    path = folder / "device.yaml"
    path.write_text(CONFIG.format(path=recording), encoding="utf-8")
    return path


def wait_for_lines(path: Path, process: subprocess.Popen[str], n: int) -> list[str]:
    deadline_s = time.monotonic() + 60.0
    while time.monotonic() < deadline_s:
        if path.exists() and len(lines := path.read_text().splitlines()) >= n:
            return lines
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"fewer than {n} predictions in a minute")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_everything_written(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "edge_app", "run", str(configure(tmp_path))]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    predictions = tmp_path / "out" / "predictions.jsonl"
    try:
        wait_for_lines(predictions, process, 20)  # 17 of the file, then the live foot
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    rows = [json.loads(line) for line in predictions.read_text().splitlines()]
    live = [row for row in rows if row["stream"] == "foot"]
    replayed = [row for row in rows if row["stream"] == "file"]
    assert len(replayed) == 17
    assert all(row["latency_s"] is None and not row["simulated"] for row in replayed)
    assert all(row["latency_s"] >= 0 and row["simulated"] for row in live)
    last = json.loads((tmp_path / "out" / "health.jsonl").read_text().splitlines()[-1])
    assert {s["stream"]: s["state"] for s in last["streams"]} == {"foot": "ended", "file": "ended"}
    assert sum(s["predictions"] for s in last["streams"]) == len(rows)
    assert "foot: ended" in output


def test_a_stream_that_cannot_open_never_stops_the_other(tmp_path: Path) -> None:
    config = configure(tmp_path, recording="missing.csv")
    done = edge_app("run", config, "--duration", "4")
    assert done.returncode == 0
    assert "missing.csv" in done.stderr
    assert "Traceback" not in done.stderr
    rows = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert {json.loads(row)["stream"] for row in rows} == {"foot"}
    last = json.loads((tmp_path / "out" / "health.jsonl").read_text().splitlines()[-1])
    health = {stream["stream"]: stream for stream in last["streams"]}
    assert health["file"]["restarts"] >= 1
    assert "missing.csv" in health["file"]["last_error"]


def test_a_full_disk_is_told_and_does_not_stop_the_run(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.jsonl").symlink_to("/dev/full")
    done = edge_app("run", config, "--duration", "4")
    assert done.returncode == 5
    assert "No space left on device" in done.stderr
    assert "Free space" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_that_was_altered_starts_nothing(tmp_path: Path) -> None:
    config = configure(tmp_path)
    with (tmp_path / "exports" / "frailty" / "model.onnx").open("ab") as file:
        file.write(b"!")
    done = edge_app("run", config, "--duration", "2")
    assert done.returncode == 3
    assert "hash differs" in done.stderr
    assert not (tmp_path / "out" / "predictions.jsonl").exists()


def test_check_passes_a_good_device_and_names_what_is_wrong(tmp_path: Path) -> None:
    config = configure(tmp_path)
    good = edge_app("check", config)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "0 failed" in good.stdout
    configured = config.read_text()
    config.write_text(configured.replace("walk.csv", "missing.csv"))
    bad = edge_app("check", config)
    assert bad.returncode == 1
    assert "1 failed" in bad.stdout
    assert "FAILED" in bad.stdout
    config.write_text(configured.replace("device:", "devise:"))
    wrong = edge_app("check", config)
    assert wrong.returncode == 1
    assert "devise" in " ".join(wrong.stdout.split())


def test_check_takes_a_bundle_too(tmp_path: Path) -> None:
    done = edge_app("check", write_bundle(tmp_path, "sleep"))
    assert done.returncode == 0
    assert "4 ok, 0 failed" in done.stdout


def test_the_shipped_bundles_pass_on_this_machine() -> None:
    for task in ("emotion", "sleep", "frailty"):
        done = edge_app("check", ROOT / "exports" / task)
        assert done.returncode == 0, done.stdout


@pytest.mark.lsl
def test_the_demo_answers_all_three_tasks_and_says_simulated(tmp_path: Path) -> None:
    done = edge_app("demo", "--duration", "90", "--speed", "6", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert {row["task"] for row in rows} == {"emotion", "sleep", "frailty"}
    assert all(row["simulated"] for row in rows)
    sleep = [row for row in rows if row["task"] == "sleep"]
    assert [row["final"] for row in sleep].count(True) >= 2
    assert "agrees with the simulation's truth" in done.stdout
    assert "SIMULATED" in done.stdout


def test_devices_lists_without_hardware() -> None:
    done = edge_app("devices", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    for title in ("Cameras", "Lab Streaming Layer", "Bluetooth"):
        assert title in done.stdout


@pytest.mark.parametrize("command", ["run", "demo", "replay", "check", "devices"])
def test_help_teaches_with_an_example(command: str) -> None:
    done = edge_app(command, "--help")
    assert done.returncode == 0
    assert "Example: edge-app" in done.stdout
