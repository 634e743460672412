"""The confusion matrix as a picture: counts, shaded by share of the true class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trainer.emotion_evaluation.style import with_ends


def confusion_picture(figures: dict[str, Any], title: str) -> Figure:
    """Draw what is true against what is answered.

    Args:
        figures: as ``examine_faces`` gave them, of all or of a subset.
        title: what is shown.

    Returns:
        The picture.
    """
    counts = np.array(figures["confusion"], dtype=np.int64)
    labels = list(figures["labels"])
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    side = 0.9 * len(labels) + 1.6
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        said = f"{counts[row, column]:,}\n{share:.0%}" if support[row, 0] else "0"
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, said, ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(range(len(labels)), labels)
    names = [f"{name}\n{n:,}" for name, n in zip(labels, support[:, 0], strict=True)]
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="answered", ylabel="true (pictures)")
    intervals = figures["intervals"]
    axes.set_title(
        f"{title}, n {figures['n']:,}\n"
        f"accuracy {with_ends(figures['accuracy'], intervals['accuracy'])}, "
        f"macro-F1 {with_ends(figures['macro_f1'], intervals['macro_f1'])}",
        fontsize="medium",
    )
    return figure
