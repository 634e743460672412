"""Pictures of reports: a figure to draw on, and the file it goes into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_app.errors import ConfigError
from edge_app.sinks.files import make_private, writing_to


def new_figure(size_in: tuple[float, float], source: str = "edge-app report") -> Any:
    """Return an empty matplotlib figure; matplotlib is loaded here and no sooner.

    Args:
        size_in: width and height in inches.
        source: the command that wants to draw.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "pictures need matplotlib",
            source=source,
            next_step="Install it with: pip install 'bedside[report]'",
        ) from error
    return Figure(figsize=size_in, layout="constrained")


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure that only its owner may read where the file is new.

    Args:
        figure: from ``new_figure``.
        path: of the PNG file.

    Returns:
        ``path``.

    Raises:
        SinkError: it cannot be written.
    """
    with writing_to(path):
        make_private(path)
        figure.savefig(path, dpi=110)
    return path
