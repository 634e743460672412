"""Pictures told apart, and what the counters mean for a camera's state; no camera, no waiting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_app.sources.camera_pictures import CameraCounters, PictureChecks, is_picture
from edge_app.sources.camera_watch import CameraLimits, CameraWatch


def noisy(seed: int, mean: int = 120, spread: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(mean - spread, mean + spread, (48, 64, 3)).astype(np.uint8)


def watch() -> CameraWatch:
    return CameraWatch(CameraLimits(), expected_hz=30.0, opened_s=0.0)


def test_the_first_picture_and_repeats_are_not_new() -> None:
    checks = PictureChecks()
    a, b = noisy(1), noisy(2)
    shown = [a, a.copy(), b, b.copy(), b.copy(), a]
    assert [checks.is_new(k / 30, p) for k, p in enumerate(shown)] == [0, 0, 1, 0, 0, 1]
    assert checks.counters.repeated_frames == 3
    assert checks.counters.repeated_since_s is None


@given(row=st.integers(0, 47), column=st.integers(0, 63), channel=st.integers(0, 2))
def test_one_changed_value_anywhere_makes_a_new_picture(
    row: int, column: int, channel: int
) -> None:
    """Also where the quick comparison, of every eighth pixel, cannot see it."""
    checks, before = PictureChecks(), noisy(3)
    after = before.copy()
    after[row, column, channel] ^= 1
    checks.is_new(0.0, before)
    assert checks.is_new(0.1, after)


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.float32, np.uint16, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
    | st.none()
    | st.binary(max_size=8)
)
def test_nothing_but_a_picture_is_taken_for_one(value: object) -> None:
    good = (
        isinstance(value, np.ndarray)
        and value.dtype == np.uint8
        and value.ndim == 3
        and value.shape[2:] == (3,)
        and min(value.shape) > 0
    )
    assert is_picture(value) == good
    checks = PictureChecks()
    checks.is_new(0.0, value)
    assert checks.counters.bad_frames == (not good)


@pytest.mark.parametrize("rate_hz", [5.0, 15.0, 30.0, 60.0])
def test_the_rate_is_that_of_the_last_second(rate_hz: float) -> None:
    checks = PictureChecks()
    for k in range(40):
        checks.grabbed(k / 100.0)  # faster before
    start_s = 0.4
    for k in range(int(3 * rate_hz)):
        checks.grabbed(start_s + k / rate_hz)
    assert checks.counters.rate_hz == pytest.approx(rate_hz, rel=1e-6)


@pytest.mark.parametrize(
    ("picture", "dark"),
    [
        (noisy(1, mean=4, spread=4), True),  # a lens cap and the sensor's noise
        (np.full((48, 64, 3), 200, np.uint8), True),  # blinded
        (noisy(1, mean=20, spread=20) // 2 + 2, True),
        (noisy(1, mean=60, spread=40), False),  # a dim room
        (noisy(1, mean=120, spread=60), False),
    ],
)
def test_a_covered_camera_is_told_from_a_dim_room(picture: np.ndarray, *, dark: bool) -> None:
    checks = PictureChecks()
    checks.is_new(0.0, picture)
    assert (checks.counters.dark_since_s is not None) == dark


def test_a_small_light_in_the_dark_is_not_black() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = 255
    checks = PictureChecks()
    checks.is_new(0.0, picture)
    assert checks.counters.dark_since_s is None


@pytest.mark.parametrize(
    ("fault", "word", "lost_s"),
    [
        ({}, "no frame", 3.0),
        ({"bad_since_s": 10.0}, "only damaged ones", 3.0),
        ({"repeated_since_s": 10.0}, "frozen", 5.0),
        ({"repeated_since_s": 10.0, "dark_since_s": 10.0, "brightness": 3.0}, "black", 60.0),
    ],
)
def test_a_fault_is_told_after_a_second_and_the_camera_given_up_later(
    fault: dict[str, float], word: str, lost_s: float
) -> None:
    silent = not fault
    for lasts_s in np.arange(0.05, 70.0, 0.1).tolist():
        now_s = 10.0 + lasts_s
        seen = CameraCounters(grabbed_s=10.0 if silent else now_s, rate_hz=30.0, **fault)
        judge = watch()
        assert (word in judge.trouble(now_s, seen)) == (lasts_s > 1.0), lasts_s
        assert bool(judge.lost(now_s, seen)) == (lasts_s > lost_s), lasts_s


def test_darkness_alone_never_gives_the_camera_up() -> None:
    seen = CameraCounters(grabbed_s=9999.0, rate_hz=30.0, dark_since_s=10.0, brightness=2.0)
    assert watch().lost(9999.0, seen) == ""


def test_slow_is_told_once_and_over_only_when_clearly_faster() -> None:
    judge, told = watch(), []
    course = [30.0] * 20 + [5.0] * 20 + [22.0] * 20 + [25.0] * 5  # 22 of 30: between the limits
    for k, rate_hz in enumerate(course):
        now_s = k / 10.0
        told.append(judge.trouble(now_s, CameraCounters(grabbed_s=now_s, rate_hz=rate_hz)))
    first = told.index("slow: 5 frames a second instead of 30")
    assert 3.0 <= first / 10.0 <= 3.2
    assert set(told[:first]) == {""}
    assert set(told[first:60]) == {"slow: 5 frames a second instead of 30"}
    assert set(told[60:]) == {""}


def test_two_troubles_are_told_together() -> None:
    judge = watch()
    for k in range(30):
        now_s = k / 10.0
        seen = CameraCounters(grabbed_s=now_s, rate_hz=5.0, dark_since_s=0.0, brightness=2.0)
        said = judge.trouble(now_s, seen)
    assert "black" in said
    assert "slow: 5 frames" in said
