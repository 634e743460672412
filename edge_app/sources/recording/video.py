"""Frames of a video file, RGB, stamped by frame number over the file's rate."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.contracts import UNIT_RGB8, VIDEO_CHANNELS, Array, Chunk, StreamInfo
from edge_app.sources.recording.protocol import check_chunk_samples, refuse

logger = logging.getLogger(__name__)

_MAX_PLAUSIBLE_HZ = 1000.0
"""Above it a rate is a time base that the container gives for want of a rate (90000)."""


class VideoRecording:
    """All frames of a video file, decoded one by one.

    Args:
        path: the file.
        rate_hz: frames a second; None: what the file says.
        name: the stream's name; None: the file's.

    Raises:
        SourceError: no video, no frames, no rate.
    """

    def __init__(
        self, path: Path, *, rate_hz: float | None = None, name: str | None = None
    ) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our errors say it in words
        import cv2

        self._path = path
        self._captures: list[Any] = []
        capture = self._capture()
        try:
            readable, _ = capture.read()
            stated_hz = float(capture.get(cv2.CAP_PROP_FPS))
            n_frames = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        finally:
            self.close()
        if not readable:
            refuse(path, "no frame can be decoded", "Convert the video to MP4 (H.264)")
        known = math.isfinite(stated_hz) and 0 < stated_hz <= _MAX_PLAUSIBLE_HZ
        if rate_hz is None and not known:
            refuse(path, "the frame rate is not known", "Say it with --rate-hz", got=stated_hz)
        self._n_frames = n_frames if math.isfinite(n_frames) and n_frames >= 1 else 1.0
        self.assumptions: tuple[str, ...] = ()
        if rate_hz is not None and known and rate_hz != stated_hz:
            said = f"{rate_hz:g} frames a second as --rate-hz says; the file says {stated_hz:g}"
            self.assumptions = (said,)
        self.info = StreamInfo(
            name=name or path.name,
            kind="video",
            rate_hz=stated_hz if rate_hz is None else rate_hz,
            channels=VIDEO_CHANNELS,
            units=(UNIT_RGB8,),
            device=path.name,
            simulated=False,
        )
        self.duration_s = self._n_frames / self.info.rate_hz

    def chunks(self, chunk_samples: int | None = None) -> Iterator[Chunk]:
        """Yield all frames from the first, until no more can be decoded."""
        size = check_chunk_samples(chunk_samples) or 1
        capture = self._capture()
        frames: list[Array] = []
        index = 0
        try:
            while (frame := self._next(capture)) is not None:
                if frames and frames[0].shape != frame.shape:
                    yield self._chunk(index, frames)
                    index, frames = index + len(frames), []
                frames.append(frame)
                if len(frames) == size:
                    yield self._chunk(index, frames)
                    index, frames = index + size, []
            if frames:
                yield self._chunk(index, frames)
            self._warn_if_cut(index + len(frames))
        finally:
            capture.release()
            if capture in self._captures:
                self._captures.remove(capture)

    def _warn_if_cut(self, n_decoded: int) -> None:
        if n_decoded < self._n_frames:
            logger.warning(
                "%s: only %d of %d announced frames can be decoded: the file may be cut off",
                self._path.name,
                n_decoded,
                self._n_frames,
            )

    def close(self) -> None:
        """Let go of the file."""
        while self._captures:
            self._captures.pop().release()

    def _capture(self) -> Any:
        import cv2

        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            refuse(
                self._path,
                "cannot be opened as a video",
                "Name a video file (MP4, MOV, AVI, MKV, WebM), or convert it to MP4 (H.264)",
            )
        self._captures.append(capture)
        return capture

    def _next(self, capture: Any) -> Array | None:
        import cv2

        readable, bgr = capture.read()
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) if readable else None

    def _chunk(self, index: int, frames: list[Array]) -> Chunk:
        times_s = np.arange(index, index + len(frames)) / self.info.rate_hz
        return Chunk(times_s, frames[0][np.newaxis] if len(frames) == 1 else np.stack(frames))
