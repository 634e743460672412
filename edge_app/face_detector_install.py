"""Install a face detector from a file or over https: verified, tried, then moved into place."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from edge_app.errors import ConfigError, SinkError, SourceError, SourceNotFoundError
from edge_app.face_detector_file import PINNED, detectors_dir
from edge_app.preprocess.face_detectors import YuNetDetector

MAX_BYTES = 16 * 2**20
TIMEOUT_S = 30.0
_BLOCK_BYTES = 64 * 2**10

Progress = Callable[[int, int | None], None]
"""Told of the bytes read so far, and of all, where known."""


def install_detector(
    source: str, *, sha256: str | None = None, progress: Progress | None = None
) -> Path:
    """Put a YuNet file where ``choose_detector`` finds it.

    Args:
        source: a file, or an address that begins with https://.
        sha256: of another file than the known ones, which the user vouches for; None: one of the
            known ones.
        progress: told while bytes arrive.

    Returns:
        The installed file. Another one that was installed before is removed.

    Raises:
        ConfigError: not the file that was expected, or one that this OpenCV cannot load; nothing
            has been written then.
        SourceError: it cannot be read or fetched.
        SinkError: it cannot be written.
    """
    wanted = set(PINNED) if sha256 is None else {_checked(sha256)}
    content = b"".join(_limited(_blocks(source), source, progress))
    got = hashlib.sha256(content).hexdigest()
    if got not in wanted:
        raise ConfigError(
            f"not the expected file ({len(content):,} bytes)",
            source=source,
            expected="SHA-256 " + " or ".join(sorted(wanted)),
            got=got,
            next_step="Fetch yunet_n_320_320.onnx again, or vouch for another YuNet file with "
            "--sha256",
        )
    target = detectors_dir() / f"{got}.onnx"
    part = target.with_name(f"part-{os.getpid()}.onnx")  # OpenCV goes by the ending
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(part, content)
        YuNetDetector(part)
        os.replace(part, target)  # noqa: PTH105 - says what it does: atomically
        for other in target.parent.glob("*.onnx"):
            if other != target:
                other.unlink()
    except ConfigError as error:
        problem = error.problem.replace(str(part), "the file")
        raise ConfigError(problem, source=source, next_step=error.next_step) from error
    except OSError as error:
        raise SinkError(
            f"the detector cannot be installed there: {error.strerror or error}",
            source=str(target.parent),
            next_step="Free space, make the folder writable, or set XDG_DATA_HOME to another one",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def _checked(sha256: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256.lower()):
        raise ConfigError(
            "--sha256 is no SHA-256",
            expected="64 hexadecimal digits, as `sha256sum FILE` prints them",
            got=sha256,
            next_step="Correct --sha256",
        )
    return sha256.lower()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _limited(
    blocks: Iterator[tuple[bytes, int | None]], source: str, progress: Progress | None
) -> Iterator[bytes]:
    """Pass blocks on until they are more than a detector can be."""
    done = 0
    for block, total in blocks:
        done += len(block)
        if max(done, total or 0) > MAX_BYTES:
            raise SourceError(
                "too large for a face detector",
                source=source,
                expected=f"up to {MAX_BYTES:,} bytes",
                got=f"{max(done, total or 0):,}",
                next_step="Name a YuNet file, such as yunet_n_320_320.onnx",
            )
        if progress is not None:
            progress(done, total)
        yield block


def _blocks(source: str) -> Iterator[tuple[bytes, int | None]]:
    """Yield blocks of the source's bytes, each with the size of all, where known."""
    if "://" in source:
        yield from _fetched(source)
        return
    try:
        with Path(source).open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            while block := file.read(_BLOCK_BYTES):
                yield block, total
    except OSError as error:
        raise SourceNotFoundError(
            f"the file cannot be read: {error.strerror or error}",
            source=source,
            next_step="Name a YuNet file, or its https:// address",
        ) from error


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections as long as they stay encrypted."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request, or refuse to leave https."""
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(address: str) -> None:
    if not address.startswith("https://"):
        raise ConfigError(
            "detectors are fetched over https only",
            source=address,
            next_step="Name an address that begins with https://, or a file",
        )


def _fetched(address: str) -> Iterator[tuple[bytes, int | None]]:
    _require_https(address)
    opener = urllib.request.build_opener(_HttpsOnly())
    try:
        with closing(opener.open(address, timeout=TIMEOUT_S)) as answer:
            length = answer.headers.get("Content-Length", "")
            total = int(length[:18]) if length.isdecimal() else None
            while block := answer.read(_BLOCK_BYTES):
                yield block, total
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        raise SourceError(
            f"it cannot be fetched: {error}",
            source=address,
            next_step="Check address and network, or fetch the file elsewhere and name it here",
        ) from error
