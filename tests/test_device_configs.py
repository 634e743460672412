"""The shipped device configurations, on a machine that has none of their hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.config import load_config
from edge_app.config_sources import BleImuConfig, CameraConfig, LslConfig
from tests.conftest import ROOT
from tests.test_replay import edge_app

BOARDS = ("jetson_orin_nano", "jetson_orin_nx_agx", "raspberry_pi_5")
SHIPPED = (*BOARDS, "workstation", "demo")


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_reads_the_three_real_sensors_and_writes_its_results(board: str) -> None:
    device = load_config(ROOT / "device_configs" / f"{board}.yaml")
    kinds = {type(stream.source) for stream in device.streams}
    assert kinds == {CameraConfig, LslConfig, BleImuConfig}
    assert device.lsl.session is not None  # two beds on one network do not mix
    assert {sink.kind for sink in device.sinks} == {"jsonl"}  # nobody looks at a service's terminal


@pytest.mark.lsl
@pytest.mark.parametrize("name", SHIPPED)
def test_check_only_says_what_is_missing_and_starts_nothing(name: str, tmp_path: Path) -> None:
    shipped = (ROOT / "device_configs" / f"{name}.yaml").read_text(encoding="utf-8")
    config = tmp_path / f"{name}.yaml"
    text = shipped.replace("../exports", f"{ROOT}/docs/../exports")
    text = text.replace("../out", f"{tmp_path}/x/../out")
    text = text.replace("channel: Fpz-Cz}", "channel: Fpz-Cz, resolve_timeout_s: 0.5}")
    text = text.replace('00:01"}', '00:01", scan_timeout_s: 1}')
    config.write_text(text.replace("/dev/bedside-camera", "/dev/no-camera-here"), encoding="utf-8")
    done = edge_app("run", config, "--check-only")
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown
    assert done.returncode in (0, 1), shown
    lines = done.stdout.splitlines()
    failed = [index for index, line in enumerate(lines) if line.startswith("FAILED")]
    assert (done.returncode == 1) == bool(failed)
    assert all(lines[index + 1].startswith("        ") for index in failed), "no next step"
    if name in BOARDS:
        assert [lines[i].split(":")[0].split()[-1] for i in failed] == ["face", "eeg", "foot"]
        assert "/dev/no-camera-here" in lines[failed[0]]
        assert "my-headband" in lines[failed[1]]
    assert list(tmp_path.iterdir()) == [config]
    assert not any("/../" in line for line in lines)
