"""A device configuration loads as a whole or says which key is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.config import JsonlConfig, RecordingConfig, load_config
from edge_app.errors import ConfigError
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


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.streams[0].bundle == tmp_path / "../exports/sleep"
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
        ("device: bed-1", "device: bed-1\ncolour: red", "device, sinks, streams"),
        ("source_id: band-7", "sourceid: band-7", "unknown key 'sourceid' at streams.0.source ("),
        ("source_id: band-7", "sourceid: band-7", "channel, jitter_s, kind, resolve_timeout_s"),
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
        ("kind: lsl", "kind: telepathy", "expected one of lsl, recording, simulated"),
        ("kind: lsl, ", "", "key 'kind' is missing at streams.0.source (expected one of lsl, "),
        ("kind: jsonl", "kind: paper", "unknown kind 'paper' at sinks.0 (expected one of console"),
        ("{kind: lsl, source_id: band-7}", "lsl", "streams.0.source: must be keys with values"),
        ("device: bed-1", "", "key 'device' is missing at top level"),
        ("name: eeg", "name: yes", "streams.0.name: must be text"),
        ("kind: lsl", "kind: lsl, unit: furlong", "streams.0.source.unit: must be uV"),
        ("speed: null", "unit: furlong", "streams.1.source.unit: must be uV"),
        ("speed: null", "gyr_unit: g", "streams.1.source.gyr_unit: must be rad/s"),
        ("sinks:", "sinks:\n  - {kind: jsonl, directory: x/../out}", "one directory"),
        ("sinks:", "sinks:\n  - {kind: console}\n  - {kind: console}", "one console"),
        ("kind: lsl", "kind: lsl, session: 'a b'", "streams.0.source.session"),
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


SECOND_BAND = """
  - name: second
    bundle: ../exports/sleep
    source: {kind: lsl, source_id: band-8SESSION}
sinks:
"""


def second_band(session: str) -> str:
    return GOOD.replace("\nsinks:\n", SECOND_BAND.replace("SESSION", session))


def test_all_lsl_streams_of_a_device_are_of_one_session(tmp_path: Path) -> None:
    """liblsl takes its session once a process."""
    load_config(write(tmp_path, second_band("")))
    with pytest.raises(ConfigError, match="one LSL session only, got bed-9, none"):
        load_config(write(tmp_path, second_band(", session: bed-9")))
    both = second_band(", session: bed-9").replace("band-7", "band-7, session: bed-9")
    load_config(write(tmp_path, both))


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
