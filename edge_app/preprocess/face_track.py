"""Faces followed from one detection to the next, by overlap; no picture of a face is kept.

Greedy matching by intersection over union, as in SORT (Bewley et al. 2016) without its motion
model: beside a bed 0.1 s passes between detections, and a head hardly moves in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge_app.preprocess.face import FaceBox

MIN_IOU = 0.3
MAX_GROWTH = 1.5
"""A face whose side changes by more between two detections is another face."""
SMOOTHING_S = 0.05
"""Time constant of a box; takes the jitter of a detector out of the crop."""


@dataclass(slots=True)
class Track:
    """One face over time.

    Args:
        number: unique in a tracker's life.
        box: where it is, smoothed.
        first_s: when it was first detected.
        last_s: when it was last detected.
        hits: detections in a row while it was not yet confirmed, then all.
        confirmed: whether it counts as a face.
    """

    number: int
    box: FaceBox
    first_s: float
    last_s: float
    hits: int = 1
    confirmed: bool = False


class FaceTracker:
    """Follows all faces of a stream.

    Args:
        min_hits: detections in a row before a track is confirmed.
        lost_s: a track not detected for longer is dropped.
    """

    def __init__(self, *, min_hits: int, lost_s: float) -> None:
        self._min_hits, self._lost_s = min_hits, lost_s
        self._numbers = 0
        self.tracks: list[Track] = []

    def update(self, time_s: float, boxes: list[FaceBox]) -> None:
        """Take the faces that a detector found; what it missed ages.

        Args:
            time_s: of the frame, rising.
            boxes: all of its faces.
        """
        free = list(boxes)
        for _, track, box in sorted(self._pairs(free), key=lambda pair: -pair[0]):
            if track.last_s < time_s and any(box is other for other in free):
                free = [other for other in free if other is not box]
                self._hit(track, time_s, box)
        self.tracks = [track for track in self.tracks if self._stays(track, time_s)]
        for box in free:
            self.tracks.append(Track(self._numbers, box, time_s, time_s))
            self._numbers += 1
        for track in self.tracks:
            track.confirmed = track.confirmed or track.hits >= self._min_hits

    def forget(self) -> None:
        """Drop all tracks; their numbers are not used again."""
        self.tracks = []

    def drop_lost(self, time_s: float) -> None:
        """Drop what has not been detected for too long, on a frame without detection."""
        self.tracks = [t for t in self.tracks if time_s - t.last_s <= self._lost_s]

    def _pairs(self, boxes: list[FaceBox]) -> list[tuple[float, Track, FaceBox]]:
        pairs = [(overlap(track.box, box), track, box) for track in self.tracks for box in boxes]
        return [pair for pair in pairs if pair[0] >= MIN_IOU and _alike_in_size(*pair[1:])]

    def _hit(self, track: Track, time_s: float, box: FaceBox) -> None:
        track.box = _between(track.box, box, time_s - track.last_s)
        track.last_s = time_s
        track.hits += 1

    def _stays(self, track: Track, time_s: float) -> bool:
        """Return whether a track lives on: an unconfirmed one only while it is always found."""
        if not track.confirmed:
            return track.last_s == time_s
        return time_s - track.last_s <= self._lost_s


def overlap(a: FaceBox, b: FaceBox) -> float:
    """Return intersection over union, 0 to 1."""
    right = min(a.x_px + a.width_px, b.x_px + b.width_px)
    low = min(a.y_px + a.height_px, b.y_px + b.height_px)
    width, height = right - max(a.x_px, b.x_px), low - max(a.y_px, b.y_px)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return both / (a.width_px * a.height_px + b.width_px * b.height_px - both)


def _alike_in_size(track: Track, box: FaceBox) -> bool:
    return 1 / MAX_GROWTH <= box.side_px / track.box.side_px <= MAX_GROWTH


def _between(old: FaceBox, new: FaceBox, passed_s: float) -> FaceBox:
    """Return the new box, drawn towards the old one by the time that has passed."""
    share = 1.0 - math.exp(-passed_s / SMOOTHING_S)
    return replace(
        new,
        x_px=old.x_px + share * (new.x_px - old.x_px),
        y_px=old.y_px + share * (new.y_px - old.y_px),
        width_px=old.width_px + share * (new.width_px - old.width_px),
        height_px=old.height_px + share * (new.height_px - old.height_px),
    )
