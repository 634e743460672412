"""Tells from a camera's counters what is wrong with it, and when it has to be opened anew."""

from __future__ import annotations

from dataclasses import dataclass

from edge_app.sources.camera_pictures import DARK_MEAN, CameraCounters

SLOW_SHARE, FAST_ENOUGH_SHARE = 0.7, 0.8
"""Slow is below the first share of the expected rate, until above the second again."""
DARK_PATIENCE = 12.0
"""A dark or even picture may have no noise and repeat itself though the camera is well: it is given
so many times longer before it is opened anew."""


@dataclass(frozen=True, slots=True)
class CameraLimits:
    """How long a fault may last.

    Args:
        warn_after_s: then it is told.
        lost_after_s: a camera silent for so long is lost.
        frozen_lost_after_s: a camera that has repeated one picture for so long is lost;
            ``DARK_PATIENCE`` times as late while that picture is dark or even.
    """

    warn_after_s: float = 1.0
    lost_after_s: float = 3.0
    frozen_lost_after_s: float = 5.0


class CameraWatch:
    """Judges a camera from what it has sent.

    Args:
        limits: how long a fault may last.
        expected_hz: frames a second that were promised.
        opened_s: when it was opened.
    """

    def __init__(self, limits: CameraLimits, *, expected_hz: float, opened_s: float) -> None:
        self._limits = limits
        self._expected_hz = expected_hz
        self._opened_s = opened_s
        self._slow_since_s: float | None = None
        self._slow_told = ""

    def lost(self, now_s: float, seen: CameraCounters) -> str:
        """Return why the camera has to be opened anew, empty when it has not."""
        limits = self._limits
        frozen_s = limits.frozen_lost_after_s
        if seen.dark_since_s is not None:
            frozen_s *= DARK_PATIENCE
        if _since(seen.repeated_since_s, now_s) > frozen_s:
            return f"frozen picture for {frozen_s:g} s"
        if self._without_picture_s(now_s, seen) > limits.lost_after_s:
            return _without_picture(limits.lost_after_s, seen)
        return ""

    def trouble(self, now_s: float, seen: CameraCounters) -> str:
        """Return what is wrong at present, empty when nothing is; the same words while it lasts."""
        warn_s = self._limits.warn_after_s
        if self._without_picture_s(now_s, seen) > warn_s:
            return _without_picture(warn_s, seen)
        told = []
        if _since(seen.dark_since_s, now_s) > warn_s:
            look = "black" if seen.brightness < DARK_MEAN else "without any detail"
            told.append(f"picture {look}: camera covered, blinded, or room dark")
        elif _since(seen.repeated_since_s, now_s) > warn_s:
            told.append(f"frozen picture for {warn_s:g} s")
        told.append(self._slowness(now_s, seen))
        return ", ".join(clause for clause in told if clause)

    def _without_picture_s(self, now_s: float, seen: CameraCounters) -> float:
        silent_s = now_s - max(self._opened_s, seen.grabbed_s or self._opened_s)
        return max(silent_s, _since(seen.bad_since_s, now_s))

    def _slowness(self, now_s: float, seen: CameraCounters) -> str:
        rate_hz = seen.rate_hz
        limit = FAST_ENOUGH_SHARE if self._slow_told else SLOW_SHARE
        if rate_hz is None or rate_hz >= limit * self._expected_hz:
            self._slow_since_s, self._slow_told = None, ""
        elif self._slow_since_s is None:
            self._slow_since_s = now_s
        elif not self._slow_told and now_s - self._slow_since_s > self._limits.warn_after_s:
            self._slow_told = (
                f"slow: {rate_hz:.2g} frames a second instead of {self._expected_hz:.3g}"
            )
        return self._slow_told


def _without_picture(after_s: float, seen: CameraCounters) -> str:
    if seen.bad_since_s is not None:
        return f"no readable picture for {after_s:g} s, only damaged ones"
    return f"no frame for {after_s:g} s"


def _since(start_s: float | None, now_s: float) -> float:
    return 0.0 if start_s is None else now_s - start_s
