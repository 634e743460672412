"""How the doctor looks at a real machine: commands, files, libraries, and ``edge-app check``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_app.doctor import ask
from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.examine import look
from edge_app.doctor.host import Answer, Host, run_command
from tests.bundles import write_bundle
from tests.conftest import ROOT
from tests.doctor_machines import JETSON
from tests.fake_bluez import SensorSpec, bluez_rig, needs_dbus


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def edge_app(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_app", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_command_answers_in_the_language_that_is_parsed(tmp_path: Path) -> None:
    told = run_command([script(tmp_path / "told", 'echo "$LC_ALL"; exit 0')])
    assert told == Answer(0, "C\n")


def test_a_command_that_is_not_there_or_may_not_be_run(tmp_path: Path) -> None:
    absent = run_command([str(tmp_path / "absent")])
    assert absent.code is None
    assert "there is no command" in absent.trouble
    (tmp_path / "folder").mkdir()
    assert "Permission denied" in run_command([str(tmp_path / "folder")]).trouble
    (tmp_path / "foreign").write_bytes(b"\x7fELF for another machine")
    (tmp_path / "foreign").chmod(0o755)
    assert "cannot be run: Exec format error" in run_command([str(tmp_path / "foreign")]).trouble


def test_a_command_that_fails_or_crashes_is_told_with_its_last_word(tmp_path: Path) -> None:
    bad = run_command([script(tmp_path / "bad", "echo first >&2; echo last >&2; exit 3")])
    assert bad.code == 3
    assert bad.trouble.endswith("bad ended with 3: last")
    assert not bad.good
    crash = run_command([script(tmp_path / "crash", "kill -SEGV $$")])
    assert crash.trouble.endswith("crash ended with -11: no word")


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    hangs = f'trap "" TERM; sleep 300 & echo $! >{child}.part; mv {child}.part {child}; wait; wait'
    answer = run_command([script(tmp_path / "hangs", hangs)], 1.0)
    assert answer.code is None
    assert "did not end within 1 s" in answer.trouble
    pid = int(child.read_text())
    for _ in range(1000):
        stat = Path(f"/proc/{pid}/stat")
        try:
            state = stat.read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":  # killed; whoever inherited it has not collected it yet
            return
        time.sleep(0.01)
    pytest.fail("the child of a command that hung is still there")


def test_a_command_that_writes_garbage_without_end_is_cut_and_decoded() -> None:
    flood = "import os, sys; sys.stdout.buffer.write(b'\\xff\\xfe' * 2_000_000)"
    answer = run_command([sys.executable, "-c", flood])
    assert answer.good
    assert len(answer.text) == 1_000_000
    assert set(answer.text) == {"\ufffd"}


def test_files_that_cannot_be_read_are_none_and_nul_is_no_text(tmp_path: Path) -> None:
    host = JETSON.host(tmp_path)
    assert host.read("/sys/class/thermal/thermal_zone1/temp") is None
    assert host.number("/sys/class/thermal/thermal_zone1/temp") is None
    assert host.number("/proc/device-tree/model") is None
    assert host.number("/sys/class/thermal/thermal_zone0/temp") == 51250
    assert host.read("/proc/device-tree/model") == "NVIDIA Jetson Orin Nano Developer Kit"
    assert host.find("/dev/video*") == ["/dev/video0"]
    assert host.find("/nowhere/*") == []


@pytest.mark.parametrize("text", ["", "no json", "[1]", "\n\n", '{"half": '])
def test_an_answer_of_a_library_that_is_none(text: str) -> None:
    said, answer = Host(run=lambda *_: Answer(0, text)).ask("opencv")
    assert said == {}
    assert answer.trouble


def test_what_a_library_prints_while_it_loads_is_passed_over() -> None:
    said, _ = Host(run=lambda *_: Answer(0, 'warning: {old}\n{"version": "1"}\n')).ask("opencv")
    assert said == {"version": "1"}


def test_this_python_tells_of_its_libraries() -> None:
    host = Host()
    import cv2
    import onnxruntime

    said, answer = host.ask("onnxruntime")
    assert said["version"] == onnxruntime.__version__, answer
    assert "CPUExecutionProvider" in said["providers"]
    opencv, _ = host.ask("opencv")
    assert (opencv["version"], opencv["file"]) == (cv2.__version__, cv2.__file__)
    built = {line.split(":")[0].strip(): line for line in cv2.getBuildInformation().splitlines()}
    assert opencv["gstreamer"] == ("YES" in built["GStreamer"])
    assert opencv["v4l2"] == ("YES" in built["v4l/v4l2"])
    clock, _ = host.ask("clock")
    assert isinstance(clock["synchronised"], bool) or "adjtimex" in clock["detail"]


def test_a_library_that_is_not_there_or_raises_is_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raises() -> dict[str, object]:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setitem(ask.QUESTIONS, "broken", raises)
    assert ask.answer("broken") == {"error": "RuntimeError", "detail": "first line"}
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    absent = ask.answer("tensorrt")
    assert absent["error"] == "ModuleNotFoundError"
    assert absent["absent"] == "tensorrt"


def test_liblsl_that_cannot_be_loaded_says_what_was_tried(tmp_path: Path) -> None:
    def run(command: object, within_s: float) -> Answer:
        return run_command(["env", f"PYLSL_LIB={tmp_path}/none.so", *command], within_s)  # type: ignore[misc]

    said, _ = Host(run=run).ask("liblsl")
    assert "PYLSL_LIB names no file" in said["error"]
    assert "pip install mne-lsl" in said["mend"]


@needs_dbus
@pytest.mark.bluez
def test_bluez_tells_its_adapters_and_a_bus_without_it_says_so() -> None:
    with bluez_rig([SensorSpec()]) as rig:
        said, answer = Host().ask("bluez")
        assert said == {"adapters": [{"name": "hci0", "powered": True}]}, answer
        assert rig.bus_address == os.environ["DBUS_SYSTEM_BUS_ADDRESS"]


def test_no_bus_is_told(tmp_path: Path) -> None:
    def run(command: object, within_s: float) -> Answer:
        address = f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={tmp_path}/none"
        return run_command(["env", address, *command], within_s)  # type: ignore[misc]

    said, _ = Host(run=run).ask("bluez")
    assert said["error"] == "FileNotFoundError"


def test_a_probe_that_raises_keeps_what_it_told_and_names_itself() -> None:
    first = Diagnosis("x", State.OK, "told before")

    def broken(_host: Host) -> Iterator[Diagnosis]:
        yield first
        raise ZeroDivisionError("by nothing")

    found = look("part", broken, Host())
    assert found[0] is first
    assert found[1].state is State.DEGRADED
    assert found[1].detail == "cannot be told: ZeroDivisionError: by nothing"
    assert not found[1].failed


def test_check_alone_tells_of_the_machine_and_passes_here() -> None:
    done = edge_app("check", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    whole = json.loads(done.stdout)
    assert whole["passed"]
    assert whole["findings"] == []
    parts = {one["part"]: one for one in whole["machine"]}
    assert {"machine", "GPU", "TensorRT", "ONNX Runtime", "OpenCV", "liblsl"} <= set(parts)
    assert {"Bluetooth", "cameras", "clock", "power mode", "heat and supply", "disk"} <= set(parts)
    assert {one["state"] for one in parts.values()} <= {"ok", "degraded", "missing"}
    assert parts["ONNX Runtime"]["state"] == "ok"


def test_check_of_a_configuration_tells_of_the_machine_first(tmp_path: Path) -> None:
    write_bundle(tmp_path, "frailty")
    config = tmp_path / "device.yaml"
    config.write_text(
        """
device: test
streams:
  - {name: foot, bundle: frailty, source: {kind: simulated, sensor: imu}}
sinks:
  - {kind: jsonl, directory: out}
""",
        encoding="utf-8",
    )
    shown = edge_app("check", config)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "0 failed" in shown.stdout
    assert shown.stdout.index("disk: ") < shown.stdout.index("configuration: ")
    assert f"GB at {tmp_path}" in shown.stdout


def test_check_of_a_bundle_is_about_the_bundle_alone(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, "frailty")
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"!")
    bad = edge_app("check", bundle, "--json")
    assert bad.returncode == 1
    whole = json.loads(bad.stdout)
    assert whole["machine"] == []
    assert [one["passed"] for one in whole["findings"]] == [False]
    assert not whole["passed"]
