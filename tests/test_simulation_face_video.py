"""The simulated face: any frame directly, truth on schedule, found by the detector."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge_app.preprocess.face_detectors import HaarDetector
from edge_app.simulation.face_video import AWAY, STATISTICS, FaceSchedule, FaceVideo

EXPRESSIONS = {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}
ROUND_S = 7 * 6.0 + 6 * 1.0 + 4.0


@pytest.fixture(scope="module")
def video():
    return FaceVideo(seed=1, rate_hz=15.0)


def test_frames_are_rgb_and_grey(video):
    frame = video.frame(0)
    assert frame.shape == (240, 320, 3)
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame[:, :, 0], frame[:, :, 2])


def test_any_frame_can_be_made_directly(video):
    in_order = [video.frame(i) for i in range(700, 720)]
    other = FaceVideo(seed=1, rate_hz=15.0)
    for i in (719, 3, 700, 100_000, 710):
        direct = other.frame(i)
        if 700 <= i < 720:
            np.testing.assert_array_equal(direct, in_order[i - 700])
    assert np.abs(FaceVideo(seed=2).frame(700).astype(int) - in_order[0]).max() > 20


def test_a_round_shows_every_expression_for_its_time_then_nobody(video):
    for first_s in (0.0, 5 * ROUND_S):
        counts = Counter(video.label_at(first_s + i * 0.1 + 0.05) for i in range(520))
        assert set(counts) == EXPRESSIONS | {AWAY, None}
        assert all(counts[label] == 60 for label in EXPRESSIONS)
        assert counts[AWAY] == 40
        assert counts[None] == 60


def test_rounds_differ_in_order(video):
    orders = {
        tuple(video.label_at(k * ROUND_S + slot * 7.0 + 1.0) for slot in range(7)) for k in range(6)
    }
    assert len(orders) > 3


def test_the_face_shown_is_the_one_named(video):
    with np.load(STATISTICS) as archive:
        average = dict(zip(archive["labels"].tolist(), archive["faces"], strict=True))
    seen = set()
    for slot in range(7):
        time_s = slot * 7.0 + 3.0
        frame = video.frame(round(time_s * 15.0))[:, :, 0].astype(float)
        found = HaarDetector().detect(np.repeat(frame[:, :, None], 3, axis=2).astype(np.uint8))
        assert found
        likeness = {name: best_likeness(frame, face) for name, face in average.items()}
        assert max(likeness, key=likeness.get) == video.label_at(time_s)
        seen.add(video.label_at(time_s))
    assert seen == EXPRESSIONS


def best_likeness(frame, face):
    """Return the highest correlation of a 48 px face with places in the frame."""
    best = -1.0
    for y in range(36, 55, 3):
        for x in range(76, 95, 3):
            patch = frame[y : y + 150, x : x + 150]
            small = patch[1::3, 1::3][:48, :48]
            inner = slice(8, 40)
            correlation = np.corrcoef(small[inner, inner].ravel(), face[inner, inner].ravel())
            best = max(best, correlation[0, 1])
    return best


def test_the_cascade_finds_every_face_and_none_when_away(video):
    detector = HaarDetector()
    found, shown = Counter(), Counter()
    for index in range(0, round(ROUND_S * 15), 13):
        label = video.label_at(index / 15.0)
        boxes = detector.detect(video.frame(index))
        shown[label] += 1
        found[label] += len(boxes) == 1
        for box in boxes:
            assert 120 < box.size_px < 180
    assert found[AWAY] == 0
    for label in EXPRESSIONS:
        assert found[label] == shown[label] >= 5, label


def test_expressions_turn_into_each_other_smoothly(video):
    changes = [
        np.abs(video.frame(i + 1).astype(int) - video.frame(i)).mean() for i in range(85, 110)
    ]
    assert max(changes) < 12.0  # a cut, as into an empty picture, changes far more
    away_from = round((ROUND_S - 4.0) * 15.0)
    cut = np.abs(video.frame(away_from).astype(int) - video.frame(away_from - 1)).mean()
    assert cut > max(changes)


def test_the_schedule_may_be_another():
    video = FaceVideo(seed=0, schedule=FaceSchedule(hold_s=1.0, fade_s=0.5, away_s=2.0))
    labels = [video.label_at(i / 10 + 0.05) for i in range(120)]
    assert labels[100:120] == [AWAY] * 20
    assert labels[:10] == [labels[0]] * 10
    assert labels[10:15] == [None] * 5
