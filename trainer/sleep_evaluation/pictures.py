"""Every picture of staged nights, as PNG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from edge_app.errors import SinkError
from trainer.datasets.sleep_stages import EPOCH_S
from trainer.path_checks import make_folder
from trainer.sleep_evaluation.learnt import flatters
from trainer.sleep_evaluation.night_answers import NightAnswers
from trainer.sleep_evaluation.picture_confidence import confidence_picture
from trainer.sleep_evaluation.picture_confusion import confusion_picture
from trainer.sleep_evaluation.picture_hypnogram import hypnogram_picture
from trainer.sleep_evaluation.picture_overview import overview_picture
from trainer.sleep_evaluation.style import DPI


def write_pictures(
    folder: Path,
    figures: dict[str, Any],
    nights: Mapping[int, Sequence[NightAnswers]],
    *,
    name: str = "",
) -> list[Path]:
    """Draw everything of what is said at once, and the confusion of what is final.

    Args:
        folder: made when missing.
        figures: as ``sleep_figures`` gave them for ``nights``.
        nights: by delay.
        name: the data, for titles.

    Returns:
        The files: confusion.png, confusion_final.png where answers are revised, confidence.png,
        overview.png, and hypnogram_NIGHT.png a night.

    Raises:
        SinkError: they cannot be written.
    """
    paths = []
    make_folder(folder)
    for file, picture in _pictures(figures, nights, name):
        path = folder / file
        try:
            picture.savefig(path, dpi=DPI)
        except OSError as error:
            raise SinkError(
                f"cannot write the picture: {error}",
                source=str(path),
                next_step="Free space, or give --pictures a folder that can be written",
            ) from error
        paths.append(path)
    return paths


def _pictures(
    figures: dict[str, Any],
    nights: Mapping[int, Sequence[NightAnswers]],
    name: str,
) -> Iterator[tuple[str, Figure]]:
    """Yield file names and pictures, one at a time: a hundred nights do not fit into memory."""
    head = f"{name}: " if name else ""
    yield "confusion.png", confusion_picture(figures, f"{head}said at once")
    last = max(nights)
    if last:
        final = figures["delays"][str(last)]
        yield "confusion_final.png", confusion_picture(final, f"{head}{_waited(last)}")
    if figures["n"]:
        yield "confidence.png", confidence_picture(figures, f"{head}said at once")
    yield (
        "overview.png",
        overview_picture(figures, f"{name or 'Sleep staging'}, by night{flatters(figures)}"),
    )
    for night in nights[0]:
        file = re.sub(r"[^\w.-]+", "_", night.night)
        yield f"hypnogram_{file}.png", hypnogram_picture(night, "said at once")


def _waited(delay_epochs: int) -> str:
    return f"final, {delay_epochs * EPOCH_S:g} s later"
