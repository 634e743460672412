"""The sheet of explained pictures, and the curves of the deletion test, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_app.errors import SinkError
from trainer.explanation.deletion import Curves
from trainer.explanation.maps import METHODS, TITLES

if TYPE_CHECKING:
    from trainer.explanation.explain import Shown
    from trainer.explanation.torch_model import Explained

CELL_IN = 1.7
COLOURS = {
    "grad_cam": "#0072b2",
    "ig_black": "#d55e00",
    "ig_mean_face": "#e69f00",
    "occlusion": "#009e73",
}
FILL_TITLES = {"mean_face": "hidden by the mean face", "blur": "hidden by blurring"}


def draw_sheet(shown: Shown, explained: Explained, file: Path) -> None:
    """Draw a row a picture: the picture, then its maps over it.

    Args:
        shown: pictures with maps.
        explained: whose they are.
        file: PNG file.

    Raises:
        SinkError: it cannot be written.
    """
    from matplotlib.figure import Figure

    labels = explained.experiment.parts().labels
    n, columns = len(shown.rows), 1 + len(METHODS)
    figure = Figure(figsize=(CELL_IN * columns + 1.0, CELL_IN * n + 0.9), layout="constrained")
    axes = figure.subplots(n, columns, squeeze=False)
    for i in range(n):
        face = shown.pictures[i, 0].numpy()
        true, said = labels[int(shown.targets[i])], labels[int(shown.predicted[i])]
        axes[i, 0].imshow(face, cmap="gray", vmin=0, vmax=255)
        axes[i, 0].set_ylabel(
            f"{said} {float(shown.confidences[i]):.0%}\ntrue: {true}",
            fontsize=8,
            color="black" if true == said else "#b00020",
        )
        for j, name in enumerate(METHODS, start=1):
            _draw_map(axes[i, j], face, shown.maps.maps[name][i].numpy(), name)
    for j, title in enumerate(("picture", *(TITLES[name] for name in METHODS))):
        axes[0, j].set_title(title, fontsize=8)
    for one in axes.flat:
        one.set(xticks=[], yticks=[])
    figure.suptitle(
        f"{explained.name}: facial expression, red speaks for the answer, blue against it",
        fontsize=9,
    )
    _save(figure, file)


def draw_deletion(curves: dict[str, Curves], file: Path) -> None:
    """Draw the mean probability against the share hidden, a panel for each way of hiding.

    Args:
        curves: by what hides.
        file: PNG file.

    Raises:
        SinkError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(curves), 3.6), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (fill, one) in zip(panels, curves.items(), strict=True):
        for name, drawn in one.by_method.items():
            title = TITLES[name].replace("\n", " ")
            axes.plot(one.shares, drawn.mean(axis=0), color=COLOURS[name], label=title)
            moved = one.moved[name].mean(axis=(0, 1))
            axes.plot(one.shares, moved, color=COLOURS[name], linestyle=":", linewidth=1)
        axes.plot(one.shares, one.random.mean(axis=(0, 1)), color="black", label="random maps")
        axes.set(
            xlabel="share hidden, most important first",
            ylabel="probability of the answer",
            xlim=(0, 1),
            ylim=(0, None),
            title=f"{FILL_TITLES.get(fill, fill)}, n {len(one.random)}",
        )
        axes.grid(alpha=0.3)
    panels[0].plot([], [], color="grey", linestyle=":", label="the same maps, moved")
    panels[0].legend(fontsize=7)
    _save(figure, file)


def _draw_map(
    axes: Any, face: np.ndarray[Any, Any], values: np.ndarray[Any, Any], name: str
) -> None:
    axes.imshow(face, cmap="gray", vmin=0, vmax=255)
    largest = float(np.quantile(np.abs(values), 0.995)) or 1.0
    axes.imshow(
        values,
        cmap="seismic",
        vmin=-largest,
        vmax=largest,
        alpha=0.55,
        interpolation="bilinear" if name == "grad_cam" else "nearest",
    )


def _save(figure: Any, file: Path) -> None:
    try:
        figure.savefig(file, format="png", dpi=110)
    except OSError as error:
        raise SinkError(
            f"cannot write the picture: {error}",
            source=str(file),
            next_step="Give --out a file that can be written",
        ) from error
