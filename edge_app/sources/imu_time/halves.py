"""Acceleration and rotation that come apart, put together on the times of the acceleration."""

from __future__ import annotations

import numpy as np

from edge_app.contracts import Float32Array, Float64Array
from edge_app.sources.imu_time.device_lane import Stretch

MOST_APART = 3.5
"""Neighbours up to three samples apart (and half a sample of jitter) are interpolated between."""
WAIT_S = 3.0
"""Acceleration waits this long for rotation."""


class HalvesMerger:
    """Interpolates the gyroscope at the accelerometer's times.

    Args:
        rate_hz: samples a second of both.

    Attributes:
        alone: samples of acceleration dropped because no rotation was near.
    """

    def __init__(self, rate_hz: float) -> None:
        self._most_apart_s = MOST_APART / rate_hz
        self.alone = 0
        self._acc_s: Float64Array = np.empty(0)
        self._acc: Float32Array = np.empty((0, 3), np.float32)
        self._gyr_s: Float64Array = np.empty(0)
        self._gyr: Float32Array = np.empty((0, 3), np.float32)

    def push(self, stretch: Stretch, *, is_acc: bool) -> Stretch | None:
        """Take samples of one half, return those that both halves cover.

        Args:
            stretch: (times, (n_samples, 3)), rising. Where it begins before what waits of this
                half, a clock had run ahead: what waits from there on is forgotten.
            is_acc: which half.
        """
        times_s, samples = stretch
        self._forget_from(float(times_s[0]), is_acc=is_acc)
        if is_acc:
            self._acc_s = np.concatenate((self._acc_s, times_s))
            self._acc = np.concatenate((self._acc, samples))
        else:
            self._gyr_s = np.concatenate((self._gyr_s, times_s))
            self._gyr = np.concatenate((self._gyr, samples))
        if not (self._acc_s.size and self._gyr_s.size):
            self._give_up_waiting()
            return None
        n_ready = int(self._acc_s.searchsorted(self._gyr_s[-1], side="right"))
        if not n_ready:
            self._give_up_waiting()
            return None
        return self._join(n_ready)

    def _join(self, n_ready: int) -> Stretch | None:
        acc_s, acc = self._acc_s[:n_ready], self._acc[:n_ready]
        self._acc_s, self._acc = self._acc_s[n_ready:], self._acc[n_ready:]
        gyr_s, gyr = self._gyr_s, self._gyr
        right = gyr_s.searchsorted(acc_s, side="left")
        left = np.maximum(right - 1, 0)
        apart_s = gyr_s[right] - gyr_s[left]
        exact = gyr_s[right] == acc_s
        near = ((apart_s <= self._most_apart_s) & (right > 0)) | exact
        part = np.where(exact, 1.0, (acc_s - gyr_s[left]) / np.maximum(apart_s, 1e-9))
        part32 = np.minimum(part, 1.0).astype(np.float32)[:, None]
        joined = np.empty((n_ready, 6), np.float32)
        joined[:, :3] = acc
        joined[:, 3:] = gyr[left] + (gyr[right] - gyr[left]) * part32
        keep = int(left[-1])
        self._gyr_s, self._gyr = gyr_s[keep:], gyr[keep:]
        if near.all():
            return acc_s, joined
        self.alone += n_ready - int(near.sum())
        return (acc_s[near], joined[near]) if near.any() else None

    def _forget_from(self, time_s: float, *, is_acc: bool) -> None:
        held_s = self._acc_s if is_acc else self._gyr_s
        if not held_s.size or held_s[-1] < time_s:
            return
        n_kept = int(held_s.searchsorted(time_s))
        if is_acc:
            self.alone += held_s.size - n_kept
            self._acc_s, self._acc = self._acc_s[:n_kept], self._acc[:n_kept]
        else:
            self._gyr_s, self._gyr = self._gyr_s[:n_kept], self._gyr[:n_kept]

    def _give_up_waiting(self) -> None:
        """Forget acceleration that has waited too long, and rotation older than needed."""
        if self._acc_s.size and self._acc_s[-1] - self._acc_s[0] > WAIT_S:
            n_old = int(self._acc_s.searchsorted(self._acc_s[-1] - WAIT_S))
            self.alone += n_old
            self._acc_s, self._acc = self._acc_s[n_old:], self._acc[n_old:]
        if self._gyr_s.size and self._gyr_s[-1] - self._gyr_s[0] > WAIT_S:
            n_old = int(self._gyr_s.searchsorted(self._gyr_s[-1] - WAIT_S))
            self._gyr_s, self._gyr = self._gyr_s[n_old:], self._gyr[n_old:]
