"""Shares of time by facial expression: by time, not by frame count; gaps and no face are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.expression_shares import AnsweredTime, RollingShares, longest_step_s

HAPPY, SAD = "happy", "sad"


def told(shares: RollingShares, window_s: float) -> dict[str, float]:
    return dict(shares.evidence((HAPPY, SAD), window_s))


def test_an_answer_speaks_for_the_time_since_the_one_before() -> None:
    answered = AnsweredTime(1.0)
    times_s = (5.0, 5.25, 6.25, 7.5, 7.5, 7.0, 7.25)
    #          first, .25 s, 1 s, gap, twice the same, back, again
    assert [answered.since_s(t) for t in times_s] == [5.0, 5.0, 5.25, 7.5, 7.5, 7.0, 7.0]


def test_a_slow_series_of_pictures_has_longer_steps() -> None:
    assert (longest_step_s(30.0), longest_step_s(0.5)) == (1.0, 3.0)


def test_shares_and_coverage_by_hand() -> None:
    shares = RollingShares()
    for time_s, label, usable in [
        (0.0, HAPPY, True),
        (1.0, HAPPY, True),  # 1 s happy
        (1.5, SAD, True),  # 0.5 s sad
        (2.0, None, True),  # 0.5 s of a usable face, not sure
        (3.0, None, False),  # 1 s no face
        (10.0, SAD, True),  # a gap: nothing
        (11.0, SAD, True),  # 1 s sad
    ]:
        shares.add(time_s, label, usable=usable)
    assert told(shares, 30.0) == pytest.approx(
        {"coverage_30_s": 3 / 30, "share_happy_30_s": 1 / 3, "share_sad_30_s": 1.5 / 3}, abs=1e-4
    )
    assert told(shares, 60.0)["coverage_60_s"] == pytest.approx(3 / 60)


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    shares = RollingShares()
    for second in range(46):
        shares.add(float(second), HAPPY if second <= 20 else SAD, usable=True)
    # the last 30 s, 15 to 45: happy until 20
    assert told(shares, 30.0) == pytest.approx(
        {"coverage_30_s": 1.0, "share_happy_30_s": 5 / 30, "share_sad_30_s": 25 / 30}, abs=1e-4
    )
    assert told(shares, 60.0)["coverage_60_s"] == pytest.approx(45 / 60)
    shares.add(200.0, None, usable=False)
    assert told(shares, 60.0) == {"coverage_60_s": 0.0}


def test_shares_are_told_to_four_decimals() -> None:
    shares = RollingShares()
    for time_s, label in ((0.0, HAPPY), (0.7, HAPPY), (1.1, SAD)):
        shares.add(time_s, label, usable=True)
    assert told(shares, 30.0) == {
        "coverage_30_s": 0.0367,
        "share_happy_30_s": 0.6364,
        "share_sad_30_s": 0.3636,
    }


def test_no_face_gives_no_shares_at_all() -> None:
    shares = RollingShares()
    for tick in range(100):
        shares.add(tick / 10, None, usable=False)
    assert told(shares, 30.0) == {"coverage_30_s": 0.0}


def test_a_clock_that_jumps_back_starts_anew() -> None:
    shares = RollingShares()
    for time_s in (100.0, 101.0, 5.0, 5.5):
        shares.add(time_s, SAD, usable=True)
    assert shares.seconds(30.0) == {SAD: 0.5}


def scene(time_s: float) -> tuple[str | None, bool]:
    """Happy until 4 s, then sad until 7 s, nobody until 9 s, then nothing sure."""
    if time_s <= 4.0:
        return HAPPY, True
    if time_s <= 7.0:
        return SAD, True
    return None, time_s > 9.0


@pytest.mark.parametrize("rate_hz", [2, 10, 30])
def test_the_frame_rate_does_not_matter(rate_hz: int) -> None:
    shares = RollingShares()
    for frame in range(12 * rate_hz + 1):
        time_s = frame / rate_hz
        label, usable = scene(time_s)
        shares.add(time_s, label, usable=usable)
    assert shares.seconds(60.0) == pytest.approx({HAPPY: 4.0, SAD: 3.0, None: 3.0})


@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 2.0), st.sampled_from([HAPPY, SAD, None]), st.booleans()),
        max_size=200,
    ),
    window_s=st.sampled_from([30.0, 60.0]),
)
def test_any_stream_agrees_with_a_plain_count(
    steps: list[tuple[float, str | None, bool]], window_s: float
) -> None:
    shares, time_s = RollingShares(), 0.0
    spans: list[tuple[float, float, str | None]] = []
    for step_s, label, usable in steps:
        before_s, time_s = time_s, time_s + step_s
        if shares._now_s > -np.inf and usable and 0.0 < time_s - before_s <= 1.0:
            spans.append((before_s, time_s, label))
        shares.add(time_s, label, usable=usable)
    begin_s = time_s - window_s
    for label in (HAPPY, SAD, None):
        expected = sum(max(0.0, e - max(s, begin_s)) for s, e, what in spans if what == label)
        assert shares.seconds(window_s).get(label, 0.0) == pytest.approx(expected, abs=1e-6)
    evidence = told(shares, window_s)
    assert 0.0 <= evidence[f"coverage_{window_s:g}_s"] <= 1.0
    assert sum(v for name, v in evidence.items() if name.startswith("share")) <= 1.0 + 1e-4


def test_memory_is_bounded_over_a_night_and_small_where_answers_stay() -> None:
    calm, flickering = RollingShares(), RollingShares()
    for frame in range(8 * 3600 * 5):
        calm.add(frame / 5, HAPPY, usable=True)
        flickering.add(frame / 5, HAPPY if frame % 2 else SAD, usable=True)
    assert calm.n_stretches == 1
    assert flickering.n_stretches <= 60 * 5
    assert flickering.seconds(60.0) == pytest.approx({HAPPY: 30.0, SAD: 30.0})
