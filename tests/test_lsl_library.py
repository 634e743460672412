"""liblsl is found where it may be, and is given this device's network settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_app.errors import ConfigError
from edge_app.sources import liblsl
from edge_app.sources.liblsl import LslNetwork, configure_liblsl, liblsl_facts, load_pylsl
from tests.conftest import ROOT

pytestmark = pytest.mark.lsl

ASK = """
import json
from edge_app.errors import SourceError
from edge_app.sources.liblsl import configure_liblsl, liblsl_facts
try:
    facts = liblsl_facts()
    configure_liblsl()
    print(json.dumps([facts.origin, facts.path, facts.version]))
except SourceError as error:
    print(json.dumps(["error", str(error), ""]))
"""


def as_on_aarch64(folder: Path) -> Path:
    """Copy pylsl without its library; return that library."""
    package = Path(load_pylsl().__file__).parent
    ignore = shutil.ignore_patterns("*.so*", "__pycache__")
    shutil.copytree(package, folder / "pylsl", ignore=ignore)
    return max((package / "lib").glob("liblsl.so*"), key=lambda path: path.stat().st_size)


def ask(folder: Path, **environment: str) -> list[str]:
    path = f"{folder}{os.pathsep}{ROOT}"
    kept = {k: v for k, v in os.environ.items() if k not in ("PYLSL_LIB", "LSLAPICFG")}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=kept | {"PYTHONPATH": path} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[str] = json.loads(done.stdout)
    return answer


def test_the_library_in_use_is_said() -> None:
    facts = liblsl_facts()
    assert Path(facts.path).name.startswith("liblsl")
    assert facts.origin in ("pylsl", "PYLSL_LIB", "system", "mne_lsl")
    assert float(facts.version) >= 1.16


def test_without_a_library_it_is_said_what_was_tried_and_what_to_install(tmp_path: Path) -> None:
    as_on_aarch64(tmp_path)
    kind, said, _ = ask(tmp_path)
    if kind != "error":
        pytest.skip(f"this system has a liblsl of its own: {said}")
    assert "PYLSL_LIB: not set" in said
    assert "mne_lsl: not installed" in said
    assert "`pip install mne-lsl" in said
    assert "github.com/sccn/liblsl" in said


def test_the_library_inside_mne_lsl_is_found_without_importing_it(tmp_path: Path) -> None:
    library = as_on_aarch64(tmp_path)
    inside = tmp_path / "mne_lsl" / "lsl" / "lib"
    inside.mkdir(parents=True)
    (tmp_path / "mne_lsl" / "__init__.py").write_text("raise RuntimeError('was imported')\n")
    shutil.copy(library, inside / "liblsl.so.1.17.4")
    kind, path, _ = ask(tmp_path)
    if kind == "system":
        pytest.skip(f"this system has a liblsl of its own: {path}")
    assert (kind, path) == ("mne_lsl", str(inside / "liblsl.so.1.17.4"))


def test_pylsl_lib_comes_first_and_must_be_a_file(tmp_path: Path) -> None:
    library = as_on_aarch64(tmp_path)
    assert ask(tmp_path, PYLSL_LIB=str(library))[:2] == ["PYLSL_LIB", str(library)]
    kind, said, _ = ask(tmp_path, PYLSL_LIB="/nowhere/liblsl.so")
    assert kind == "error"
    assert "PYLSL_LIB names no file: /nowhere/liblsl.so" in said
    (tmp_path / "other.so").write_bytes(b"not a library")
    kind, said, _ = ask(tmp_path, PYLSL_LIB=str(tmp_path / "other.so"))
    assert kind == "error"
    assert "the library named by PYLSL_LIB" in said


def test_two_streams_that_load_it_at_once_both_get_all_of_it(tmp_path: Path) -> None:
    """Each stream opens in a thread of its own; half an imported module helps nobody."""
    slow = "import time; time.sleep(0.3); cf_string = 3"
    (tmp_path / "pylsl.py").write_text(slow + "\n")
    script = (
        "import threading, time\n"
        "from edge_app.sources.liblsl import load_pylsl\n"
        "got = []\n"
        "def load(): got.append(hasattr(load_pylsl(), 'cf_string'))\n"
        "first, second = threading.Thread(target=load), threading.Thread(target=load)\n"
        "first.start(); time.sleep(0.1); second.start(); first.join(); second.join()\n"
        "print(got)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[True, True]"


def test_the_network_is_written_as_liblsl_reads_it() -> None:
    lines = LslNetwork("bed-9", ("amp-9", "10.0.0.7"), "site").settings.splitlines()
    for line in (
        "SessionID = bed-9",
        "KnownPeers = {amp-9, 10.0.0.7}",
        "ResolveScope = site",
        "IPv6 = disable",
    ):
        assert line in lines
    plain = LslNetwork().settings
    assert "ResolveScope = link" in plain
    assert "SessionID" not in plain
    assert "KnownPeers" not in plain


@pytest.mark.parametrize(
    "given",
    [
        {"session": "a b"},
        {"session": "x' or '1'='1"},
        {"session": ""},
        {"known_peers": ("good", "bad}\n")},
        {"resolve_scope": "ward"},
    ],
)
def test_names_that_could_change_the_settings_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LslNetwork(**given)  # type: ignore[arg-type]


def test_an_older_liblsl_is_given_its_settings_by_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.17.7 it takes no settings from memory, only from the file named by LSLAPICFG."""
    read: list[str] = []

    def refuse(_content: str) -> None:
        raise NotImplementedError

    def first_use() -> None:
        read.append(Path(os.environ["LSLAPICFG"]).read_text(encoding="utf-8"))

    old = SimpleNamespace(set_config_content=refuse, ContinuousResolver=first_use)
    monkeypatch.setattr(liblsl, "load_pylsl", lambda: old)
    monkeypatch.setattr(liblsl, "_requested", [])
    monkeypatch.delenv("LSLAPICFG", raising=False)
    configure_liblsl(LslNetwork("bed-9"))
    assert read == [LslNetwork("bed-9").settings]
    assert "LSLAPICFG" not in os.environ
