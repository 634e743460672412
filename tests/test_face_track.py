"""Tracks: confirmed by detections in a row, lost by time, one face a track."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.preprocess.face import FaceBox
from edge_app.preprocess.face_track import FaceTracker, overlap


def tracker(min_hits: int = 3, lost_s: float = 0.4) -> FaceTracker:
    return FaceTracker(min_hits=min_hits, lost_s=lost_s)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(FaceBox(0, 0, 10, 10), FaceBox(0, 0, 10, 10)) == 1.0
    assert overlap(FaceBox(0, 0, 10, 10), FaceBox(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert overlap(FaceBox(0, 0, 10, 10), FaceBox(10, 0, 10, 10)) == 0.0


def test_a_track_is_confirmed_by_detections_in_a_row_only() -> None:
    box, faces = FaceBox(10, 10, 50, 50), tracker()
    for time_s, found in enumerate([[box], [box], [], [box], [box], [box]]):
        faces.update(0.03 * time_s, found)
        assert [t.confirmed for t in faces.tracks] == ([time_s == 5] if found else [])


@pytest.mark.parametrize("rate_hz", [5.0, 10.0, 30.0, 120.0])
def test_a_confirmed_track_is_lost_by_time_not_by_frames(rate_hz: float) -> None:
    box, faces = FaceBox(10, 10, 50, 50), tracker(min_hits=1)
    faces.update(0.0, [box])
    times_s = np.arange(1, 2 * rate_hz) / rate_hz
    kept_s = 0.0
    for time_s in times_s:
        faces.update(float(time_s), [])
        kept_s = float(time_s) if faces.tracks else kept_s
    assert kept_s == pytest.approx(0.4, abs=1 / rate_hz + 1e-9)
    assert kept_s <= 0.4 + 1e-9


def test_a_face_that_moves_stays_one_track_and_a_jump_is_another() -> None:
    faces = tracker(min_hits=1)
    for step in range(30):
        faces.update(0.1 * step, [FaceBox(8.0 * step, 20, 60, 60)])
    assert [t.number for t in faces.tracks] == [0]
    faces.update(3.0, [FaceBox(8.0 * 29 + 70, 20, 60, 60)])
    assert sorted(t.number for t in faces.tracks) == [0, 1]


def test_a_far_larger_face_over_it_is_another_track() -> None:
    faces = tracker(min_hits=1)
    faces.update(0.0, [FaceBox(100, 100, 60, 60)])
    large = FaceBox(80, 80, 100, 100)
    assert overlap(FaceBox(100, 100, 60, 60), large) > 0.3
    faces.update(0.1, [large])
    assert {t.number: t.box.side_px for t in faces.tracks} == {0: 60, 1: 100}


def test_two_faces_side_by_side_keep_their_tracks_whatever_the_order() -> None:
    faces = tracker(min_hits=1)
    rng = np.random.default_rng(1)
    for step in range(40):
        left, right = FaceBox(50 + step, 50, 60, 60), FaceBox(115 - step / 4, 55, 60, 60)
        faces.update(0.1 * step, [left, right] if rng.random() < 0.5 else [right, left])
    assert {t.number for t in faces.tracks} == {0, 1}


def test_a_box_follows_and_its_jitter_shrinks() -> None:
    rng = np.random.default_rng(2)
    faces, seen = tracker(min_hits=1), []
    for step in range(200):
        faces.update(step / 30, [FaceBox(100 + rng.normal(0, 3), 100, 80, 80)])
        seen.append(faces.tracks[0].box.x_px)
    assert np.std(np.diff(seen)) < 0.7 * np.std(np.diff(rng.normal(0, 3, 200)))
    for step in range(200, 205):
        faces.update(step / 30, [FaceBox(120, 100, 80, 80)])
    assert faces.tracks[0].box.x_px == pytest.approx(120, abs=2)


boxes = st.builds(
    FaceBox,
    st.floats(0, 500),
    st.floats(0, 300),
    st.floats(1, 400),
    st.floats(1, 400),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.lists(boxes, max_size=4)), max_size=25))
def test_whatever_is_detected_tracks_stay_sound(steps: list[tuple[float, list[FaceBox]]]) -> None:
    faces, time_s = tracker(min_hits=2), 0.0
    alive: set[int] = set()
    dead: set[int] = set()
    for passed_s, found in steps:
        time_s += passed_s
        faces.update(time_s, found)
        numbers = [t.number for t in faces.tracks]
        assert len(set(numbers)) == len(numbers)
        now = [t for t in faces.tracks if t.last_s == time_s]
        assert len(now) == len(found)  # each detection is in exactly one track
        for track in faces.tracks:
            assert time_s - track.last_s <= 0.4
            assert track.confirmed or track.last_s == time_s
            assert track.first_s <= track.last_s
        dead |= alive - set(numbers)
        alive = set(numbers)
        assert not dead & alive
