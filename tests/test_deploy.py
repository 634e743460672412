"""What the project gives to systemd, as systemd itself judges it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNIT = ROOT / "deploy" / "bedside.service"
MOST_EXPOSED = 2.0


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/bedside/bin/edge-app", "/bin/true")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    return tmp_path / UNIT.name


def analyse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    done = analyse("verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_stays_closed(unit: Path) -> None:
    done = analyse("security", "--offline=true", str(unit))
    found = re.search(r"exposure level for bedside\.service: (\d+\.\d+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST_EXPOSED
