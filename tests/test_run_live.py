"""A whole device of live sensors as a user runs it: real LSL, BlueZ backend, OpenCV, and faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_app.replay import ReplayRequest, replay
from edge_app.sources.liblsl import LslNetwork
from tests.bundles import write_bundle
from tests.camera_double import write_textured_video
from tests.conftest import ROOT
from tests.fake_bluez import Rig, SensorSpec, bluez_rig, needs_dbus, wait_until
from tests.lsl_outlet import OutletProcess, OutletSpec

pytestmark = [pytest.mark.bluez, pytest.mark.lsl, needs_dbus]
FOOT = SensorSpec("movella_dot", "D4:22:CD:00:00:07", 60.0)
CONFIG = """
device: bed
lsl: {{session: {session}, resolve_scope: machine}}
streams:
  - name: face
    bundle: exports/emotion
    source: {{kind: camera, device: loop.avi}}
  - name: eeg
    bundle: exports/sleep
    source: {{kind: lsl, source_id: band, channel: O1}}
  - name: foot
    bundle: exports/strides
    source: {{kind: ble_imu, protocol: movella_dot, address: "{address}"}}
sinks:
  - {{kind: jsonl, directory: out}}
"""


def lines(path: Path) -> list[dict[str, object]]:
    """Return the whole lines of a growing JSONL file."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def said_of(folder: Path, stream: str) -> list[dict[str, object]]:
    rows = lines(folder / "out" / "predictions.jsonl")
    return [row | {"latency_s": None} for row in rows if row["stream"] == stream]


def events_of(folder: Path, stream: str) -> list[tuple[object, object]]:
    rows = lines(folder / "out" / "events.jsonl")
    return [(row["event"], row["text"]) for row in rows if row["stream"] == stream]


def test_check_says_which_liblsl_was_loaded_though_the_outlet_is_away(tmp_path: Path) -> None:
    session = f"bedside-check-{os.getpid()}"
    write_bundle(tmp_path / "exports", "sleep")
    config = tmp_path / "device.yaml"
    text = CONFIG.format(session=session, address=FOOT.address)
    start, end = text.index("  - name: face"), text.index("  - name: eeg")
    text = text[:start] + text[end : text.index("  - name: foot")] + text[text.index("sinks:") :]
    config.write_text(text.replace("channel: O1", "channel: O1, resolve_timeout_s: 0.5"))
    command = [sys.executable, "-m", "edge_app", "check", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no LSL stream" in done.stdout
    assert "stream eeg: liblsl: 1." in done.stdout


def test_three_live_sensors_fail_come_back_are_recorded_and_replayed(tmp_path: Path) -> None:
    network = LslNetwork(f"bedside-live-{os.getpid()}", resolve_scope="machine")
    for task in ("emotion", "sleep", "strides"):
        write_bundle(tmp_path / "exports", task)
    write_textured_video(tmp_path / "loop.avi")
    config = tmp_path / "device.yaml"
    config.write_text(CONFIG.format(session=network.session, address=FOOT.address))
    with bluez_rig([FOOT]) as rig:
        outlet = OutletProcess(OutletSpec("band", labels=("Fp1", "O1"), units=("uV",) * 2), network)
        outlet.wait_until_up()
        command = [sys.executable, "-m", "edge_app", "record", str(config)]
        command += ["--out", str(tmp_path / "night")]
        device = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            outlet = _fail_and_come_back(tmp_path, rig, outlet)
        finally:
            device.terminate()
            _, log = device.communicate(timeout=30)
            outlet.kill()
    assert device.returncode == 0, log
    assert "Traceback" not in log
    assert events_of(tmp_path, "foot")[-1] == ("end", "ended")
    assert sorted(p.name for p in (tmp_path / "night").iterdir()) == [
        "eeg.stream",
        "foot.stream",
        "markers.jsonl",
    ]  # pictures only with --video
    _replays_the_same(tmp_path)


def _fail_and_come_back(folder: Path, rig: Rig, outlet: OutletProcess) -> OutletProcess:
    """Let the foot's link and the EEG's outlet break; the face must never notice."""
    wait_until(lambda: len(said_of(folder, "foot")) >= 2, 40.0)
    wait_until(lambda: [kind for kind, _ in events_of(folder, "eeg")] == ["start", "open"], 40.0)
    rig.command("drop_link", address=FOOT.address)
    outlet.kill()
    wait_until(lambda: len(events_of(folder, "foot")) >= 4, 40.0)
    back = outlet.again()
    wait_until(lambda: len(events_of(folder, "eeg")) >= 4, 40.0)
    n_foot = len(said_of(folder, "foot"))
    wait_until(lambda: len(said_of(folder, "foot")) >= n_foot + 2, 40.0)
    kinds = [kind for kind, _ in events_of(folder, "foot")]
    assert kinds == ["start", "open", "error", "open"]
    assert "link" in str(events_of(folder, "foot")[2][1])
    assert "the LSL outlet has gone" in str(events_of(folder, "eeg")[2][1])
    assert [kind for kind, _ in events_of(folder, "face")] == ["start", "open"]
    return back


def _replays_the_same(folder: Path) -> None:
    done = replay(
        ReplayRequest(
            folder / "night" / "foot.stream",
            "frailty",
            folder / "exports" / "strides",
            folder / "replayed",
        )
    )
    told = [json.loads(line) for line in done.path.read_text().splitlines()]
    live = said_of(folder, "foot")
    assert len(live) >= 4
    assert told == live
