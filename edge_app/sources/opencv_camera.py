"""Pictures of a camera through OpenCV: USB (V4L2), network (RTSP, HTTP), GStreamer, or a file.

The newest frame only is delivered, and only if it shows something new: a picture equal in every
byte to the one before it is held back, so that a camera that repeats itself gives no answers. The
first picture of each opening is held back too, for it may be the frozen one. Damaged pictures are
counted and never delivered. A camera that is silent, frozen or gone raises ``SourceLostError`` and
is opened anew by the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import numpy as np

from edge_app.clock import Clock
from edge_app.contracts import UNIT_RGB8, VIDEO_CHANNELS, Chunk, Overflow, StreamInfo
from edge_app.counted import counted
from edge_app.errors import ConfigError, SourceError, SourceLostError, SourceNotFoundError
from edge_app.sources.camera_address import parse_camera
from edge_app.sources.camera_capture import CaptureThread, Frame, left_behind
from edge_app.sources.camera_open import open_with_opencv, set_up
from edge_app.sources.camera_rate import expected_rate, must_measure
from edge_app.sources.camera_request import CameraRequest, CameraSettings, Capture, OpenCapture
from edge_app.sources.camera_watch import CameraLimits, CameraWatch
from edge_app.sources.protocol import Source

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
CLOSE_WITHIN_S = 0.5
MAX_LEFT_BEHIND = 4
"""So many reads that never return, and the device is not opened once more."""


class CameraSource(Source):
    """One camera.

    Args:
        name: the stream's name.
        device: V4L2 index or path, URL, GStreamer pipeline (ending in an ``appsink`` of BGR
            pictures), or a video file, which is played in a loop.
        width_px: asked of the camera; None: its own choice.
        height_px: asked of the camera; None: its own choice.
        rate_hz: frames a second asked of the camera; of a network camera, what it is known to
            send; None: its own choice.
        pixel_format: four characters, such as ``MJPG``; None: the camera's own choice.
        open_timeout_s: until its first picture.
        warn_after_s: silence, repeats or darkness of this length are told.
        lost_after_s: a camera silent for so long is lost.
        frozen_lost_after_s: a camera that has repeated one picture for so long is lost, a dark one
            twelve times as late. A network camera that smooths all noise away while nobody moves
            needs more; until somebody does, it is told as frozen and delivers nothing.
        clock: the stream clock; None: ``time.monotonic``.
        open_capture: opens what behaves like ``cv2.VideoCapture``; tests put doubles here.

    Raises:
        ConfigError: ``device`` names no camera, or ``pixel_format`` is no format.
    """

    overflow = Overflow.NEWEST

    def __init__(
        self,
        *,
        name: str,
        device: int | str,
        width_px: int | None = None,
        height_px: int | None = None,
        rate_hz: float | None = None,
        pixel_format: str | None = None,
        open_timeout_s: float = 5.0,
        warn_after_s: float = 1.0,
        lost_after_s: float = 3.0,
        frozen_lost_after_s: float = 5.0,
        clock: Clock | None = None,
        open_capture: OpenCapture = open_with_opencv,
    ) -> None:
        if pixel_format is not None and len(pixel_format) != 4:
            raise ConfigError(
                "a pixel format has four characters",
                source=name,
                expected="such as MJPG or YUYV",
                got=pixel_format,
                next_step="List the camera's formats with `edge-app devices`",
            )
        self._name = name
        self._request = CameraRequest(
            name=name,
            address=parse_camera(device),
            width_px=width_px,
            height_px=height_px,
            rate_hz=rate_hz,
            pixel_format=pixel_format,
            open_timeout_s=open_timeout_s,
            read_timeout_s=lost_after_s + 1.0,  # ours comes first; this one ends the thread
        )
        self._limits = CameraLimits(warn_after_s, lost_after_s, frozen_lost_after_s)
        self._now_s: Callable[[], float] = time.monotonic if clock is None else clock.now_s
        self._open_capture = open_capture
        self._reader: CaptureThread | None = None
        self._woken: asyncio.Event | None = None
        self._watch: CameraWatch | None = None
        self._node: Path | None = None  # of a camera that has one, to see it vanish

    async def open(self) -> StreamInfo:
        """Open the camera and wait for its first picture."""
        await self.close()
        self._refuse_if_stuck()
        reader = self._start()
        try:
            await self._until_ready(reader)
            info = self._describe(reader)
        except BaseException:
            await self._end_reader()
            raise
        return info

    async def close(self) -> None:
        """Release the camera; may be called twice."""
        await self._end_reader()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield the newest new picture as soon as there is one: (1, height, width, 3) uint8."""
        reader = self._reader
        while reader is not None and reader is self._reader:
            frame = reader.take()
            self._judge(reader)
            if frame is None:
                await self._wait(LOOK_EVERY_S)
            else:
                yield _chunk(frame)

    def _start(self) -> CaptureThread:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before a blocked read
                loop.call_soon_threadsafe(woken.set)

        self.tell_trouble("")
        address = self._request.address
        node = Path(address.target)
        self._node = node if address.kind == "v4l2" and node.exists() else None
        self.dropped, self.figures, self.assumptions = 0, (), ()
        self._woken = woken
        self._reader = reader = CaptureThread(
            self._name,
            self._open_and_set_up,
            now_s=self._now_s,
            wake=wake,
            measure_rate=partial(must_measure, self._request),
        )
        reader.start()
        return reader

    def _open_and_set_up(self) -> tuple[Capture, CameraSettings]:
        """Open the camera; runs in the reading thread."""
        capture = self._open_capture(self._request)
        try:
            return capture, set_up(capture, self._request)
        except BaseException:
            capture.release()
            raise

    async def _until_ready(self, reader: CaptureThread) -> None:
        deadline_s = time.monotonic() + self._request.open_timeout_s
        while not reader.ready:
            if reader.failure is not None:
                raise reader.failure
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise self._no_picture(reader)
            await self._wait(left_s)

    async def _wait(self, at_most_s: float) -> None:
        woken = self._woken
        if woken is None:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(woken.wait(), at_most_s)
        woken.clear()

    def _describe(self, reader: CaptureThread) -> StreamInfo:
        address = self._request.address
        settings, measured_hz = reader.settings, reader.checks.counters.rate_hz
        rate_hz, said = expected_rate(self._request, settings, measured_hz)
        self.assumptions = (*settings.assumptions, *said)
        self._watch = CameraWatch(self._limits, expected_hz=rate_hz, opened_s=self._now_s())
        device = f"camera {address.shown}"
        if address.kind == "file":
            device = f"video file {address.shown} in a loop, no camera"
            self.assumptions = (*self.assumptions, "a video file in a loop stands for a camera")
        return StreamInfo(
            name=self._name,
            kind="video",
            rate_hz=rate_hz,
            channels=VIDEO_CHANNELS,
            units=(UNIT_RGB8,),
            device=device,
            simulated=False,
        )

    def _judge(self, reader: CaptureThread) -> None:
        """Tell figures and trouble; raise when the camera is lost."""
        self.dropped = reader.dropped
        self.figures = self._figures(reader)
        if reader.failure is not None:
            raise reader.failure
        if self._watch is None:
            return
        now_s, seen = self._now_s(), reader.checks.counters
        why = self._watch.lost(now_s, seen) or self._unplugged(now_s, seen.grabbed_s)
        if why:
            raise SourceLostError(
                why,
                source=self._name,
                next_step="Check cable, power and network of the camera; it is opened anew",
            )
        self.tell_trouble(self._watch.trouble(now_s, seen))

    def _unplugged(self, now_s: float, grabbed_s: float | None) -> str:
        """Return that the device's node is gone, though its read only blocks; else nothing."""
        node = self._node
        if node is None or (grabbed_s is not None and now_s - grabbed_s < LOOK_EVERY_S):
            return ""
        return "" if node.exists() else f"unplugged: {node} is gone"

    def _figures(self, reader: CaptureThread) -> tuple[tuple[str, float], ...]:
        return (
            *reader.checks.counters.figures(self._now_s()),
            ("dropped_frames", reader.dropped),
            ("blocked_reads", left_behind(self._name)),
        )

    def _no_picture(self, reader: CaptureThread) -> SourceError:
        timeout_s, bad = self._request.open_timeout_s, reader.checks.counters.bad_frames
        if bad:
            return SourceError(
                f"the camera sends {counted(bad, 'picture')} that cannot be read, and no other",
                source=self._name,
                expected="colour pictures, 8 bits, 3 channels",
                next_step="Choose another pixel format, or end the pipeline with "
                "`videoconvert ! video/x-raw,format=BGR ! appsink`",
            )
        return SourceNotFoundError(
            f"no picture within {timeout_s:g} s",
            source=self._name,
            next_step="Check cable, power and network of the camera; it is tried again",
        )

    def _refuse_if_stuck(self) -> None:
        blocked = left_behind(self._name)
        if blocked >= MAX_LEFT_BEHIND:
            raise SourceError(
                f"{blocked} earlier reads of this camera still block",
                source=self._name,
                next_step="Unplug the camera and plug it in again, or restart its network device",
            )

    async def _end_reader(self) -> None:
        reader, self._reader, self._watch = self._reader, None, None
        if reader is None:
            return
        reader.stop()
        if self._woken is not None:
            self._woken.set()  # ends a pending iteration
        deadline_s = time.monotonic() + CLOSE_WITHIN_S
        while not reader.released and (left_s := deadline_s - time.monotonic()) > 0:
            await self._wait(left_s)
        if not reader.released:
            reader.left_behind = True
            logger.warning(
                "%s: a read of the camera blocks; it is left behind and lets go when it returns",
                self._name,
            )


def _chunk(frame: Frame) -> Chunk:
    return Chunk(np.array([frame.time_s], np.float64), frame.rgb[np.newaxis])
