"""From frames to one person's face crops: detect, track, keep to one face, judge its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.contracts import AbstainReason
from edge_app.inference.manifest import FaceConditioning
from edge_app.preprocess.face import FaceBox, FaceDetector, Picture, as_rgb, crop_face
from edge_app.preprocess.face_primary import PrimaryFace
from edge_app.preprocess.face_quality import grade, measure, why_not
from edge_app.preprocess.face_track import FaceTracker, Track

MAX_UNSEEN_S = 0.15
"""The detector runs at least this often, however slow the camera."""
MIN_CORRELATION = 0.5
"""Least correlation of a crop with the last detected one, for a face that is not detected anew."""


Region = tuple[float, float, float, float]
"""x, y, width, height as shares of the frame."""


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """What the place asks of the face chain.

    Args:
        region: the person's face is looked for only where its middle lies inside; None: anywhere.
        stills: pictures that do not follow each other within ``track_lost_s``, such as a folder of
            photographs: each stands alone and may show someone else, one detection counts, and
            nothing is tracked.
    """

    region: Region | None = None
    stills: bool = False


def settings_for(
    rate_hz: float, conditioning: FaceConditioning, region: Region | None = None
) -> FaceSettings:
    """Return the settings for a stream: pictures too far apart to be tracked are stills.

    Args:
        rate_hz: frames a second.
        conditioning: what the model asks.
        region: where the person's face is looked for; None: anywhere.
    """
    return FaceSettings(region, stills=rate_hz * conditioning.track_lost_s < 1.0)


@dataclass(frozen=True, slots=True)
class FaceReading:
    """What one frame shows of the person.

    Args:
        crop: (size_px, size_px) uint8 grey for the model; None where there is a reason.
        box: where the person's face is; None where it is not seen.
        faces: how many faces are seen, the person's included.
        reason: why there is no crop, or None.
        quality: of the face's picture, 0 to 1; 0 without a face.
        detected: True when the detector ran on this frame.
        person: 0 for the first face that is followed, one more whenever it may be someone else's.
    """

    crop: Picture | None
    box: FaceBox | None
    faces: int
    reason: AbstainReason | None
    quality: float
    detected: bool
    person: int = 0


class FaceFinder:
    """The face chain of one stream.

    The detector runs on every ``detect_every``-th frame, or sooner: when more than
    ``MAX_UNSEEN_S`` have passed, while a face waits for its ``min_hits``, while the person's face
    is missed, and when the picture where it was has changed. Between detections the box stays. A
    face that a detection misses is still given out while its picture stays alike, for
    ``track_lost_s`` at most; anything else is ``no_face``.

    Args:
        detector: finds the faces of a frame.
        conditioning: what the model asks, of its manifest.
        settings: what the place asks.
    """

    def __init__(
        self,
        detector: FaceDetector,
        conditioning: FaceConditioning,
        settings: FaceSettings | None = None,
    ) -> None:
        self._detector, self._conditioning = detector, conditioning
        self._settings = settings or FaceSettings()
        self._tracker = FaceTracker(
            min_hits=1 if self._settings.stills else conditioning.min_hits,
            lost_s=conditioning.track_lost_s,
        )
        self._primary = PrimaryFace()
        self._size_px = (0, 0)
        self._time_s = self._detected_s = -math.inf
        self._frames = 0  # since the last detection
        self._followed: Track | None = None
        self._seen: Picture | None = None  # the crop of the last detection

    def update(self, time_s: float, frame: npt.NDArray[Any]) -> FaceReading:
        """Take the next frame.

        Args:
            time_s: its stamp, rising; a step back is a new beginning.
            frame: (height, width, 3) uint8 RGB; grey and RGBA are taken too.

        Returns:
            The person's face, or why there is none.

        Raises:
            PreprocessError: no picture, or one too large to take a face from.
        """
        rgb = as_rgb(frame)
        self._begin(time_s, rgb)
        detected = self._is_due(time_s)
        track, crop = self._look(time_s, rgb, detect=detected)
        if not detected and crop is not None and not alike(crop, self._seen):
            detected = True
            track, crop = self._look(time_s, rgb, detect=True)
        if track is None or crop is None:
            return self._nothing(detected)
        if track.last_s == time_s:
            self._seen = crop
        elif not alike(crop, self._seen):
            return self._nothing(detected)
        return self._judge(track, crop, detected)

    def forget(self) -> None:
        """Forget all faces: the next frame does not follow the last one."""
        self._tracker.forget()
        self._primary.forget()
        self._followed, self._seen, self._time_s = None, None, -math.inf
        self._detected_s = -math.inf

    def _begin(self, time_s: float, rgb: Picture) -> None:
        """Make ready for a frame; start anew where it cannot follow the last one."""
        size_px = (rgb.shape[0], rgb.shape[1])
        if self._settings.stills or time_s < self._time_s or size_px != self._size_px:
            self.forget()
        self._time_s, self._size_px = time_s, size_px
        self._frames += 1

    def _is_due(self, time_s: float) -> bool:
        """Return whether the detector has to run on this frame."""
        followed = self._followed
        return (
            self._frames >= self._conditioning.detect_every
            or time_s - self._detected_s >= MAX_UNSEEN_S
            or any(not track.confirmed for track in self._tracker.tracks)
            or (followed is not None and followed.last_s < self._detected_s)
        )

    def _look(
        self, time_s: float, rgb: Picture, *, detect: bool
    ) -> tuple[Track | None, Picture | None]:
        """Return the person's track and crop, with or without a new detection."""
        if detect:
            boxes = [usable for box in self._detector.detect(rgb) for usable in _usable(box, rgb)]
            self._tracker.update(time_s, boxes)
            self._detected_s, self._frames = time_s, 0
        else:
            self._tracker.drop_lost(time_s)
        tracks = [track for track in self._tracker.tracks if self._may_be_the_person(track)]
        track = self._followed = self._primary.choose(time_s, tracks, self._size_px)
        if track is None:
            return None, None
        limits = self._conditioning
        return track, crop_face(
            rgb,
            track.box,
            size_px=limits.size_px,
            margin=limits.margin,
            level_eyes=limits.level_eyes,
        )

    def _may_be_the_person(self, track: Track) -> bool:
        if self._settings.region is None:
            return True
        left, top, width, height = self._settings.region
        x, y = track.box.centre_px
        across, down = x / self._size_px[1], y / self._size_px[0]
        return left <= across <= left + width and top <= down <= top + height

    def _seen_now(self, shown: Track | None) -> int:
        """Return how many faces the last detection found, and the one shown."""
        return sum(
            track.confirmed and (track.last_s == self._detected_s or track is shown)
            for track in self._tracker.tracks
        )

    def _nothing(self, detected: bool) -> FaceReading:
        faces, person = self._seen_now(None), self._primary.person
        return FaceReading(None, None, faces, AbstainReason.NO_FACE, 0.0, detected, person)

    def _judge(self, track: Track, crop: Picture, detected: bool) -> FaceReading:
        found = measure(crop, track.box)
        reason = why_not(found, self._conditioning)
        return FaceReading(
            crop=crop if reason is None else None,
            box=track.box,
            faces=self._seen_now(track),
            reason=reason,
            quality=grade(found, self._conditioning),
            detected=detected,
            person=self._primary.person,
        )


def alike(crop: Picture, seen: Picture | None) -> bool:
    """Return whether two crops may show the same face: their correlation.

    Args:
        crop: (size_px, size_px) uint8 grey.
        seen: likewise; None: nothing to compare with.
    """
    if seen is None:
        return False
    a, b = crop - crop.mean(), seen - seen.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return norm > 0.0 and float((a * b).sum()) >= MIN_CORRELATION * norm


def _usable(box: FaceBox, frame: Picture) -> list[FaceBox]:
    """Return the box, without landmarks that are no numbers; nothing if it is no place in view."""
    height, width = frame.shape[:2]
    sides = (box.x_px, box.y_px, box.width_px, box.height_px)
    if not np.isfinite(sides).all() or box.size_px < 1.0:
        return []
    x, y = box.centre_px
    if not (0.0 <= x <= width and 0.0 <= y <= height):
        return []
    if box.landmarks is not None and not np.isfinite(box.landmarks).all():
        return [replace(box, landmarks=None)]
    return [box]
