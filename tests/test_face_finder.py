"""The face chain in time, on a made-up scene whose truth is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.contracts import AbstainReason
from edge_app.errors import PreprocessError
from edge_app.preprocess.face import FaceBox
from edge_app.preprocess.face_finder import FaceFinder, FaceReading, FaceSettings, settings_for
from tests.face_stage import CONDITIONING, Actor, Stage

PATIENT = Actor(120, 80, 80, texture=1)


def play(
    stage: Stage,
    until_s: float,
    *,
    rate_hz: float = 30.0,
    finder: FaceFinder | None = None,
    given: FaceSettings | None = None,
) -> list[tuple[float, FaceReading]]:
    finder = finder or FaceFinder(stage, CONDITIONING, given)
    times_s = np.arange(0, until_s, 1 / rate_hz).tolist()
    return [(t, finder.update(t, stage.frame(t))) for t in times_s]


def shown(readings: list[tuple[float, FaceReading]], actor: Actor) -> list[float]:
    """Return when the face handed out was this actor's."""
    return [
        t
        for t, reading in readings
        if reading.box is not None
        and np.hypot(*np.subtract(reading.box.centre_px, actor.box().centre_px)) < 5
        and abs(reading.box.side_px - actor.side_px) < 5
    ]


def test_the_first_answer_comes_with_the_third_frame_and_detection_is_rare_then() -> None:
    stage = Stage([PATIENT])
    readings = [reading for _, reading in play(stage, 3.0)]
    assert [r.crop is not None for r in readings[:4]] == [False, False, True, True]
    assert [r.detected for r in readings[:9]] == [True] * 3 + [False, False, True] * 2
    assert all(r.reason is None and r.faces == 1 for r in readings[2:])
    assert stage.calls == 3 + 29  # of 90 frames


def test_a_slow_camera_is_detected_on_every_frame() -> None:
    stage = Stage([PATIENT])
    readings = play(stage, 4.0, rate_hz=5.0)
    assert all(reading.detected for _, reading in readings)


@pytest.mark.parametrize("rate_hz", [10.0, 15.0, 24.0, 30.0, 60.0])
def test_leaving_and_coming_back_take_half_a_second_at_any_rate(rate_hz: float) -> None:
    first = Actor(120, 80, 80, 0.25, 2.0, texture=1)
    back = Actor(150, 70, 90, 4.0, 7.0, texture=1)
    stage = Stage([first, back])
    readings = play(stage, 6.0, rate_hz=rate_hz)
    seen = shown(readings, first)
    assert 0.25 <= seen[0] <= 0.25 + 0.45
    assert 2.0 - 1 / rate_hz - 1e-9 <= seen[-1] < 2.0
    again = shown(readings, back)
    assert 4.0 <= again[0] <= 4.5
    assert {r.person for _, r in readings} == {0}
    gone = [r for t, r in readings if 2.0 <= t < 4.0]
    assert {r.reason for r in gone} == {AbstainReason.NO_FACE}
    assert all(r.crop is None and r.quality == 0.0 for r in gone)


def test_a_detector_that_blinks_does_not_interrupt() -> None:
    times_s = np.arange(0, 3.0, 1 / 30)
    stage = Stage([PATIENT], missed={float(t) for t in times_s if 1.0 < t < 1.3})
    readings = [reading for _, reading in play(stage, 3.0)]
    assert all(r.crop is not None for r in readings[2:])
    assert {r.person for r in readings} == {0}


def test_a_detector_that_goes_blind_is_believed_after_the_stated_time() -> None:
    stage = Stage([PATIENT], missed={t / 30 for t in range(30, 100)})
    readings = play(stage, 3.0)
    last = max(t for t, r in readings if r.crop is not None)
    assert 1.0 + 0.2 <= last <= 1.0 + 0.4


def test_a_false_hit_never_counts() -> None:
    rng = np.random.default_rng(1)
    flicker = [
        Actor(int(rng.integers(0, 240)), 60, 60, t, t + 2 / 30, texture=5)
        for t in np.arange(0.5, 5, 0.25)
    ]
    readings = play(Stage(flicker), 5.0)
    assert {r.reason for _, r in readings} == {AbstainReason.NO_FACE}
    assert {r.faces for _, r in readings} == {0}


def test_the_largest_face_in_the_middle_is_chosen_and_all_are_counted() -> None:
    middle = Actor(125, 85, 70, texture=1)
    corner = Actor(0, 0, 75, texture=2)
    small = Actor(220, 100, 40, texture=3)
    readings = play(Stage([corner, small, middle]), 1.0)
    assert len(shown(readings, middle)) == len(readings) - 2
    assert {r.faces for _, r in readings[2:]} == {3}


def test_a_larger_visitor_does_not_take_over_nor_when_the_patient_leaves() -> None:
    patient = Actor(60, 90, 60, 0.0, 3.0, texture=1)
    visitor = Actor(150, 60, 130, 1.0, texture=2)
    readings = play(Stage([patient, visitor]), 12.0)
    assert max(shown(readings, patient)) == pytest.approx(3.0, abs=0.05)
    assert shown(readings, visitor) == []
    assert all(r.reason is AbstainReason.NO_FACE for t, r in readings if t > 3.0)
    assert {r.faces for t, r in readings if t > 4.0} == {1}


def test_a_visitor_of_the_same_size_who_was_seen_beside_is_not_taken_for_a_return() -> None:
    patient = Actor(60, 90, 70, 0.0, 3.0, texture=1)
    visitor = Actor(170, 90, 70, 1.0, texture=2)
    assert shown(play(Stage([patient, visitor]), 12.0), visitor) == []


def test_a_visitor_who_takes_the_patients_place_is_not_taken_for_a_return() -> None:
    patient = Actor(60, 90, 70, 0.0, 2.0, texture=1)

    class Walk(Stage):
        def present(self) -> list[Actor]:
            x_px = 170 - int(np.clip(110 * (self._now_s - 3.0), 0, 110))
            visitor = [Actor(x_px, 90, 70, texture=2)] if self._now_s > 1.0 else []
            return super().present() + visitor

    readings = play(Walk([patient]), 10.0)
    assert max(shown(readings, patient)) == pytest.approx(2.0, abs=0.05)
    assert all(r.box is None and r.faces == 1 for t, r in readings if t > 2.2)


def test_another_face_that_stays_is_followed_in_the_end_and_that_is_told() -> None:
    nurse = Actor(100, 60, 120, 0.0, 2.0, texture=1)
    patient = Actor(230, 120, 50, 0.5, texture=2)
    readings = play(Stage([nurse, patient]), 14.0)
    taken = shown(readings, patient)
    assert taken[0] == pytest.approx(12.0, abs=0.2)  # ten seconds after the nurse has gone
    assert all(r.person == (t >= taken[0]) for t, r in readings)


def test_a_region_leaves_everybody_else_out() -> None:
    patient = Actor(20, 100, 50, texture=1)
    visitor = Actor(150, 50, 120, texture=2)
    left = FaceSettings(region=(0.0, 0.0, 0.4, 1.0))
    readings = play(Stage([visitor, patient]), 1.0, given=left)
    assert len(shown(readings, patient)) == len(readings) - 2
    assert {r.faces for _, r in readings[2:]} == {2}
    nobody = play(Stage([visitor]), 1.0, given=left)
    assert {r.reason for _, r in nobody} == {AbstainReason.NO_FACE}


def test_stills_stand_alone() -> None:
    one, other = Actor(120, 80, 80, 0.0, 0.9, texture=1), Actor(20, 20, 150, 0.9, texture=2)
    assert settings_for(1.0, CONDITIONING).stills
    assert not settings_for(15.0, CONDITIONING).stills
    given = settings_for(1.0, CONDITIONING)
    readings = play(Stage([one, other]), 3.0, rate_hz=1.0, given=given)
    assert shown(readings, one) == [0.0]
    assert shown(readings, other) == [1.0, 2.0]
    assert [r.person for _, r in readings] == [0, 1, 2]  # each may show someone else


def test_two_frames_of_one_moment_are_no_new_beginning() -> None:
    stage = Stage([PATIENT])
    finder = FaceFinder(stage, CONDITIONING)
    times_s = [frame // 2 / 15 for frame in range(60)]
    readings = [finder.update(time_s, stage.frame(time_s)) for time_s in times_s]
    assert all(reading.crop is not None for reading in readings[6:])
    assert {(r.person, r.faces) for r in readings[6:]} == {(0, 1)}


def test_after_forgetting_it_may_be_someone_else() -> None:
    stage = Stage([PATIENT])
    finder = FaceFinder(stage, CONDITIONING)
    play(stage, 1.0, finder=finder)
    finder.forget()
    again = play(stage, 1.0, finder=finder)
    assert [r.crop is not None for _, r in again[:3]] == [False, False, True]
    assert {r.person for _, r in again} == {1}


def test_spoilt_pictures_have_no_crop_but_a_box() -> None:
    stage = Stage([Actor(120, 80, 20, texture=1)])
    (_, reading) = play(stage, 1.0)[-1]
    assert reading.reason is AbstainReason.TOO_SMALL
    assert reading.crop is None
    assert reading.box is not None
    assert 0.0 < reading.quality < 0.5


class Wild:
    """A detector that says anything."""

    def __init__(self, boxes: list[FaceBox]) -> None:
        self.boxes = boxes

    def detect(self, frame: np.ndarray) -> list[FaceBox]:  # noqa: ARG002
        return self.boxes


def test_boxes_that_are_no_places_are_left_out() -> None:
    nan, inf = float("nan"), float("inf")
    wild = [
        FaceBox(nan, 0, 50, 50),
        FaceBox(0, 0, inf, 50),
        FaceBox(0, 0, 50, 0),
        FaceBox(0, 0, -50, -50),
        FaceBox(-900, 0, 50, 50),
    ]
    stage = Stage([PATIENT])
    finder = FaceFinder(Wild(wild), CONDITIONING)
    assert {r.faces for _, r in play(stage, 1.0, finder=finder)} == {0}
    spoilt = FaceBox(120, 80, 80, 80, landmarks=((nan, nan),) * 5)
    finder = FaceFinder(Wild([spoilt]), CONDITIONING)
    (_, reading) = play(stage, 1.0, finder=finder)[-1]
    assert reading.crop is not None
    assert reading.box is not None
    assert reading.box.landmarks is None


def test_frames_of_any_kind() -> None:
    finder = FaceFinder(Wild([FaceBox(0, 0, 60, 60)]), CONDITIONING)
    rng = np.random.default_rng(1)
    shapes = [(0, 0, 3), (1, 1, 3), (60, 60), (60, 60, 4), (60, 60, 1), (900, 1600, 3)]
    for time_s, shape in enumerate(shapes):
        frame = rng.integers(0, 256, shape, np.uint8)
        readings = [finder.update(time_s + step / 30, frame) for step in range(4)]
        taken = min(shape[:2]) >= 60
        assert (readings[-1].crop is not None) == taken, shape
    with pytest.raises(PreprocessError):
        finder.update(99.0, np.zeros((60, 60, 3), np.float64))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 300),
    st.integers(0, 220),
    st.floats(1.7, 3.5),
    st.floats(0.4, 4.0),
    st.floats(0.4, 4.0),
    st.sampled_from([10.0, 30.0]),
)
def test_a_far_larger_visitor_is_never_taken_silently(
    x_px: int, y_px: int, times: float, comes_s: float, leaves_s: float, rate_hz: float
) -> None:
    patient = Actor(130, 90, 60, 0.0, leaves_s, texture=1)
    visitor = Actor(x_px, y_px, int(60 * times), comes_s, texture=2)
    for _, reading in play(Stage([patient, visitor]), 8.0, rate_hz=rate_hz):
        assert reading.person == 0
        if reading.box is not None:
            assert reading.box.side_px < 1.5 * 60


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7.0, 15.0, 30.0, 60.0]))
def test_a_moving_face_is_followed_without_a_break(seed: int, rate_hz: float) -> None:
    rng = np.random.default_rng(seed)
    speed, phase = rng.uniform(0.1, 0.3, 2), rng.uniform(0, 6, 2)

    class Mover(Stage):
        def present(self) -> list[Actor]:
            x, y = np.sin(2 * np.pi * speed * self._now_s + phase)
            return [Actor(int(110 + 60 * x), int(80 + 40 * y), 90, texture=1)]

    readings = [reading for _, reading in play(Mover([]), 5.0, rate_hz=rate_hz)]
    assert all(r.crop is not None for r in readings[2:])
    assert {r.person for r in readings} == {0}
    boxes = [r.box for r in readings[2:] if r.box is not None]
    fastest = 2 * np.pi * 0.3 * np.hypot(60, 40) * max(0.15, 1 / rate_hz) * 1.5
    for a, b in pairwise(boxes):
        assert np.hypot(*np.subtract(a.centre_px, b.centre_px)) <= fastest
