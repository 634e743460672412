"""`edge-app run`, `demo`, `check`, `devices` as a user meets them: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge_app.check import check_device
from edge_app.config import load_config
from edge_app.errors import ConfigError, SinkError
from edge_app.health import StreamHealth
from edge_app.run import RunResult, run_device
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import load_gait_rows
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


def live_only(folder: Path) -> Path:
    """One simulated foot, shown on the console and written."""
    path = configure(folder)
    text = path.read_text(encoding="utf-8")
    start, end = text.index("  - name: file"), text.index("sinks:")
    path.write_text(text[:start] + text[end:] + "  - {kind: console}\n", encoding="utf-8")
    return path


def written(folder: Path) -> list[dict]:
    text = (folder / "out" / "predictions.jsonl").read_text(encoding="utf-8")
    return [json.loads(row) for row in text.splitlines()]


def last_health(folder: Path) -> dict[str, dict]:
    last = json.loads((folder / "out" / "health.jsonl").read_text().splitlines()[-1])
    return {stream["stream"]: stream for stream in last["streams"]}


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
    health = last_health(tmp_path)
    assert {name: s["state"] for name, s in health.items()} == {"foot": "ended", "file": "ended"}
    assert sum(s["predictions"] for s in health.values()) == len(rows)
    assert {s["backend"] for s in health.values()} == {"onnxruntime-cpu"}
    assert "foot: ended; model on onnxruntime-cpu" in output


def test_a_stream_that_cannot_open_never_stops_the_other(tmp_path: Path) -> None:
    config = configure(tmp_path, recording="missing.csv")
    done = edge_app("run", config, "--duration", "8")
    assert done.returncode == 4
    assert "file: failed" in done.stdout
    assert "nothing ever came from it" in done.stdout
    assert "foot: ended" in done.stdout
    assert "missing.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert {row["stream"] for row in written(tmp_path)} == {"foot"}
    health = last_health(tmp_path)
    assert health["file"]["state"] == "failed"
    assert "missing.csv" in health["file"]["last_error"]


@pytest.mark.lsl
def test_a_sensor_that_never_came_is_no_success(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, "sleep")
    config = tmp_path / "device.yaml"
    config.write_text(
        f"device: test\nstreams:\n  - name: eeg\n    bundle: {bundle}\n"
        "    source: {kind: lsl, source_id: nobody, resolve_timeout_s: 0.5}\n"
        "sinks:\n  - {kind: console}\n",
        encoding="utf-8",
    )
    done = edge_app("run", config, "--duration", "3")
    assert done.returncode == 4
    assert "eeg: failed" in done.stdout
    assert "nobody" in done.stdout


def test_an_undated_recording_is_dated_by_its_opening(tmp_path: Path) -> None:
    config = configure(tmp_path)
    before_s = time.time()
    assert edge_app("run", config, "--duration", "2").returncode == 0
    after_s = time.time()
    rows = [row for row in written(tmp_path) if row["stream"] == "file"]
    assert len(rows) == 17
    for row in rows:
        at_s = datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp()
        assert before_s - 0.001 <= at_s - row["time_s"] <= after_s


@pytest.mark.parametrize("streams", ["stdout", "stdout and stderr"])
def test_a_closed_pipe_does_not_end_a_run(tmp_path: Path, streams: str) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_app", "run", str(live_only(tmp_path)), "--duration", "5"],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE if streams == "stdout" else writer,
        text=True,
    )
    os.close(writer)
    os.close(reader)  # nobody listens
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert not errors
    times_s = [row["time_s"] for row in written(tmp_path)]
    assert times_s[-1] - times_s[0] >= 1.0  # long after the first line on the console
    assert last_health(tmp_path)["foot"]["last_error"] == ""


def test_a_reader_that_does_not_read_holds_up_neither_results_nor_the_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.set_blocking(writer, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_app", "run", str(live_only(tmp_path))],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    try:
        wait_for_lines(tmp_path / "out" / "predictions.jsonl", process, 3)
        process.send_signal(signal.SIGTERM)
        wait_for_lines(tmp_path / "out" / "health.jsonl", process, 1)
        assert last_health(tmp_path)["foot"]["state"] == "ended"
        with os.fdopen(reader, "rb") as late:
            shown = late.read()
        process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert b"foot: ended" in shown


def test_a_closed_reader_leaves_check_its_exit_code(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "edge_app", "check", str(write_bundle(tmp_path, "frailty"))]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""


def test_a_run_ends_with_lost_results_first_then_with_the_failed_stream() -> None:
    good, unknown = StreamHealth("a", state="ended"), StreamHealth("b", state="failed")
    misfit = StreamHealth("c", state="failed", error_code=2)
    lost = SinkError("lost", next_step="Free space")
    assert RunResult((good,), None, ()).exit_code == 0
    assert RunResult((good, unknown), None, ()).exit_code == 4
    assert RunResult((good, misfit, unknown), None, ()).exit_code == 2
    assert RunResult((misfit,), None, (), lost).exit_code == 5


LEFT_BEHIND = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from edge_app.cli_show import finish_run
from edge_app.errors import SinkError
from edge_app.health import StreamHealth
from edge_app.run import RunResult
ThreadPoolExecutor().submit(time.sleep, 3600)
lost = SinkError("2 lines are lost", next_step="Free space")
finish_run(RunResult((StreamHealth("cam", state="running"),), None, ("cam",), lost))
"""


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5
    assert "cam: running" in done.stdout
    assert "2 lines are lost" in done.stderr


def test_a_full_disk_is_told_and_does_not_stop_the_run(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (tmp_path / "out").mkdir()
    for name in ("predictions.jsonl", "health.jsonl"):
        (tmp_path / "out" / name).symlink_to("/dev/full")
    done = edge_app("run", config, "--duration", "4")
    assert done.returncode == 5
    assert "foot: ended" in done.stdout  # the summary comes all the same
    assert "No space left on device" in done.stderr
    assert "could not be written and will be missing" in done.stderr
    assert "Free space" in done.stderr
    assert done.stderr.count("held in memory") == 2  # once a minute and file, not once a line
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
    assert wrong.returncode == 2
    assert "devise" in wrong.stderr
    assert not (tmp_path / "out").exists()  # looking leaves nothing behind
    for missing in (tmp_path / "missing.yaml", tmp_path / "exports"):
        refused = edge_app("check", missing)
        assert refused.returncode == 2
        assert "trainer export RUN" in refused.stderr


def test_check_tells_a_bad_bundle_once_and_names_the_face_detector(tmp_path: Path) -> None:
    emotion = write_bundle(tmp_path, "emotion")
    config = tmp_path / "device.yaml"
    config.write_text(
        f"""
device: test
streams:
  - {{name: a, bundle: nowhere, source: {{kind: simulated, sensor: imu}}}}
  - {{name: b, bundle: nowhere, source: {{kind: simulated, sensor: imu}}}}
  - name: c
    bundle: {emotion}
    face_detector: missing.onnx
    source: {{kind: simulated, sensor: face}}
sinks:
  - {{kind: console}}
""",
        encoding="utf-8",
    )
    done = edge_app("check", config)
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2
    assert failed[0].startswith("FAILED  bundle nowhere: ")
    assert failed[1].startswith("FAILED  stream c: face detector: ")


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
    lines = done.stdout.splitlines()
    assert any(line.strip().startswith("Example: edge-app") for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_stream_that_does_not_fit_its_model_ends_with_the_code_of_a_wrong_configuration(
    tmp_path: Path,
) -> None:
    config = configure(tmp_path)
    text = config.read_text().replace("sensor: imu", "sensor: eeg")
    config.write_text(text, encoding="utf-8")
    done = edge_app("run", config, "--duration", "2")
    assert done.returncode == 2
    assert "cannot read this stream" in done.stderr


def test_nothing_is_left_in_the_home_folder(tmp_path: Path) -> None:
    """ONNX Runtime's Linux builds would leave a device id and queued telemetry there."""
    home = tmp_path / "home"
    home.mkdir()
    bundle = write_bundle(tmp_path / "exports", "frailty")
    walk = walking_csv(tmp_path / "walk.csv")
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-m", "edge_app", "replay", str(walk), "--task", "frailty"]
    command += ["--bundle", str(bundle), "--out", str(tmp_path / "out")]
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert [path for path in home.rglob("*") if path.is_file()] == []


WEARER = """
device: bed
streams:
  - name: foot
    bundle: exports/strides
    source: {{kind: recording, path: walk.csv, speed: null, unit: m/s^2}}
    person: {{file: state/bed.json{more}}}
sinks:
  - {{kind: jsonl, directory: out}}
"""


def wear(folder: Path, more: str = "") -> Path:
    """A device whose foot sensor keeps its wearer in a file; the walk is simulated, 60 s."""
    if not (folder / "walk.csv").exists():
        write_bundle(folder / "exports", "strides", min_evidence_s=30.0)
        samples, _ = simulate_walk(load_gait_rows()[5], duration_s=60.0, rate_hz=100.0, seed=3)
        times_s = np.arange(len(samples))[:, None] / 100.0
        header = "time,acc_x,acc_y,acc_z,gyr_x,gyr_y,gyr_z"
        rows = np.hstack([times_s, samples])
        np.savetxt(folder / "walk.csv", rows, "%.5f", ",", header=header, comments="")
    path = folder / "device.yaml"
    path.write_text(WEARER.format(more=more), encoding="utf-8")
    return path


def test_what_is_known_of_a_wearer_outlives_the_program(tmp_path: Path) -> None:
    assert run_device(load_config(wear(tmp_path))).exit_code == 0
    first = written(tmp_path)[-1]["evidence"]["strides"]
    assert first > 20
    assert run_device(load_config(wear(tmp_path))).exit_code == 0
    again = [row for row in written(tmp_path)[60:] if row["evidence"]]
    assert again[0]["evidence"]["strides"] >= first
    assert again[0]["label"] is not None  # known at once, from the walk before
    assert again[-1]["evidence"]["strides"] >= 2 * first - 2


def test_a_wearer_s_file_that_is_damaged_stops_the_device_and_stays(tmp_path: Path) -> None:
    config = wear(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "bed.json").write_text("half of it", encoding="utf-8")
    result = run_device(load_config(config))
    assert result.exit_code == 2
    assert "wearer" in result.health[0].last_error
    assert (tmp_path / "state" / "bed.json").read_text(encoding="utf-8") == "half of it"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (", half_life_days: 0", "half_life_days"),
        (", baseline_strides: 3", "baseline_strides"),
        (", halflife: 3", "unknown key"),
    ],
)
def test_wrong_keys_of_a_wearer_are_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_config(wear(tmp_path, text))


def test_a_wearer_is_kept_for_gait_parameters_only(tmp_path: Path) -> None:
    config = wear(tmp_path)
    write_bundle(tmp_path / "exports", "frailty")
    text = config.read_text(encoding="utf-8").replace("exports/strides", "exports/frailty")
    config.write_text(text, encoding="utf-8")
    result = run_device(load_config(config))
    assert result.exit_code == 2
    assert "gait parameters" in result.health[0].last_error


def test_a_bad_file_of_a_wearer_stops_no_other_stream(tmp_path: Path) -> None:
    config = wear(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "bed.json").write_text("half of it", encoding="utf-8")
    other = """  - name: other
    bundle: exports/strides
    source: {kind: recording, path: walk.csv, speed: null, unit: m/s^2}
sinks:"""
    text = config.read_text(encoding="utf-8").replace("sinks:", other)
    config.write_text(text, encoding="utf-8")
    result = run_device(load_config(config))
    states = {health.stream: health.state for health in result.health}
    assert states == {"foot": "failed", "other": "ended"}
    assert {row["stream"] for row in written(tmp_path)} == {"other"}


def test_simulated_strides_never_enter_a_real_wearer_s_file(tmp_path: Path) -> None:
    assert run_device(load_config(wear(tmp_path))).exit_code == 0  # a recording counts as real
    kept = (tmp_path / "state" / "bed.json").read_bytes()
    config = wear(tmp_path)
    simulated = "source: {kind: simulated, sensor: imu}"
    text = config.read_text(encoding="utf-8")
    start, end = text.index("source:"), text.index("\n", text.index("source:"))
    config.write_text(text[:start] + simulated + text[end:], encoding="utf-8")
    result = run_device(load_config(config), duration_s=20.0)
    assert result.exit_code == 2
    assert "must not be mixed" in result.health[0].last_error
    assert (tmp_path / "state" / "bed.json").read_bytes() == kept


def test_check_tells_a_damaged_file_of_the_wearer(tmp_path: Path) -> None:
    config = wear(tmp_path)
    wearer = [f for f in check_device(config) if f.subject.endswith("person")]
    assert [f.passed for f in wearer] == [True]
    (tmp_path / "state").mkdir()  # looking has not made it
    (tmp_path / "state" / "bed.json").write_text("half of it", encoding="utf-8")
    wearer = [f for f in check_device(config) if f.subject.endswith("person")]
    assert [f.passed for f in wearer] == [False]
