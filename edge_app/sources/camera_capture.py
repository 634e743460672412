"""Reads a camera in a thread of its own, which alone opens, reads and releases it.

The newest frame only is kept. A frame is decoded when somebody waits for one; the others are
fetched (``grab``) and counted as dropped. A read that blocks holds up nobody but this thread: it is
left behind, and releases the camera when the read returns.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_app.contracts import Array
from edge_app.errors import EdgeAppError, SourceError, SourceLostError
from edge_app.sources.camera_pictures import PictureChecks, is_picture
from edge_app.sources.camera_request import CameraSettings, Capture

logger = logging.getLogger(__name__)

FAILED_AT_ONCE_S = 0.005
"""A failed read that took longer has waited for a picture, which came damaged."""
MAX_FAILED_AT_ONCE = 5
RETRY_AFTER_S = 0.01
MEASURE_OVER_S = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Args:
        time_s: when it was grabbed, by the stream clock.
        rgb: (height, width, 3) uint8.
    """

    time_s: float
    rgb: Array


class CaptureThread(threading.Thread):
    """One opening of a camera, from ``open_camera`` to ``release``.

    Args:
        name: the stream's name.
        open_camera: opens the camera and sets it up; may block; its errors are kept.
        now_s: the stream clock.
        wake: called, from this thread, when there is something new to look at.
        measure_rate: whether to be ready only when the rate has been measured too.

    Attributes:
        checks: what was seen so far.
        settings: what the camera says it does, once it is open.
        ready: the camera sends pictures.
        released: the camera has been let go of, or was never held.
        failure: why the thread has ended, None while it runs or when it was stopped.
        dropped: frames that came while nobody was ready for them.
        left_behind: closing could not wait for it.
    """

    def __init__(
        self,
        name: str,
        open_camera: Callable[[], tuple[Capture, CameraSettings]],
        *,
        now_s: Callable[[], float],
        wake: Callable[[], None],
        measure_rate: Callable[[CameraSettings], bool],
    ) -> None:
        super().__init__(name=f"camera {name}", daemon=True)
        self.checks = PictureChecks()
        self.settings = CameraSettings(None, ())
        self.ready = False
        self.released = False
        self.failure: EdgeAppError | None = None
        self.dropped = 0
        self.left_behind = False
        self._source = name
        self._open_camera = open_camera
        self._now_s = now_s
        self._wake = wake
        self._measure_rate = measure_rate
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._newest: Frame | None = None
        self._wanted = False

    def take(self) -> Frame | None:
        """Return the newest frame, or None and have the next one decoded; ``wake`` tells of it."""
        with self._lock:
            frame, self._newest = self._newest, None
            self._wanted = frame is None
        return frame

    def stop(self) -> None:
        """Ask the thread to release the camera and end; returns at once."""
        self._stopping.set()

    def run(self) -> None:
        """Open, read until stopped or lost, release."""
        try:
            capture, self.settings = self._open_camera()
            try:
                self._read(capture)
            finally:
                capture.release()
        except EdgeAppError as error:
            self.failure = error
        except Exception as error:  # the thread's top; whoever reads raises it
            logger.exception("%s: unforeseen error of the camera, please report it", self._source)
            self.failure = SourceError(
                f"the camera cannot be read: {error!r}",
                source=self._source,
                next_step="Report this with the log",
            )
        finally:
            self._newest = None
            self.checks.forget()
            self.released = True
            self._wake()

    def _read(self, capture: Capture) -> None:
        failed_at_once = 0
        first_s: float | None = None
        while not self._stopping.is_set():
            asked_s = time.monotonic()
            if not capture.grab():
                if time.monotonic() - asked_s > FAILED_AT_ONCE_S:
                    self.checks.bad(self._now_s())
                    failed_at_once = 0
                    continue
                failed_at_once += 1
                if failed_at_once >= MAX_FAILED_AT_ONCE:
                    raise self._gone()
                self._stopping.wait(RETRY_AFTER_S)
                continue
            failed_at_once = 0
            now_s = self._now_s()
            self.checks.grabbed(now_s)
            if self._is_wanted():
                self._look(capture, now_s)
            if not self.ready and self.checks.counters.width_px:
                first_s = now_s if first_s is None else first_s
                if not self._measure_rate(self.settings) or now_s - first_s >= MEASURE_OVER_S:
                    self.ready = True
                    self._wake()

    def _is_wanted(self) -> bool:
        with self._lock:
            if self._wanted or self._newest is not None or not self.ready:
                return True
            if self.checks.counters.bad_since_s is not None:
                return True  # whether the damage is over has to be seen
            self.dropped += 1
            return False

    def _look(self, capture: Capture, now_s: float) -> None:
        import cv2

        try:
            readable, bgr = capture.retrieve()
        except cv2.error:
            readable, bgr = False, None
        if not (readable and is_picture(bgr)):
            self.checks.bad(now_s)
            return
        if not self.checks.is_new(now_s, bgr) or not self.ready:
            return
        frame = Frame(now_s, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        with self._lock:
            self.dropped += self._newest is not None
            self._newest = frame
            self._wanted = False
        self._wake()

    def _gone(self) -> SourceLostError:
        return SourceLostError(
            "the camera is gone: it was unplugged, or its stream has ended",
            source=self._source,
            next_step="Plug it in again, check cable and power; it is being looked for",
        )


def left_behind(name: str) -> int:
    """Count the reads of a camera that still block though it was closed.

    Args:
        name: the stream's name.

    Returns:
        0 when all is well.
    """
    return sum(
        isinstance(thread, CaptureThread) and thread.left_behind and thread.name == f"camera {name}"
        for thread in threading.enumerate()
    )
