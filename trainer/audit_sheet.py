"""The contact sheet of ``trainer audit``: the worst pictures of each kind, a row a kind."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from edge_app.errors import SinkError
from trainer.audit import KINDS, Audit

COLUMNS = 10
UNITS = {
    "blank": "range {:.0f}",
    "near_duplicate": "group of {:.0f}",
    "low_entropy": "{:.2f} bits/px",
    "dark": "mean {:.0f}",
    "bright": "mean {:.0f}",
    "clipped": "{:.0%} at 0, 255",
}
"""What the figure of each kind is."""
_NAME_LENGTH = 22


def draw_sheet(found: Audit, path: Path, title: str) -> None:
    """Draw the sheet; it shows the data set's pictures, faces too.

    Args:
        found: by the audit.
        path: where the PNG goes, readable by its owner only.
        title: stands above it.

    Raises:
        SinkError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * COLUMNS, 2.1 * len(KINDS)), layout="constrained")
    panels = figure.subplots(len(KINDS), COLUMNS)
    for row, kind in zip(panels, KINDS, strict=True):
        indices, values = found.found[kind].tolist(), found.values[kind].tolist()
        for axes in row:
            axes.set_axis_off()
        said = f"{kind.replace('_', ' ')}: {len(indices)}"
        row[0].set_title(said, loc="left", fontsize="medium", fontweight="bold")
        if kind == "near_duplicate":  # two of each group, so that more groups are seen
            indices = [index for group in found.groups for index in group[:2]]
            values = [len(group) for group in found.groups for _ in group[:2]]
        for axes, index, value in zip(row, indices, values, strict=False):
            caption = f"{_short(found.names[index])}\n{UNITS[kind].format(value)}"
            _thumbnail(axes, found.pixels[index], caption)
    figure.suptitle(title, fontsize="medium")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        figure.savefig(path, dpi=90)
    except OSError as error:
        raise SinkError(
            f"the sheet cannot be written: {error.strerror or error}",
            source=str(path),
            next_step="Give --out a file that can be written",
        ) from error


def _thumbnail(axes: Any, pixels: Any, caption: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha="center", va="top", fontsize=6)


def _short(name: str) -> str:
    """Return the end of a name, which tells more than its beginning."""
    last = PurePosixPath(name).name
    return last if len(last) <= _NAME_LENGTH else f"...{last[-_NAME_LENGTH:]}"
