"""Which of the faces in view is the person's: chosen once, then kept; a visitor never takes over.

No identity is computed or stored. What speaks for the same person is a place and a size; what
speaks against is having been seen beside them.
"""

from __future__ import annotations

import logging
import math

from edge_app.preprocess.face import FaceBox
from edge_app.preprocess.face_track import Track

logger = logging.getLogger(__name__)

RETURN_AFTER_S = 0.1
"""A face that comes back where the person's was has to stand so long."""
RETURN_SIDES, RETURN_SIDES_PER_S = 1.0, 0.5
"""How far from the last place a return may be, in sides of the face, and how that grows."""
RETURN_GROWTH = 1.6
"""A face larger or smaller by more than this factor is not taken for a return."""
ANEW_AFTER_S = 10.0
"""The person gone, and another face standing, so long: it is followed, and that is told."""


class PrimaryFace:
    """Keeps to one face.

    ``person`` counts from 0 and goes up whenever the face now followed may be someone else's.
    """

    def __init__(self) -> None:
        self.person = 0
        self._number: int | None = None
        self._last: tuple[float, FaceBox] | None = None
        self._others: dict[int, tuple[float, FaceBox]] = {}

    def choose(
        self, time_s: float, tracks: list[Track], frame_size_px: tuple[int, int]
    ) -> Track | None:
        """Return the person's track, or None while it is not in view.

        Args:
            time_s: of the frame.
            tracks: those that may be the person's, confirmed or not.
            frame_size_px: height and width.
        """
        confirmed = [track for track in tracks if track.confirmed]
        if self._last is None:
            chosen = _largest_in_the_middle(tracks, frame_size_px)
            chosen = chosen if chosen is not None and chosen.confirmed else None
        else:
            chosen = next((t for t in confirmed if t.number == self._number), None)
            chosen = chosen or self._returned(time_s, self._last, confirmed)
            chosen = chosen or self._anew(time_s, self._last, confirmed, frame_size_px)
        if chosen is not None:
            self._number, self._last = chosen.number, (chosen.last_s, chosen.box)
            self._others.pop(chosen.number, None)
        self._remember(time_s, [track for track in confirmed if track is not chosen])
        return chosen

    def forget(self) -> None:
        """Forget who was followed: the next frame does not follow the last one."""
        if self._last is not None:
            self.person += 1
        self._number, self._last, self._others = None, None, {}

    def _remember(self, time_s: float, others: list[Track]) -> None:
        """Keep in mind who was seen beside the person, until long after they went."""
        if self._last is None:
            return
        beside = self._last[0] >= time_s  # the person was found on this very frame
        for track in others:
            if beside or track.number in self._others:
                self._others[track.number] = (track.last_s, track.box)
        self._others = {
            number: seen for number, seen in self._others.items() if time_s - seen[0] < ANEW_AFTER_S
        }

    def _returned(
        self, time_s: float, last: tuple[float, FaceBox], confirmed: list[Track]
    ) -> Track | None:
        """Return the face that is nearest to the last place, if it may be the same."""
        lost_s, box = last
        reach = RETURN_SIDES + RETURN_SIDES_PER_S * (time_s - lost_s)
        near = [
            (_distance_sides(track.box, box), track)
            for track in confirmed
            if time_s - track.first_s >= RETURN_AFTER_S
            and 1 / RETURN_GROWTH <= track.box.side_px / box.side_px <= RETURN_GROWTH
            and not self._is_other(track, box)
        ]
        distance, track = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        return track if distance <= reach else None

    def _is_other(self, track: Track, own: FaceBox) -> bool:
        """Return whether a face is, or stands where stood, someone seen beside the person."""
        if track.number in self._others:
            return True
        nearest = min(
            (_distance_sides(track.box, box) for _, box in self._others.values()),
            default=math.inf,
        )
        return nearest < min(1.0, _distance_sides(track.box, own))

    def _anew(
        self,
        time_s: float,
        last: tuple[float, FaceBox],
        confirmed: list[Track],
        frame_size_px: tuple[int, int],
    ) -> Track | None:
        """Return another face, once the person has been gone and it has stood for long."""
        if time_s - last[0] < ANEW_AFTER_S:
            return None
        standing = [track for track in confirmed if time_s - track.first_s >= ANEW_AFTER_S]
        chosen = _largest_in_the_middle(standing, frame_size_px)
        if chosen is not None:
            self.person += 1
            logger.warning("the person's face has been gone for long: another one is followed now")
        return chosen


def _largest_in_the_middle(tracks: list[Track], frame_size_px: tuple[int, int]) -> Track | None:
    """Return the track of the largest area times centrality, 1 in the middle, 0 in a corner."""
    height, width = frame_size_px

    def weight(track: Track) -> float:
        x, y = track.box.centre_px
        away = math.hypot(x - width / 2, y - height / 2) / math.hypot(width / 2, height / 2)
        return track.box.width_px * track.box.height_px * max(0.0, 1.0 - away)

    return max(tracks, key=weight, default=None)


def _distance_sides(a: FaceBox, b: FaceBox) -> float:
    """Return how far two faces are apart, in sides of the second."""
    (ax, ay), (bx, by) = a.centre_px, b.centre_px
    return math.hypot(ax - bx, ay - by) / b.side_px
