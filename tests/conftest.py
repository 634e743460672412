"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is no fault of an example.
settings.register_profile("bedside", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bedside")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and all that hear each other's LSL streams in one."""
    for item in items:
        lsl = item.get_closest_marker("lsl") is not None
        item.add_marker(pytest.mark.xdist_group("lsl" if lsl else item.nodeid.split("::")[0]))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real recordings; the test skips where it is absent."""
    path = Path(os.environ.get("BEDSIDE_DATA", ROOT / "../shared/data")).resolve()
    if not path.is_dir():
        pytest.skip(f"no data folder at {path}: set BEDSIDE_DATA to run this test")
    return path


@pytest.fixture(scope="session", autouse=True)
def nothing_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no face detector that this user has installed change what tests see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data_home")))
        yield


@pytest.fixture
def without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the learning curve's picture away, which takes longer than a made run itself."""
    monkeypatch.setattr("trainer.run_dir.draw_png", lambda *_: None)
