"""What is in reach is listed, with lines that load as a configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_app import devices
from edge_app.build_source import build_markers
from edge_app.cli import run_command_line
from edge_app.config import load_config
from edge_app.config_sources import BleImuConfig, CameraConfig, LslConfig
from edge_app.devices import Found, find_ble_devices, find_lsl_streams
from edge_app.sources.camera_list import CameraFound, PixelFormat
from edge_app.sources.liblsl import LslNetwork
from tests.fake_bluez import SensorSpec, bluez_rig, needs_dbus
from tests.lsl_outlet import OutletProcess, OutletSpec

NETWORK = LslNetwork(f"bedside-{os.getpid()}", resolve_scope="machine")
SINKS = "sinks:\n  - {kind: console}\n"


def source_of(found: Found, folder: Path) -> object:
    """Load the printed entry as a user would paste it."""
    path = folder / "device.yaml"
    path.write_text(f"device: bed\nstreams:\n{found.yaml}\n{SINKS}", encoding="utf-8")
    return load_config(path).streams[0].source


def test_a_camera_is_named_by_the_path_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_id = "/dev/v4l/by-id/usb-Webcam-video-index0"
    camera = CameraFound(
        "Webcam", "/dev/video2", by_id, True, (PixelFormat("MJPG", ((640, 480),)),)
    )
    monkeypatch.setattr(devices.camera_list, "find_cameras", lambda: [camera])
    (found,) = devices.find_cameras()
    source = source_of(found, tmp_path)
    assert isinstance(source, CameraConfig)
    assert source.device == by_id
    assert "MJPG up to 640x480" in found.details


@pytest.mark.lsl
def test_an_eeg_outlet_is_found_and_its_entry_loads(tmp_path: Path) -> None:
    outlets = [
        OutletProcess(OutletSpec("it's: a 'band'", labels=("F:1", "Fp2"), units=None), NETWORK),
        OutletProcess(OutletSpec("light", stream_type="Light"), NETWORK),
    ]
    try:
        for outlet in outlets:
            outlet.wait_until_up()
        found = {stream.address: stream for stream in find_lsl_streams(2.0, NETWORK)}
    finally:
        for outlet in outlets:
            outlet.kill()
    assert found["light"].yaml == ""  # listed, but not an EEG
    source = source_of(found["it's: a 'band'"], tmp_path)
    assert isinstance(source, LslConfig)
    assert (source.source_id, source.channel) == ("it's: a 'band'", "F:1")
    assert source.unit == "uV"
    assert "channels F:1, Fp2; the stream does not say its unit" in found["it's: a 'band'"].yaml


@pytest.mark.bluez
@needs_dbus
def test_bluetooth_sensors_are_recognised_by_their_protocol(tmp_path: Path) -> None:
    sensors = [
        SensorSpec("witmotion", "D4:22:CD:00:00:01"),
        SensorSpec("movella_dot", "D4:22:CD:00:00:02"),
        SensorSpec("polar_sense", "D4:22:CD:00:00:03"),
        SensorSpec("polar_h10", "D4:22:CD:00:00:04"),
        SensorSpec("sensortag", "D4:22:CD:00:00:05"),
    ]
    with bluez_rig(sensors):
        found = {device.address: device for device in find_ble_devices(2.0)}
    protocols = {}
    unfit = {
        address[-2:]: found.pop(address).details
        for address in list(found)[:]
        if not found[address].yaml
    }
    assert "no gyroscope" in unfit["04"]
    assert "10 Hz at most" in unfit["05"]
    for address, device in found.items():
        source = source_of(device, tmp_path)
        assert isinstance(source, BleImuConfig)
        assert source.address == address
        protocols[address[-2:]] = source.protocol
    assert protocols == {"01": "witmotion", "02": "movella_dot", "03": "polar"}
    assert "dBm" in found["D4:22:CD:00:00:01"].details


def test_the_command_lists_what_it_can_and_says_what_it_cannot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One thing that cannot be searched for never hides the others."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    found = [
        Found(
            "Webcam", "/dev/video0", "V4L2", devices.entry("face", "emotion", "kind: x", "Webcam")
        )
    ]
    monkeypatch.setattr(devices, "find_cameras", lambda: found)
    monkeypatch.setattr(devices, "find_lsl_streams", lambda *_: [])
    monkeypatch.setattr("sys.argv", ["edge-app", "devices", "--seconds", "0.5"])
    assert run_command_line() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Webcam" in said
    assert "# Webcam - name: face bundle: ../exports/emotion source: {kind: x}" in said
    assert "Lab Streaming Layer streams: none found" in said
    assert "D-Bus" in said


def test_markers_are_heard_only_around_lsl_devices(tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    source = "{kind: lsl, source_id: a}"
    text = f"device: bed\nstreams:\n  - {{name: a, bundle: b, source: {source}}}\n{SINKS}"
    path.write_text(text, encoding="utf-8")
    assert build_markers(load_config(path)) is not None
    path.write_text(text.replace(source, "{kind: simulated, sensor: eeg}"), encoding="utf-8")
    assert build_markers(load_config(path)) is None
