"""What the project gives to systemd, udev and Compose: well-formed, and fitting together."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "bedside.service"
RULES = DEPLOY / "99-bedside.rules"
DOCKERFILE = (ROOT / "Dockerfile.jetson").read_text(encoding="utf-8")
MOST_EXPOSED = 2.0
UDEV_THAT_VERIFIES = 254
MATCHES = {"ACTION", "ATTR", "ENV", "KERNEL", "SUBSYSTEM", "SUBSYSTEMS", "TEST"}
ASSIGNS = {"ATTR", "GROUP", "MODE", "SYMLINK", "TAG"}


def say(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/bedside/bin/edge-app", "/bin/true")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    return tmp_path / UNIT.name


@pytest.fixture
def service() -> dict[str, Any]:
    """The one service of the Compose file."""
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert list(document["services"]) == ["bedside"]
    return document["services"]["bedside"]


def rules() -> list[list[tuple[str, str, str]]]:
    """Return (key, operator, value) of each part of each rule; fail on what is none."""
    lines = [line for line in RULES.read_text(encoding="utf-8").splitlines() if line.strip()]
    parsed = []
    for line in (line for line in lines if not line.startswith("#")):
        parts = [
            re.fullmatch(r'([A-Z]+)(?:\{[\w/]+\})?(==|\+=|=)"([^"]*)"', p.strip())
            for p in line.split(",")
        ]
        assert all(parts), line
        parsed.append([(part[1], part[2], part[3]) for part in parts if part])
    return parsed


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    done = say("systemd-analyze", "verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_stays_closed(unit: Path) -> None:
    done = say("systemd-analyze", "security", "--offline=true", str(unit))
    found = re.search(r"exposure level for bedside\.service: (\d+\.\d+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_udev_finds_nothing_wrong_with_the_rules() -> None:
    version = say("udevadm", "--version").stdout.strip() if shutil.which("udevadm") else "0"
    if int(version) < UDEV_THAT_VERIFIES:
        pytest.skip(f"udevadm verify came with {UDEV_THAT_VERIFIES}; here is {version} (0: none)")
    done = say("udevadm", "verify", str(RULES))
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_every_rule_matches_something_and_sets_something() -> None:
    assert len(rules()) == 3
    for rule in rules():
        matches = {key for key, operator, _ in rule if operator == "=="}
        assigns = {key for key, operator, _ in rule if operator != "=="}
        assert matches <= MATCHES
        assert "SUBSYSTEM" in matches
        assert assigns
        assert assigns <= ASSIGNS


def test_the_camera_has_one_name_and_one_group_everywhere(service: dict[str, Any]) -> None:
    camera = next(rule for rule in rules() if ("SUBSYSTEM", "==", "video4linux") in rule)
    set_ = {key: value for key, operator, value in camera if operator != "=="}
    assert service["devices"] == [f"/dev/{set_['SYMLINK']}"]
    assert set_["MODE"] == "0660"
    group = set_["GROUP"]
    assert any(gid.startswith(f"${{{group.upper()}_GID") for gid in service["group_add"])
    assert f"--groups {group} " in DOCKERFILE
    unit_groups = re.search(r"^SupplementaryGroups=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert unit_groups
    users = (DEPLOY / "bedside.sysusers.conf").read_text(encoding="utf-8")
    members = re.findall(r"^m bedside (\w+)$", users, re.MULTILINE)
    assert group in members
    assert sorted(unit_groups[1].split()) == sorted(members)


def test_the_container_may_do_no_more_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc", "userns_mode"} & set(service)
    assert service["user"].startswith("${BEDSIDE_UID:?")  # never root by default
    assert not any("docker.sock" in volume for volume in service["volumes"])


def test_the_container_can_write_where_the_image_writes(service: dict[str, Any]) -> None:
    mounted = [volume.split(":") for volume in service["volumes"]]
    writable = {target for _, target, *mode in mounted if mode != ["ro"]}
    assert writable == {"/results", "/var/lib/bedside", "/run/dbus/system_bus_socket"}
    image = dict(re.findall(r"^ +(?:ENV )?([A-Z_]+)=(\S+) *\\?$", DOCKERFILE, re.MULTILINE))
    assert image["XDG_CACHE_HOME"].startswith("/var/lib/bedside/")
    assert image["XDG_DATA_HOME"].startswith("/var/lib/bedside/")
    assert service["tmpfs"] == [str(Path(image["BEDSIDE_ALIVE_FILE"]).parent)]
    config = service["command"][1]
    assert [config, "ro"] in [volume[1:] for volume in mounted]
    assert config in UNIT.read_text(encoding="utf-8")


def test_compose_builds_the_image_whose_health_it_relies_on(service: dict[str, Any]) -> None:
    build = service["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == ROOT / "Dockerfile.jetson"
    assert "healthcheck" not in service  # the image's own, which a disabled one would hide
    assert re.search(r"^HEALTHCHECK .*\\\n +CMD \[.*BEDSIDE_ALIVE_FILE", DOCKERFILE, re.MULTILINE)
    assert "\nUSER 10001\n" in DOCKERFILE
