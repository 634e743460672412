"""Looks at each picture of a camera: new or repeated, dark or not, damaged, how many a second."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Array

LOOK_AT_EVERY_PX = 8
"""Rows and columns looked at: brightness and the first comparison need no more."""
DARK_MEAN = 24.0
DARK_SPREAD = 12.0
"""A mean and a spread below these, of 255, is a lens cap or a room too dark for any face."""
EVEN_SPREAD = 2.0
"""A picture as even as this, at any brightness, is a covered or blinded camera."""
RATE_OVER_S = 1.0


@dataclass(slots=True)
class CameraCounters:
    """What a camera has sent; written by its reading thread, read by others (single values).

    Attributes:
        bad_frames: pictures that could not be read, or were no pictures.
        repeated_frames: pictures looked at that were equal to the one looked at before.
        size_changes: times the picture's size changed.
        width_px: of the newest picture; 0 before the first.
        height_px: of the newest picture; 0 before the first.
        brightness: mean of the newest picture, 0 to 255.
        spread: standard deviation of the newest picture's brightness.
        rate_hz: frames a second over the last second; None below two frames.
        grabbed_s: when a frame last came, read or not; None before the first.
        bad_since_s: when a row of damaged pictures began that still goes on.
        repeated_since_s: when the first repeat came of a picture that still is repeated.
        dark_since_s: when a row of dark or even pictures began that still goes on.
    """

    bad_frames: int = 0
    repeated_frames: int = 0
    size_changes: int = 0
    width_px: int = 0
    height_px: int = 0
    brightness: float = 0.0
    spread: float = 0.0
    rate_hz: float | None = None
    grabbed_s: float | None = None
    bad_since_s: float | None = None
    repeated_since_s: float | None = None
    dark_since_s: float | None = None

    def figures(self, now_s: float) -> tuple[tuple[str, float], ...]:
        """Return what is known as (name, value), at ``now_s`` of the stream clock."""
        known: list[tuple[str, float]] = [
            ("width_px", self.width_px),
            ("height_px", self.height_px),
            ("size_changes", self.size_changes),
            ("brightness", round(self.brightness, 1)),
            ("repeated_frames", self.repeated_frames),
            ("bad_frames", self.bad_frames),
        ]
        if self.rate_hz is not None:
            known.append(("rate_measured_hz", round(self.rate_hz, 2)))
        if self.grabbed_s is not None:
            known.append(("age_s", round(max(0.0, now_s - self.grabbed_s), 3)))
        return tuple(known)


def is_picture(value: object) -> bool:
    """Whether what a camera delivered is a colour picture: (height, width, 3) uint8, not empty."""
    return (
        isinstance(value, np.ndarray)
        and value.dtype == np.uint8
        and value.ndim == 3
        and value.shape[2] == 3
        and value.size > 0
    )


class PictureChecks:
    """Looks at pictures one after the other and counts.

    A picture equal in every byte to the one looked at before it is no new one. A sensor's noise
    makes even a still scene differ, so equal pictures are a frozen camera; or an encoder that
    smooths the noise away, which looks the same from here. A camera that freezes and goes on
    drawing a clock into its picture is not noticed. The first picture is never new: after a
    reopening it may be the frozen one.

    Attributes:
        counters: what was met.
    """

    def __init__(self) -> None:
        self.counters = CameraCounters()
        self._grabs_s: deque[float] = deque()
        self._before: Array | None = None
        self._before_sum = 0

    def forget(self) -> None:
        """Let go of the newest picture; the counters stay."""
        self._before = None

    def grabbed(self, time_s: float) -> None:
        """Count a frame that came, whether or not it is going to be looked at."""
        grabs_s = self._grabs_s
        grabs_s.append(time_s)
        while len(grabs_s) > 2 and grabs_s[-1] - grabs_s[0] > RATE_OVER_S:
            grabs_s.popleft()
        span_s = grabs_s[-1] - grabs_s[0]
        self.counters.grabbed_s = time_s
        self.counters.rate_hz = (len(grabs_s) - 1) / span_s if span_s > 0 else None

    def bad(self, time_s: float) -> None:
        """Count a picture that cannot be used."""
        self.counters.bad_frames += 1
        if self.counters.bad_since_s is None:
            self.counters.bad_since_s = time_s

    def is_new(self, time_s: float, picture: object) -> bool:
        """Look at a picture.

        Args:
            time_s: when it was taken.
            picture: (height, width, 3) uint8, any colour order; anything else is counted as bad.

        Returns:
            True when it differs from the one looked at before; never for the first.
        """
        if not is_picture(picture):
            self.bad(time_s)
            return False
        assert isinstance(picture, np.ndarray)  # noqa: S101 - for the type checker; just looked
        counters = self.counters
        counters.bad_since_s = None
        small = np.ascontiguousarray(picture[::LOOK_AT_EVERY_PX, ::LOOK_AT_EVERY_PX])
        self._measure(time_s, small)
        counters.height_px, counters.width_px = picture.shape[:2]
        small_sum = zlib.crc32(small.data)
        before, before_sum = self._before, self._before_sum
        self._before, self._before_sum = picture, small_sum
        if before is None:
            return False
        if before.shape != picture.shape:
            counters.size_changes += 1
        elif before_sum == small_sum and np.array_equal(before, picture):
            counters.repeated_frames += 1
            if counters.repeated_since_s is None:
                counters.repeated_since_s = time_s
            return False
        counters.repeated_since_s = None
        return True

    def _measure(self, time_s: float, small: Array) -> None:
        counters = self.counters
        grey = small.mean(axis=2)
        counters.brightness, counters.spread = float(grey.mean()), float(grey.std())
        dark = counters.brightness < DARK_MEAN and counters.spread < DARK_SPREAD
        if not (dark or counters.spread < EVEN_SPREAD):
            counters.dark_since_s = None
        elif counters.dark_since_s is None:
            counters.dark_since_s = time_s
