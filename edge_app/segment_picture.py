"""The sheet of ``edge-app segment``: the picture, its histogram, and every method side by side."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from edge_app.errors import ConfigError, PreprocessError
from edge_app.figure_file import save_figure
from edge_app.preprocess.face import Picture, to_grey
from edge_app.preprocess.segmentation.histogram import entropy_bits, normalised_histogram
from edge_app.preprocess.segmentation.thresholds import basic_global_threshold, otsu_threshold
from edge_app.segment import METHODS, SegmentOptions, segment

_COLUMNS = 4
_MASKS = frozenset(METHODS) - {"kmeans-colour", "kmeans-colour-place", "equalised", "clahe"}


def draw_sheet(rgb: Picture, options: SegmentOptions, path: Path, title: str) -> None:
    """Draw every method side by side.

    Args:
        rgb: (height, width, 3) uint8.
        options: what a person chose.
        path: where the PNG goes, readable by its owner only.
        title: stands above it.

    Raises:
        ConfigError: matplotlib or scikit-image is not installed, or options that cannot be used.
        SinkError: the sheet cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "the sheet needs matplotlib",
            source="edge-app segment",
            next_step="Install it with: pip install 'bedside[report]', or choose one --method",
        ) from error
    rows = -(-(2 + len(METHODS)) // _COLUMNS)
    figure = Figure(figsize=(3.2 * _COLUMNS, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS).ravel()
    for axes in panels[2 + len(METHODS) :]:
        axes.set_axis_off()
    height, width = rgb.shape[:2]
    _show(panels[0], rgb, f"picture, {width}x{height}")
    _histogram(panels[1], to_grey(rgb))
    for axes, name in zip(panels[2:], METHODS, strict=False):
        _result(axes, rgb, name, options)
    figure.suptitle(title, fontsize="medium")
    save_figure(figure, path)


def _result(axes: Any, rgb: Picture, name: str, options: SegmentOptions) -> None:
    try:
        result = segment(rgb, name, options)
    except PreprocessError as error:  # such as fewer colours than clusters: the others still show
        axes.text(0.5, 0.5, fill(str(error), 32), ha="center", va="center", fontsize="small")
        axes.set_title(name, fontsize="small")
        axes.set_axis_off()
        return
    _show(axes, result, _heading(name, result))


def _heading(name: str, result: Picture) -> str:
    if name in _MASKS:
        return f"{name}: {100 * np.mean(result > 0):.1f} % foreground"
    return f"{name}: {entropy_bits(result):.2f} bits/px" if result.ndim == 2 else name


def _show(axes: Any, picture: Picture, title: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize="small")
    axes.set_axis_off()


def _histogram(axes: Any, grey: Picture) -> None:
    axes.fill_between(np.arange(256), 100 * normalised_histogram(grey), step="mid", color="0.6")
    basic, otsu = basic_global_threshold(grey), otsu_threshold(grey)
    axes.axvline(basic, color="tab:blue", label=f"basic global {basic:.1f}")
    axes.axvline(otsu, color="tab:red", linestyle="--", label=f"Otsu {otsu}")
    axes.set_title(f"grey levels, {entropy_bits(grey):.2f} bits/px", fontsize="small")
    axes.set(xlim=(0, 255), ylim=(0, None), yticks=[], xlabel="level")
    axes.legend(fontsize="x-small")
