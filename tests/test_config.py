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
        ("source_id: band-7", "sourceid: band-7", "unknown key 'sourceid' at streams.0.source.lsl"),
        ("source_id: band-7", "sourceid: band-7", "channel, jitter_s, kind, resolve_timeout_s"),
        ("directory: out", "directory: out, colour: red", "one of directory, kind"),
        (
            "    bundle: ../exports/sleep\n    source: {kind: lsl",
            "    source: {kind: lsl",
            "bundle",
        ),
        ("kind: lsl", "kind: telepathy", "telepathy"),
        ("name: file", "name: eeg", "stream names must differ"),
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


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]", "a: {b: [}"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load_config(write(tmp_path, text))


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
