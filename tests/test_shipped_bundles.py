"""Every bundle in exports/ is whole, gives its golden outputs here, and says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.build import open_bundle

BUNDLES = sorted((Path(__file__).resolve().parents[1] / "exports").glob("*/manifest.json"))


def test_there_is_one_for_each_task() -> None:
    assert {path.parent.name for path in BUNDLES} >= {"emotion", "sleep", "frailty"}


@pytest.mark.parametrize("path", [path.parent for path in BUNDLES], ids=lambda path: path.name)
def test_a_shipped_bundle_is_whole_and_honest(path: Path) -> None:
    manifest = open_bundle(path).manifest
    assert manifest.name == path.name
    card = (path / "README.md").read_text(encoding="utf-8")
    assert "Not a medical device" in card
    assert ("simulated" in card.lower()) or not manifest.simulated
    assert "+changes" not in manifest.training.commit
    assert sum(file.stat().st_size for file in path.iterdir()) < 10_000_000
