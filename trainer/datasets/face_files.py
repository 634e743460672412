"""Image files of a folder or an archive, one after the other, with progress."""

from __future__ import annotations

import logging
import lzma
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from edge_app.errors import DatasetError
from trainer.datasets.face_picture import SUFFIXES

logger = logging.getLogger(__name__)
TELL_EVERY_S = 5.0


class ReadProgress:
    """Says how far a long read is, every few seconds and not at all for a short one.

    Args:
        what: is read, such as a path.
        total: of the unit that ``advance`` counts.
        clock: seconds that only go forward.
    """

    def __init__(self, what: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._total, self._clock = what, max(total, 1), clock
        self._began_s = self._told_s = clock()
        self._done = 0

    def advance(self, by: int = 1) -> None:
        """Count what was read."""
        self._done += by
        now_s = self._clock()
        if now_s < self._told_s + TELL_EVERY_S:
            return
        self._told_s = now_s
        share = min(self._done / self._total, 1.0)
        left_s = (now_s - self._began_s) * (1.0 / share - 1.0)
        logger.info("reading %s: %.0f %%, about %.0f s left", self._what, 100 * share, left_s)


def is_picture(path: PurePosixPath | Path) -> bool:
    """Return whether a file is named as a picture, and is no hidden companion of one."""
    return (
        path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and "__MACOSX" not in path.parts
    )


def archive_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the pictures of a tar archive, packed in any way.

    Args:
        path: the archive.

    Yields:
        Name, beginning with the archive's own, and the file.

    Raises:
        DatasetError: it is damaged or no archive.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file) as archive:
            progress = ReadProgress(str(path), path.stat().st_size)
            at = 0
            for member in archive:
                if not member.isfile() or not is_picture(PurePosixPath(member.name)):
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    yield f"{path.name}/{member.name}", content.read()
                progress.advance(file.tell() - at)
                at = file.tell()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError) as error:
        raise DatasetError(
            f"the archive cannot be read: {error}",
            source=str(path),
            next_step="Get the file again and compare its checksum; unpack a zip",
        ) from error


def picture_paths(path: Path) -> list[Path]:
    """Return the pictures under a folder at any depth, in order of their names.

    Args:
        path: the folder.

    Returns:
        Paths.

    Raises:
        DatasetError: a folder cannot be looked into.
    """
    try:
        return sorted(file for file in path.rglob("*") if is_picture(file) and file.is_file())
    except OSError as error:
        raise _unreadable(path, error) from error


def folder_files(path: Path, but: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the pictures under a folder.

    Args:
        path: the folder.
        but: a folder inside it, resolved, to leave out.

    Yields:
        Name, beginning with the folder's own, and the file.

    Raises:
        DatasetError: a file cannot be read.
    """
    path = path.resolve()
    paths = picture_paths(path)
    if but is not None:
        paths = [file for file in paths if not file.is_relative_to(but)]
    progress = ReadProgress(str(path), len(paths))
    for file in paths:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise _unreadable(file, error) from error
        yield file.relative_to(path.parent).as_posix(), content
        progress.advance()


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"a picture cannot be read: {error}",
        source=str(path),
        next_step="Check the permissions of the pictures and the disk they are on",
    )
