"""Every picture of a scored bundle of facial expressions, as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from edge_app.errors import SinkError
from trainer.emotion_evaluation.picture_confusion import confusion_picture
from trainer.emotion_evaluation.picture_groups import groups_picture
from trainer.emotion_evaluation.picture_reliability import reliability_picture
from trainer.emotion_evaluation.picture_risk_coverage import risk_coverage_picture
from trainer.emotion_evaluation.picture_samples import samples_picture
from trainer.emotion_evaluation.style import DPI, scored_subsets
from trainer.experiment import Split


def write_pictures(
    figures: dict[str, Any],
    split: Split,
    probabilities: npt.NDArray[np.float32],
    folder: Path,
) -> list[Path]:
    """Draw everything.

    Args:
        figures: as ``evaluate`` gave them.
        split: what was scored.
        probabilities: (n, n_labels).
        folder: it exists; the sheet of samples shows faces.

    Returns:
        The files: confusion.png, confusion_SUBSET.png, reliability.png, risk_coverage.png,
        robustness.png, subgroups.png where attributes were named, samples.png.

    Raises:
        SinkError: they cannot be written.
    """
    paths = []
    for name, picture in _pictures(figures, split, probabilities):
        path = folder / name
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
    figures: dict[str, Any], split: Split, probabilities: npt.NDArray[np.float32]
) -> Iterator[tuple[str, Figure]]:
    head = f"{figures['bundle']} on {figures['data']}"
    accuracy = figures["accuracy"]
    yield "confusion.png", confusion_picture(figures, head)
    for name, part in scored_subsets(figures).items():
        said = name.replace("_", "-")
        yield f"confusion_{name}.png", confusion_picture(part, f"{head}, {said}")
    yield "reliability.png", reliability_picture(figures, head)
    yield "risk_coverage.png", risk_coverage_picture(figures, head)
    groups = figures["robustness"]["groups"]
    title = f"{head}\nrobustness: groups of pictures, not of people"
    yield "robustness.png", groups_picture(groups, accuracy, title)
    if figures["by"]:
        yield "subgroups.png", groups_picture(figures["by"], accuracy, f"{head}\nsubgroups")
    yield (
        "samples.png",
        samples_picture(
            split.inputs[0].numpy()[:, 0],
            split.targets.numpy(),
            probabilities,
            tuple(figures["labels"]),
            head,
        ),
    )
