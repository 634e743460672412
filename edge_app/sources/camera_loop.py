"""A video file played in a loop at its own pace, in the place of a camera: for tests and trials."""

from __future__ import annotations

import time
from typing import Any

from edge_app.sources.camera_request import Capture

MAX_LATE_S = 1.0
"""Later than this, what should have been played meanwhile is left out."""


class LoopedFile:
    """Paces an opened video file like a camera, and begins again at its end.

    Args:
        capture: the file, opened.
        rate_hz: frames a second.
    """

    def __init__(self, capture: Capture, rate_hz: float) -> None:
        self._capture = capture
        self._interval_s = 1.0 / rate_hz
        self._due_s: float | None = None

    def isOpened(self) -> bool:  # noqa: N802 - named as in OpenCV
        """Whether the file is open."""
        return self._capture.isOpened()

    def grab(self) -> bool:
        """Wait until the next frame is due; False when the file cannot be read any more."""
        now_s = time.monotonic()
        if self._due_s is None or now_s - self._due_s > MAX_LATE_S:
            self._due_s = now_s
        time.sleep(max(0.0, self._due_s - now_s))
        self._due_s += self._interval_s
        return self._capture.grab() or (self._rewind() and self._capture.grab())

    def retrieve(self) -> tuple[bool, Any]:
        """Decode the frame that was grabbed."""
        return self._capture.retrieve()

    def get(self, property_id: int) -> float:
        """Return a property of the file."""
        return self._capture.get(property_id)

    def set(self, property_id: int, value: float) -> bool:
        """Refuse: a file is as it is."""
        del property_id, value
        return False

    def release(self) -> None:
        """Close the file."""
        self._capture.release()

    def _rewind(self) -> bool:
        import cv2

        return self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
