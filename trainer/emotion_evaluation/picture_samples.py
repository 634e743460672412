"""A sheet of pictures with what was said of them: right, wrong and most unsure.

It shows faces: it is written only into the folder that the user names, never into a bundle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from trainer.emotion_evaluation.style import GREEN, GREY, RED

COLUMNS = 8
SEED = 0


def chosen_samples(
    targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating]
) -> dict[str, npt.NDArray[np.int64]]:
    """Return which pictures stand for what.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).

    Returns:
        ``right``: drawn at random; ``wrong``: the surest first; ``unsure``: the least sure first,
        right or wrong. Up to ``COLUMNS`` rows each.
    """
    confidence, answers = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right, wrong = np.flatnonzero(answers == targets), np.flatnonzero(answers != targets)
    drawn = np.random.default_rng(SEED).permutation(right)[:COLUMNS]
    return {
        "right": np.sort(drawn),
        "wrong": wrong[np.argsort(-confidence[wrong], kind="stable")][:COLUMNS],
        "unsure": np.argsort(confidence, kind="stable")[:COLUMNS],
    }


def samples_picture(
    pixels: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating],
    labels: tuple[str, ...],
    title: str,
) -> Figure:
    """Draw the sheet.

    Args:
        pixels: (n, height, width) grey levels.
        targets: (n,) classes.
        probabilities: (n, n_labels).
        labels: the classes in order.
        title: what is shown.

    Returns:
        The picture: three rows, below each face the answer, its probability and the truth.
    """
    rows = chosen_samples(targets, probabilities)
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    names = {"right": "right,\nat random", "wrong": "wrong,\nsurest", "unsure": "least\nsure"}
    figure = Figure(figsize=(1.5 * COLUMNS + 1, 7), layout="constrained")
    grid = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for line, (kind, chosen) in zip(grid, rows.items(), strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.set_frame_on(False)
        line[0].set_ylabel(names[kind], color=GREY)
        for axes, i in zip(line, chosen, strict=False):
            axes.imshow(pixels[i], cmap="gray", vmin=0, vmax=255)
            hit = answers[i] == targets[i]
            axes.set_title(
                f"{labels[answers[i]]} {confidence[i]:.2f}\ntrue: {labels[targets[i]]}",
                color=GREEN if hit else RED,
                fontsize="small",
            )
    figure.suptitle(title, fontsize="medium")
    return figure
