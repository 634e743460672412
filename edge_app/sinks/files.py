"""Result files: whole lines or nothing, nothing lost without a word, readable by their owner only.

Results speak of a patient, so new files get mode 0600.
"""

from __future__ import annotations

import logging
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path

from edge_app.counted import counted
from edge_app.errors import SinkError

logger = logging.getLogger(__name__)

MAX_HELD = 100_000
"""Lines held in memory while the disk refuses them; then the oldest are dropped and counted."""
_MODE = 0o600
_PROBE = b"\0" * 4096
"""A full disk still takes an empty file, and some a small one."""
_NEXT_STEP = "Free space on the disk, choose another directory, or make this one writable"


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn what the disk refuses in this block into a SinkError.

    Args:
        path: what the block writes to.

    Raises:
        SinkError: it cannot be made, written, moved or removed.
    """
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"results cannot be written there: {error.strerror or error}",
            source=str(path),
            next_step=_NEXT_STEP,
        ) from error


def make_writable_dir(path: Path) -> Path:
    """Make a directory for results and prove that it can be written to.

    Args:
        path: the directory; made with its parents when missing.

    Returns:
        The same path.

    Raises:
        SinkError: it cannot be made or written to.
    """
    with writing_to(path):
        path.mkdir(parents=True, exist_ok=True)
    prove_writable(path)
    return path


def prove_writable(path: Path) -> None:
    """Prove that a directory, or the nearest one above it that there is, can be written to.

    Args:
        path: the directory; it is not made, and nothing is left behind.

    Raises:
        SinkError: it cannot be written to.
    """
    with writing_to(path):
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        probe = there / ".write-test"
        try:
            probe.write_bytes(_PROBE)
        finally:
            probe.unlink(missing_ok=True)


def make_private(path: Path) -> None:
    """Make a file that only its owner reads, where there is none.

    Args:
        path: of a file about to be written by somebody who asks for no mode.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=_MODE)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that there is never a part of it: the old one, or all of the new one.

    Args:
        path: the file.
        text: all of it.

    Raises:
        SinkError: it cannot be written; an earlier file is untouched.
    """
    part = path.with_name(f"{path.name}.part")
    with writing_to(path):
        try:
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(part, path)  # noqa: PTH105 - says what it does: atomically
        except OSError:
            part.unlink(missing_ok=True)
            raise


class LineFile:
    """Appends lines to a file: each whole or not at all, in order, held while the disk refuses.

    Args:
        path: the file; made when missing, never shortened. A torn last line, as a power cut
            leaves, is ended before the first new one.

    Raises:
        SinkError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: deque[bytes] = deque()
        self._dropped = 0
        with writing_to(path):
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
            self._torn = _is_torn(self._file)
        if self._torn:
            logger.warning("%s: its last line is torn; new lines begin after it", path)

    def append(self, line: str) -> None:
        """Write a line, and first whatever is still held.

        Args:
            line: without the line end.

        Raises:
            SinkError: the disk refuses; the line is held and tried again with the next one.
        """
        self._held.append(line.encode() + b"\n")
        if len(self._held) > MAX_HELD:
            self._held.popleft()
            self._dropped += 1
        try:
            self._write_held()
        except OSError as error:
            what = f"{counted(len(self._held), 'line')} held in memory"
            if self._dropped:
                what += f", {counted(self._dropped, 'older line')} lost"
            raise self._error(error, what) from error

    def close(self) -> None:
        """Write what is held and close the file; may be called twice.

        Raises:
            SinkError: lines are lost, now or while the disk refused.
        """
        if self._file is None:
            return
        refused: OSError | None = None
        try:
            self._write_held()
            os.close(self._file)
        except OSError as error:
            refused = error
        self._file = None
        lost, self._dropped = len(self._held) + self._dropped, 0
        self._held.clear()
        if lost or refused is not None:
            what = f"{counted(lost, 'line')} could not be written and will be missing"
            raise self._error(refused, what) from refused

    def _write_held(self) -> None:
        if self._file is None:
            return
        while self._held:
            _write_all(self._file, (b"\n" if self._torn else b"") + self._held[0])
            self._torn = False
            self._held.popleft()

    def _error(self, error: OSError | None, what: str) -> SinkError:
        why = "" if error is None else f"{error.strerror or error}; "
        return SinkError(
            f"results cannot be written: {why}{what}", source=str(self._path), next_step=_NEXT_STEP
        )


def _is_torn(file: int) -> bool:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return False
    return os.pread(file, 1, status.st_size - 1) != b"\n"


def _write_all(file: int, line: bytes) -> None:
    """Write a line, or nothing of it."""
    written = os.write(file, line)
    if written < len(line):  # the disk filled up in the middle of the line: take it back
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError(ENOSPC, os.strerror(ENOSPC))
