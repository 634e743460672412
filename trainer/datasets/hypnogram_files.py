"""Choose the reader of a hypnogram by what the file holds and by its name."""

from __future__ import annotations

from pathlib import Path

from edge_app.errors import DatasetError
from trainer.datasets.hypnogram import Hypnogram
from trainer.datasets.hypnogram_edf import is_edf, read_edf_hypnogram
from trainer.datasets.hypnogram_json import read_json_hypnogram
from trainer.datasets.hypnogram_text import read_text_hypnogram
from trainer.datasets.sleep_stages import Coding


def read_hypnogram(path: Path, *, coding: Coding | None = None) -> Hypnogram:
    """Read a scorer's file of any known format.

    Args:
        path: EDF+ or BDF+ annotations, JSON, or text (CSV, TSV, one value a line).
        coding: what numbers mean in a text file; None: as the file says.

    Returns:
        The hypnogram.

    Raises:
        DatasetError: no such file, or one that is no complete hypnogram.
    """
    if not path.is_file():
        raise DatasetError(
            "no such hypnogram",
            source=str(path),
            next_step="Name the file with the expert's stages with --hypnogram",
        )
    if is_edf(path):
        return read_edf_hypnogram(path, other_events=True)
    if path.suffix.lower() == ".json":
        return read_json_hypnogram(path)
    return read_text_hypnogram(path, coding=coding)
