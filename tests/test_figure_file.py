"""The file of a report's picture: private, and a clear error where it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from edge_app.errors import SinkError
from edge_app.figure_file import new_figure, save_figure


def test_a_new_picture_is_for_its_owner_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = save_figure(new_figure((2.0, 1.0)), tmp_path / "new" / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    save_figure(new_figure((2.0, 1.0)), path)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_picture_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkError):
        save_figure(new_figure((2.0, 1.0)), tmp_path / "file" / "a.png")
