"""A YAML file is read as plain values, or refused with its name and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.config import load_config
from edge_app.errors import ConfigError
from edge_app.yaml_file import read_yaml


def write(folder: Path, content: bytes) -> Path:
    path = folder / "device.yaml"
    path.write_bytes(content)
    return path


def test_plain_values_are_read(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, b"a: [1, 2.5, x]\nb: {c: null}\n")) == {
        "a": [1, 2.5, "x"],
        "b": {"c": None},
    }
    assert read_yaml(write(tmp_path, b"")) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1, 2\nb: 3\n", "not valid YAML.*line 2"),
        (b"a: 1\na: 2\n", "key 'a' is given twice.*line 2"),
        (b"? [1, 2]\n: x\n", "a key must be text"),
        (b"a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        (b"a: 2026-02-31\n", "not valid YAML"),
        (b"[" * 5000, "nested too deeply"),
        (b"a: \xff\xfe\x00\n", "cannot be read"),
        (b"a: \x01\n", "not valid YAML"),
    ],
)
def test_what_is_no_good_yaml_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError, match=f"(?s){says}") as caught:
        read_yaml(path)
    assert caught.value.source == str(path)
    assert "device_configs/" in caught.value.next_step
    assert "<unicode string>" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_what_cannot_be_opened_is_named_without_a_number(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read: ") as caught:
        read_yaml(tmp_path / name)
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"just words\n", b"42\n"])
def test_what_is_no_mapping_is_read_but_is_no_device(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    assert not isinstance(read_yaml(path), dict)
    with pytest.raises(ConfigError, match="top level: must be keys with values"):
        load_config(path)
