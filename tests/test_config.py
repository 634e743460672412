"""A device configuration loads as a whole or says which key is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from edge_app.build_source import lsl_network
from edge_app.config import JsonlConfig, load_config
from edge_app.config_sources import BleImuConfig, CameraConfig, RecordingConfig
from edge_app.errors import ConfigError
from edge_app.sources.imu_protocols.registry import PROTOCOL_NAMES
from edge_app.sources.liblsl import LslNetwork
from tests.conftest import ROOT

GOOD = """
device: bed-1
streams:
  - name: eeg
    bundle: ../exports/sleep
    source: {kind: lsl, source_id: band-7}
  - name: file
    bundle: ../exports/sleep
    source: {kind: recording, path: night.edf, speed: null}
sinks:
  - {kind: jsonl, directory: out}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "device.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file_and_without_dots(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.streams[0].bundle == tmp_path.parent / "exports" / "sleep"
    source, sink = config.streams[1].source, config.sinks[0]
    assert isinstance(source, RecordingConfig)
    assert isinstance(sink, JsonlConfig)
    assert source.path == tmp_path / "night.edf"
    assert source.speed is None
    assert sink.directory == tmp_path / "out"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("device: bed-1", "device: bed-1\ncolour: red", "unknown key 'colour'"),
        ("device: bed-1", "device: bed-1\ncolour: red", "device, lsl, sinks, streams"),
        ("source_id: band-7", "sourceid: band-7", "unknown key 'sourceid' at streams.0.source ("),
        (
            "source_id: band-7",
            "sourceid: band-7",
            "hostname, jitter_s, kind, resolve_",
        ),
        ("directory: out", "directory: out, colour: red", "one of directory, kind"),
        (
            "    bundle: ../exports/sleep\n    source: {kind: lsl",
            "    source: {kind: lsl",
            "bundle",
        ),
        ("kind: lsl", "kind: telepathy", "telepathy"),
        ("name: file", "name: eeg", "stream names must differ"),
        # an unknown key is named at every level, though its right spelling is missing too
        ("bundle: ../exports", "bundel: ../exports", "unknown key 'bundel' at streams.0 ("),
        ("path: night.edf", "pth: night.edf", "unknown key 'pth' at streams.1.source ("),
        ("directory: out", "folder: out", "unknown key 'folder' at sinks.0 ("),
        ("device: bed-1", "device: bed-1\n1: 2", "unknown key 1 at top level"),
        (
            "kind: lsl",
            "kind: telepathy",
            "one of ble_imu, camera, lsl, recording,",
        ),
        ("kind: lsl, ", "", "key 'kind' is missing at streams.0.source (expected one of ble_imu, "),
        ("kind: jsonl", "kind: paper", "unknown kind 'paper' at sinks.0 (expected one of console"),
        ("{kind: lsl, source_id: band-7}", "lsl", "streams.0.source: must be keys with values"),
        ("device: bed-1", "", "key 'device' is missing at top level"),
        ("name: eeg", "name: yes", "streams.0.name: must be text"),
        ("kind: lsl", "kind: lsl, unit: furlong", "streams.0.source.unit: must be uV"),
        ("speed: null", "unit: furlong", "streams.1.source.unit: must be uV"),
        ("speed: null", "gyr_unit: g", "streams.1.source.gyr_unit: must be rad/s"),
        ("sinks:", "sinks:\n  - {kind: jsonl, directory: x/../out}", "one directory"),
        ("sinks:", "sinks:\n  - {kind: console}\n  - {kind: console}", "one console"),
        ("sinks:", "lsl: {session: 'a b'}\nsinks:", "lsl.session"),
        ("device: bed-1", "? [1, 2]\n: 3", "a key must be text"),
        ("device: bed-1", "device: 2020-13-45", "not valid YAML"),
        ("device: bed-1", "device: " + "[" * 5000, "nested too deeply"),
        ("device: bed-1", "device: bed-1\ndevice: bed-2", "'device' is given twice"),
        ("device: bed-1", "device: [", "not valid YAML"),
        ("device: bed-1", "devise: bed-1", "unknown key 'devise'"),
        ("speed: null", "speed: -1", "speed"),
        ("name: eeg", "name: 'John Smith'", "streams.0.name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, GOOD.replace(old, new, 1)))
    assert says in str(caught.value)
    assert str(tmp_path / "device.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("just words", "top level: must be keys with values"),
        ("[1, 2]", "top level: must be keys with values, such as `key: value` (got a list)"),
        ("a: {b: [}", "not valid YAML"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert says in str(caught.value)


@pytest.mark.parametrize("unit", ["uV", "mV", "g", "mg", "m/s^2"])
def test_units_that_convert_are_accepted(tmp_path: Path, unit: str) -> None:
    load_config(write(tmp_path, GOOD.replace("speed: null", f"unit: '{unit}', gyr_unit: deg/s")))


def test_one_directory_is_one_however_it_is_written(tmp_path: Path) -> None:
    text = GOOD + f"  - {{kind: jsonl, directory: {tmp_path / 'out'}}}\n"
    with pytest.raises(ConfigError, match="one directory"):
        load_config(write(tmp_path, text))


def test_the_lsl_network_is_one_for_the_whole_device(tmp_path: Path) -> None:
    """liblsl takes its session once a process."""
    lsl = "lsl: {session: bed-9, known_peers: [headband-pc, 10.0.0.7], resolve_scope: machine}\n"
    network = lsl_network(load_config(write(tmp_path, GOOD + lsl)).lsl)
    assert network == LslNetwork("bed-9", ("headband-pc", "10.0.0.7"), "machine")
    with pytest.raises(ConfigError, match=r"unknown key 'sesion' at lsl .*known_peers, resolve"):
        load_config(write(tmp_path, GOOD + "lsl: {sesion: bed-9}\n"))


OWN = """{kind: ble_imu, protocol: generic, address: "c0:00:00:00:00:01", sensor: {
  notify_uuid: 13012F01-f8c3-4f4a-a8f4-15cd926da146, struct_format: <I3f, rate_hz: 104,
  fields: {acc_x: {index: 1, scale: -1, unit: g}, acc_y: {index: 2, scale: 1, unit: g},
           acc_z: {index: 3, scale: 1, unit: g}}, time: {index: 0, tick_s: 1.0e-6, bits: 32},
  start_writes: [{uuid: 13012f02-f8c3-4f4a-a8f4-15cd926da146, hex: 01 fF}]}}"""


def with_source(source: str) -> str:
    return GOOD.replace("{kind: recording, path: night.edf, speed: null}", source)


def test_a_sensor_of_ones_own_is_described_in_the_file(tmp_path: Path) -> None:
    source = load_config(write(tmp_path, with_source(OWN))).streams[1].source
    assert isinstance(source, BleImuConfig)
    assert source.sensor is not None
    layout = source.sensor.layout()
    assert layout.packet_bytes == 16
    assert layout.notify_uuid == "13012f01-f8c3-4f4a-a8f4-15cd926da146"
    assert layout.start_writes[0].data == b"\x01\xff"
    assert layout.fields[0].scale == -1.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("<I3f", "I3f"), "byte order"),
        (("<I3f", "<I2f"), "an index lies outside the struct"),
        (("unit: g}}", "unit: rad/s}}"), "acc_z has a wrong unit"),
        (("acc_z", "gyr_z"), "name no whole triad"),
        (("tick_s: 1.0e-6", "tick_s: 0"), "greater than 0"),
        (("hex: 01 fF", "hex: 01 f"), "hex: "),
        (("scale: -1,", "scal: -1,"), "unknown key 'scal' at streams.1.source.sensor.fields.acc_x"),
        (("protocol: generic", "protocol: witmotion"), "no other protocol takes it"),
        (("protocol: generic", "protocol: fitbit"), "protocol: "),
        (("c0:00", "c0-00"), "address: "),
        (('address: "c0:00:00:00:00:01", ', ""), "another bed's sensor"),
    ],
)
def test_a_wrong_description_of_a_sensor_is_refused(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    assert change[0] in OWN
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, with_source(OWN.replace(*change, 1))))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{kind: camera, device: 0}",
        'kind: ble_imu, protocol: polar, address: "C0:00:00:00:00:01"}',
    ],
)
def test_one_sensor_cannot_feed_two_streams(tmp_path: Path, source: str) -> None:
    twice = with_source(source).replace("{kind: lsl, source_id: band-7}", source)
    if source.startswith("kind"):
        twice = twice.replace(source, "{" + source)
        twice = twice.replace("C0:00", "c0:00", 1)  # an address in small letters is the same
    with pytest.raises(ConfigError, match="streams eeg and file name one sensor"):
        load_config(write(tmp_path, twice))


def test_every_protocol_can_be_configured() -> None:
    protocols = set(get_args(BleImuConfig.model_fields["protocol"].annotation))
    assert protocols == {*PROTOCOL_NAMES, "generic"}


def test_a_camera_is_a_number_an_address_or_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    for given, device in [
        ("0", 0),
        ("/dev/v4l/by-id/usb-cam", "/dev/v4l/by-id/usb-cam"),
        ("rtsp://ward/cam", "rtsp://ward/cam"),
        ("clip.mp4", str(tmp_path / "clip.mp4")),
    ]:
        text = with_source(f"{{kind: camera, device: {given}}}")
        source = load_config(write(tmp_path, text)).streams[1].source
        assert isinstance(source, CameraConfig)
        assert source.device == device


def test_simulated_and_real_lsl_are_not_mixed(tmp_path: Path) -> None:
    simulated = "{kind: simulated, sensor: eeg, transport: lsl}"
    mixed = GOOD.replace("{kind: recording, path: night.edf, speed: null}", simulated)
    assert simulated in mixed
    with pytest.raises(ConfigError, match="cannot be in one device"):
        load_config(write(tmp_path, mixed))
    load_config(write(tmp_path, mixed.replace("transport: lsl", "transport: direct")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        load_config(tmp_path / "missing.yaml")


def test_every_shipped_configuration_loads_and_opens_with_its_command() -> None:
    paths = sorted((ROOT / "device_configs").rglob("*.yaml"))
    assert len(paths) >= 1
    for path in paths:
        load_config(path)
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# edge-app run device_configs/{path.name}"
