"""Keeps everything that live sources deliver, so that a night can be replayed.

Directory: ``NAME.stream`` a stream (``sources/recording/session_format.py``), and
``markers.jsonl`` where LSL markers are kept. ``edge-app replay NAME.stream`` makes the same
predictions of it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from edge_app.contracts import Chunk, Kind, StreamInfo
from edge_app.counted import counted
from edge_app.errors import ConfigError, EdgeAppError, SinkError
from edge_app.sinks.files import LineFile, make_writable_dir, writing_to
from edge_app.sinks.protocol import OncePerMinute
from edge_app.sources.lsl_markers import LslMarkers
from edge_app.sources.protocol import Source
from edge_app.sources.recording.session_format import (
    FAILED,
    MAGIC,
    SUFFIX,
    TROUBLE,
    pack,
    pack_chunk,
    pack_opening,
)

logger = logging.getLogger(__name__)


class StreamFile:
    """The growing file of one stream; whole records, each written before its samples are used.

    A killed program loses the last record at most, a power cut what the system still held.

    Args:
        path: must not exist yet: a recording is never written over.

    Raises:
        ConfigError: it exists.
        SinkError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise ConfigError(
                "there is a recording already, and it is not written over",
                source=str(path),
                next_step="Name another directory with --out",
            )
        self._path = path
        self._complaints = OncePerMinute()
        self._lock = threading.Lock()  # trouble comes from threads of the source
        with writing_to(path):
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(self._file, MAGIC)
        self._size = len(MAGIC)
        self.lost_records = 0
        self.trouble = ""

    def append(self, record: bytes) -> None:
        """Write a record whole or not at all; a disk that refuses is told once a minute.

        The stream goes on: predictions matter more than their recording.

        Args:
            record: packed.
        """
        with self._lock:
            if self._file is None:
                return
            try:
                with writing_to(self._path):
                    self._write(self._file, record)
                self._size += len(record)
            except SinkError as error:
                self.lost_records += 1
                self._complaints.log(error)
                self.trouble = "the recording cannot be written"
            else:
                self.trouble = ""

    def close(self) -> SinkError | None:
        """Close it, may be called twice; return what is lost, once."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)
        if file is None or not self.lost_records:
            return None
        return SinkError(
            f"{counted(self.lost_records, 'record')} could not be written: a replay will lack what "
            "was lost",
            source=str(self._path),
            next_step="Free space on the disk, or record to another one",
        )

    def _write(self, file: int, record: bytes) -> None:
        view = memoryview(record)
        try:
            while view:
                view = view[os.write(file, view) :]
        except OSError:
            os.ftruncate(file, self._size)
            os.lseek(file, self._size, os.SEEK_SET)
            raise


class RecordedSource(Source):
    """A source that writes down all it delivers before it is used.

    Args:
        source: the live source.
        file: of its stream.
        unix_of_zero_s: gives the Unix time of stream time 0.
    """

    def __init__(
        self, source: Source, file: StreamFile, unix_of_zero_s: Callable[[], float]
    ) -> None:
        self._source = source
        self._file = file
        self._unix_of_zero_s = unix_of_zero_s
        self.overflow = source.overflow
        self._newest_s = 0.0
        source.on_trouble = self._troubled

    async def open(self) -> StreamInfo:
        """Open the source and note what it is."""
        info = await self._source.open()
        self.assumptions = self._source.assumptions
        self._file.append(pack_opening(info, self.assumptions, self._unix_of_zero_s()))
        return info

    async def close(self) -> None:
        """Close the source; the file stays open for its next opening."""
        await self._source.close()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield what the source yields, once it is written."""
        try:
            async for chunk in self._source:
                self.dropped, self.figures = self._source.dropped, self._source.figures
                if chunk.times_s.size:
                    self._newest_s = float(chunk.times_s[-1])
                    self._file.append(pack_chunk(chunk))
                    self.tell_trouble(self._file.trouble or self._source.trouble)
                yield chunk
        except EdgeAppError as error:
            told = {"error": type(error).__name__, "text": str(error)}
            self._file.append(pack(FAILED, json.dumps(told).encode()))
            raise

    def truth_at(self, time_s: float) -> str | None:
        """Return what the source knows."""
        return self._source.truth_at(time_s)

    def _troubled(self, trouble: str) -> None:
        told = {"time_s": self._newest_s, "text": trouble}
        self._file.append(pack(TROUBLE, json.dumps(told).encode()))
        self.figures = self._source.figures
        self.tell_trouble(self._file.trouble or trouble)


class Recorder:
    """The recording of one run.

    Args:
        directory: made when missing; must hold no recording of these streams.
        video: whether pictures are kept too. They show a person, and need megabytes a second.
        markers: hears the LSL markers to keep; None: none are kept.

    Raises:
        SinkError: the directory cannot be made or written to.
        SourceError: no liblsl to hear markers with.
    """

    def __init__(
        self, directory: Path, *, video: bool = False, markers: LslMarkers | None = None
    ) -> None:
        self._directory = make_writable_dir(directory)
        self._video = video
        self._files: list[StreamFile] = []
        self._markers = markers
        self._marker_lines: LineFile | None = None
        if markers is not None:
            self._marker_lines = LineFile(directory / "markers.jsonl")
            markers.start()

    def tap(
        self, name: str, kind: Kind, unix_of_zero_s: Callable[[], float]
    ) -> Callable[[Source], Source] | None:
        """Return what wraps every source of a stream; None for a stream that is not kept.

        Args:
            name: of the stream.
            kind: of the stream.
            unix_of_zero_s: gives the Unix time of stream time 0.

        Raises:
            ConfigError: there is a recording of it already.
            SinkError: it cannot be made.
        """
        if kind == "video" and not self._video:
            logger.warning("%s: pictures are not kept; --video keeps them", name)
            return None
        file = StreamFile(self._directory / f"{name}{SUFFIX}")
        self._files.append(file)
        return lambda source: RecordedSource(source, file, unix_of_zero_s)

    def write_markers(self) -> None:
        """Write the markers that have come; to be called now and then.

        Raises:
            SinkError: the disk refuses; they are held and tried again with the next ones.
        """
        if self._markers is None or self._marker_lines is None:
            return
        for marker in self._markers.take():
            told = {"time_s": round(marker.time_s, 6), "stream": marker.stream}
            self._marker_lines.append(json.dumps(told | {"text": marker.text}))

    def close(self) -> SinkError | None:
        """Close every file, may be called twice; return the first loss, once."""
        losses = [file.close() for file in self._files]
        if self._markers is not None and self._marker_lines is not None:
            self._markers.stop()
            try:
                self.write_markers()
                self._marker_lines.close()
            except SinkError as error:
                losses.append(error)
        return next((loss for loss in losses if loss is not None), None)
