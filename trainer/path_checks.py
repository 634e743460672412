"""What a command finds out about paths before it loads or computes anything slow."""

from __future__ import annotations

from pathlib import Path

from edge_app.errors import DatasetError, SinkError


def make_folder(folder: Path) -> Path:
    """Make a folder for results.

    Args:
        folder: with its parents; may be there already.

    Returns:
        The same path.

    Raises:
        SinkError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"cannot make the folder: {error}",
            source=str(folder),
            next_step="Give --out a folder that can be written",
        ) from error
    return folder


def prove_writable(json_file: Path) -> None:
    """Find out before long work whether its figures can be written; leaves no file behind.

    Args:
        json_file: where they are to go.

    Raises:
        SinkError: they cannot.
    """
    if json_file.is_dir():
        raise SinkError(
            "cannot write the figures: this is a folder",
            source=str(json_file),
            next_step=f"Give --json a file, such as {json_file / 'figures.json'}",
        )
    _try_to_write(json_file, "the figures", "--json")


def refuse_missing(data: Path) -> None:
    """Refuse data that is not there, before anything slow is loaded.

    Args:
        data: file or folder.

    Raises:
        DatasetError: neither.
    """
    if not data.exists():
        raise DatasetError(
            "no such file or folder",
            source=str(data),
            next_step="Check the spelling, and from which folder you call",
        )


def prove_picture(png_file: Path) -> None:
    """Find out before long work whether a picture can be written; leaves no file behind.

    Args:
        png_file: where it is to go.

    Raises:
        SinkError: no PNG file, or it cannot be written.
    """
    if png_file.suffix.lower() != ".png" or png_file.is_dir():
        raise SinkError(
            "the picture needs the name of a PNG file",
            source=str(png_file),
            next_step=f"Give --out a file, such as {png_file.with_suffix('.png')}",
        )
    _try_to_write(png_file, "the picture", "--out")


def _try_to_write(path: Path, what: str, option: str) -> None:
    there_before = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if not there_before:
            path.unlink()
    except OSError as error:
        raise SinkError(
            f"cannot write {what}: {error}",
            source=str(path),
            next_step=f"Give {option} a file that can be written",
        ) from error
