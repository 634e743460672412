"""The file of one live stream as it came: openings, chunks and failures, one after another.

Eight bytes ``BEDSIDE1``, then records: kind (1 byte), length and CRC-32 of the body (little-endian
uint32 each), body. Kinds: ``O`` opened (JSON: the ``StreamInfo``, what was assumed, and
``unix_of_zero_s``, the Unix time of stream time 0); ``C`` chunk (uint32 n; n float64 stamps; n rows
of float32, or for video n times uint32 length and a PNG, which loses nothing); ``T`` trouble (JSON:
time_s, text; empty text: over); ``F`` failed (JSON: error class, text). Everything is appended in
order; a torn last record is left out.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np

from edge_app.contracts import Array, Chunk, Float64Array, StreamInfo
from edge_app.errors import SourceError

MAGIC = b"BEDSIDE1"
SUFFIX = ".stream"
OPENED, CHUNK, TROUBLE, FAILED = b"O", b"C", b"T", b"F"
_HEAD = struct.Struct("<cII")
_COUNT = struct.Struct("<I")
_MAX_BODY_BYTES = 1 << 28
_PNG_FAST = 1


def pack(kind: bytes, body: bytes) -> bytes:
    """Return one record.

    Args:
        kind: one of the kinds above.
        body: its content.
    """
    return _HEAD.pack(kind, len(body), zlib.crc32(body)) + body


def unpack(
    file: BinaryIO, source: str, kinds: bytes = b"OCTF"
) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield kind, place and body of every whole record; a torn last one is left out.

    Args:
        file: positioned after the magic bytes.
        source: the file's name, for errors.
        kinds: of interest; the bodies of others are neither read nor checked.

    Yields:
        Kind, byte position of the record, and body.

    Raises:
        SourceError: a record in the middle is damaged.
    """
    while True:
        place = file.tell()
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        kind, length, checksum = _HEAD.unpack(head)
        if kind in (OPENED, CHUNK, TROUBLE, FAILED) and kind not in kinds:
            file.seek(length, os.SEEK_CUR)
            continue
        body = file.read(length) if length <= _MAX_BODY_BYTES else b""
        if length <= _MAX_BODY_BYTES and len(body) < length:
            return
        if length > _MAX_BODY_BYTES or zlib.crc32(body) != checksum:
            raise SourceError(
                f"the recording is damaged at byte {place}",
                source=source,
                next_step="Copy it again; what stands before that place was used",
            )
        yield kind, place, body


def pack_opening(info: StreamInfo, assumptions: tuple[str, ...], unix_of_zero_s: float) -> bytes:
    """Return the record of an opening.

    Args:
        info: the stream.
        assumptions: what the source had to assume.
        unix_of_zero_s: Unix time of stream time 0.
    """
    told = {"info": asdict(info), "assumptions": assumptions, "unix_of_zero_s": unix_of_zero_s}
    return pack(OPENED, json.dumps(told).encode())


def unpack_opening(body: bytes) -> tuple[StreamInfo, tuple[str, ...]]:
    """Return the stream, with the wall clock of its recording, and what was assumed.

    Args:
        body: of an ``O`` record.
    """
    told: dict[str, Any] = json.loads(body)
    given = told["info"]
    given["channels"], given["units"] = tuple(given["channels"]), tuple(given["units"])
    if given["start_unix_s"] is None:
        given["start_unix_s"] = told["unix_of_zero_s"]
    return StreamInfo(**given), tuple(told["assumptions"])


def pack_chunk(chunk: Chunk) -> bytes:
    """Return the record of a chunk.

    Args:
        chunk: of a signal or of pictures.
    """
    parts = [_COUNT.pack(chunk.times_s.shape[0]), chunk.times_s.astype("<f8").tobytes()]
    if chunk.samples.ndim == 2:
        parts.append(chunk.samples.astype("<f4").tobytes())
    else:
        for picture in chunk.samples:
            png = _png(picture)
            parts += [_COUNT.pack(len(png)), png]
    return pack(CHUNK, b"".join(parts))


def unpack_times_s(body: bytes) -> Float64Array:
    """Return the stamps of a chunk without its samples, (n_samples,).

    Args:
        body: of a ``C`` record.
    """
    (n,) = _COUNT.unpack_from(body)
    return np.frombuffer(body, "<f8", n, _COUNT.size).astype(np.float64)


def unpack_chunk(body: bytes, info: StreamInfo) -> Chunk:
    """Return a chunk.

    Args:
        body: of a ``C`` record.
        info: of the opening before it.
    """
    times_s = unpack_times_s(body)
    n = times_s.shape[0]
    place = _COUNT.size + 8 * n
    if info.kind != "video":
        samples = np.frombuffer(body, "<f4", offset=place).reshape(n, len(info.channels))
        return Chunk(times_s, samples.astype(np.float32))
    pictures = []
    for _ in range(n):
        (length,) = _COUNT.unpack_from(body, place)
        place += _COUNT.size
        pictures.append(_picture(body[place : place + length]))
        place += length
    return Chunk(times_s, np.stack(pictures))


def _png(picture: Array) -> bytes:
    import cv2

    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    coded: Array = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_FAST])[1]
    return coded.tobytes()


def _picture(png: bytes) -> Array:
    import cv2

    bgr: Any = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    picture: Array = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return picture
