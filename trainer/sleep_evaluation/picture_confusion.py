"""The confusion matrix as a picture: counts, shaded by share of the expert's stage."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trainer.sleep_evaluation.style import number


def confusion_picture(figures: dict[str, Any], title: str) -> Figure:
    """Draw expert against model, with a column for epochs without an answer where there are any.

    Args:
        figures: of one delay, as ``figures_of`` gave them.
        title: what is shown, such as the data and the delay.

    Returns:
        The picture.
    """
    counts = np.array(figures["confusion"], dtype=np.int64)
    labels = list(figures["labels"])
    silent = [figures["abstained"]["n_per_class"][label] for label in labels]
    columns = list(labels)
    if any(silent):
        counts = np.column_stack([counts, silent])
        columns.append("no answer")
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    figure = Figure(figsize=(1.05 * len(columns) + 1.6, 6.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        said = f"{counts[row, column]:,}\n{share:.1%}" if support[row, 0] else "0"
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, said, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(columns)), columns)
    names = [f"{name}\n{n:,}" for name, n in zip(labels, support[:, 0], strict=True)]
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="model", ylabel="expert (epochs)")
    axes.set_title(
        f"{title}\naccuracy {number(figures['accuracy'])}, kappa {number(figures['kappa'])}, "
        f"macro-F1 {number(figures['macro_f1'])}, n {figures['n']:,}",
        fontsize="medium",
    )
    return figure
