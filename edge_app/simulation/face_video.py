"""A simulated face that goes through seven expressions and sometimes leaves the picture.

Each expression is the average of the hundreds to thousands of FER-2013 Training pictures of its
class: it shows no person. Any frame can be made directly, so a late reader may skip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, zoom

Picture = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

STATISTICS = Path(__file__).with_name("face_statistics.npz")
AWAY = "none"
"""Truth while nobody is in the picture."""
WIDTH_PX, HEIGHT_PX = 320, 240
FACE_PX = 150
"""With this size and contrast OpenCV's Haar cascades and YuNet both find all seven (measured)."""
CONTRAST_SD = 60.0
"""Averaging flattens a face; this gives back about the contrast of a single picture."""
SHARPEN, SHARPEN_PX = 1.2, 4.0
BACKGROUND = 118.0
EDGE_SHARE = 0.12
MOTION_PX = 6.0
BRIGHTNESS = 0.06
NOISE_SD = 2.0


@dataclass(frozen=True, slots=True)
class FaceSchedule:
    """When which face is shown: all seven in a new order each round, then nobody.

    Args:
        hold_s: how long an expression stays.
        fade_s: how long it takes to turn into the next.
        away_s: how long nobody is there after a round.
    """

    hold_s: float = 6.0
    fade_s: float = 1.0
    away_s: float = 4.0


@cache
def _expressions() -> tuple[tuple[str, ...], Float32Array]:
    """Return labels and (7, FACE_PX, FACE_PX) faces, contrast restored."""
    with np.load(STATISTICS) as archive:
        labels, faces = tuple(map(str, archive["labels"])), archive["faces"].astype(np.float32)
    large = np.stack([zoom(face, FACE_PX / face.shape[0], order=3) for face in faces])
    blurred = np.stack([gaussian_filter(face, SHARPEN_PX) for face in large])
    sharp = large + SHARPEN * (large - blurred)
    deviation = sharp - sharp.mean(axis=(1, 2), keepdims=True)
    deviation *= CONTRAST_SD / deviation.std(axis=(1, 2), keepdims=True)
    return labels, (BACKGROUND + deviation).astype(np.float32)


@cache
def _mask() -> Float32Array:
    """Return (FACE_PX, FACE_PX) weights, 1 inside and falling to 0 at the rim."""
    ramp = np.clip(np.minimum(np.arange(FACE_PX), np.arange(FACE_PX)[::-1]), 0, None)
    edge = np.clip(ramp / (EDGE_SHARE * FACE_PX), 0.0, 1.0)
    smooth = edge * edge * (3.0 - 2.0 * edge)
    return np.outer(smooth, smooth).astype(np.float32)


class FaceVideo:
    """Frames and truth; every frame is a pure function of seed and index.

    Args:
        seed: the same seed gives the same frames.
        rate_hz: frames a second.
        schedule: when which expression is shown.
    """

    def __init__(
        self, *, seed: int, rate_hz: float = 15.0, schedule: FaceSchedule | None = None
    ) -> None:
        self.rate_hz = rate_hz
        self.schedule = schedule or FaceSchedule()
        self.labels, self._faces = _expressions()
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._phases = rng.uniform(0.0, 2.0 * np.pi, 3)
        self._noise = rng.normal(0.0, NOISE_SD, (2 * HEIGHT_PX, 2 * WIDTH_PX)).astype(np.float32)
        self._order_of: tuple[int, npt.NDArray[np.int64]] = (-1, np.arange(len(self.labels)))

    def frame(self, index: int) -> Picture:
        """Return frame ``index``.

        Args:
            index: 0, 1, 2 ...; its time is ``index / rate_hz``.

        Returns:
            (240, 320, 3) uint8 RGB, grey.
        """
        time_s = index / self.rate_hz
        top, left = (37 * index) % HEIGHT_PX, (101 * index) % WIDTH_PX
        picture = self._noise[top : top + HEIGHT_PX, left : left + WIDTH_PX] + BACKGROUND
        first, second, share = self._mixture(time_s)
        if first is not None:
            face = self._faces[first]
            if share > 0.0:
                face = face + np.float32(share) * (self._faces[second] - face)
            y = (HEIGHT_PX - FACE_PX) // 2 + self._sway_px(time_s, 0.23, 0)
            x = (WIDTH_PX - FACE_PX) // 2 + self._sway_px(time_s, 0.17, 1)
            picture[y : y + FACE_PX, x : x + FACE_PX] += _mask() * (face - np.float32(BACKGROUND))
        light = 1.0 + BRIGHTNESS * np.sin(2.0 * np.pi * 0.05 * time_s + self._phases[2])
        np.multiply(picture, np.float32(light), out=picture)
        grey = np.clip(picture, 0.0, 255.0, out=picture).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)

    def label_at(self, time_s: float) -> str | None:
        """Return what is shown: a label, ``none`` while nobody is there, None between two faces."""
        first, _, share = self._mixture(time_s)
        if first is None:
            return AWAY
        return self.labels[first] if share == 0.0 else None

    def _mixture(self, time_s: float) -> tuple[int | None, int, float]:
        """Return the face shown, the one it turns into, and how far; None when away."""
        plan, n = self.schedule, len(self.labels)
        slot_s = plan.hold_s + plan.fade_s
        present_s = n * slot_s - plan.fade_s
        round_number, within_s = divmod(time_s, present_s + plan.away_s)
        if within_s >= present_s:
            return None, 0, 0.0
        slot, since_s = divmod(within_s, slot_s)
        order = self._order(int(round_number))
        first = int(order[int(slot)])
        if since_s < plan.hold_s:
            return first, first, 0.0
        share = (since_s - plan.hold_s) / plan.fade_s
        return first, int(order[int(slot) + 1]), max(share, 1e-9)

    def _order(self, round_number: int) -> npt.NDArray[np.int64]:
        if self._order_of[0] != round_number:
            rng = np.random.default_rng([self._seed, round_number])
            self._order_of = (round_number, rng.permutation(len(self.labels)))
        return self._order_of[1]

    def _sway_px(self, time_s: float, frequency_hz: float, axis: int) -> int:
        phase = self._phases[axis]
        return round(MOTION_PX * float(np.sin(2.0 * np.pi * frequency_hz * time_s + phase)))
