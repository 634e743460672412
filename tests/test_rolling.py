"""The rolling value depends on time, not on how many answers came."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_app.rolling import Evidence, Hysteresis, LogSmoother, normalised

LABELS = ("a", "b")
A, B = np.array([0.9, 0.1]), np.array([0.2, 0.8])


def smoothed_at_4_s(rate_hz: int) -> np.ndarray:
    """A holds until 2 s, then B; return the value at 4 s."""
    smoother = LogSmoother(1.5)
    for i in range(4 * rate_hz + 1):
        time_s = i / rate_hz
        result = smoother.update(time_s, A if time_s <= 2.0 else B)
    return result


@pytest.mark.parametrize("rate_hz", [1, 2, 10, 25, 30])
def test_frame_rate_does_not_change_the_result(rate_hz: int) -> None:
    # After 2 s of B, A has weight exp(-2/1.5) in log space.
    weight = math.exp(-2.0 / 1.5)
    expected = normalised(weight * np.log(A) + (1 - weight) * np.log(B))
    np.testing.assert_allclose(smoothed_at_4_s(rate_hz), expected, rtol=1e-12)


def test_after_a_long_silence_the_old_state_is_forgotten() -> None:
    smoother = LogSmoother(1.0)
    smoother.update(0.0, A)
    np.testing.assert_allclose(smoother.update(3.1, B), B, rtol=1e-12)
    smoother.reset()
    np.testing.assert_allclose(smoother.update(3.2, A), A, rtol=1e-12)


def test_without_a_time_constant_nothing_is_smoothed() -> None:
    smoother = LogSmoother(None)
    smoother.update(0.0, A)
    np.testing.assert_allclose(smoother.update(0.01, B), B, rtol=1e-12)


def test_a_certain_zero_does_not_last_for_ever() -> None:
    smoother = LogSmoother(1.0)
    smoother.update(0.0, np.array([1.0, 0.0]))
    for i in range(1, 100):
        result = smoother.update(i / 10, B)
    np.testing.assert_allclose(result, B, atol=0.01)


def hysteresis(min_dwell_s: float = 0.0) -> Hysteresis:
    return Hysteresis(
        LABELS, enter_probability=0.6, leave_probability=0.45, min_dwell_s=min_dwell_s
    )


def test_a_label_is_taken_up_high_and_given_up_low() -> None:
    state = hysteresis()
    told = [state.update(t, np.array([p, 1 - p])) for t, p in enumerate([0.55, 0.6, 0.5, 0.45])]
    assert told == [None, "a", "a", "a"]
    assert state.update(9, np.array([0.44, 0.56])) is None
    assert state.update(10, np.array([0.39, 0.61])) == "b"


def test_a_label_is_kept_its_least_time() -> None:
    state = hysteresis(min_dwell_s=2.0)
    assert state.update(0.0, np.array([0.5, 0.5])) is None
    three = Hysteresis(LABELS, enter_probability=0.4, leave_probability=0.1, min_dwell_s=2.0)
    assert three.update(0.0, A) == "a"
    assert three.update(1.9, B) == "a"
    assert three.update(2.0, B) == "b"


def test_the_least_time_also_holds_for_a_label_that_was_given_up() -> None:
    state, unsure = hysteresis(min_dwell_s=2.0), np.array([0.44, 0.56])
    assert state.update(0.0, A) == "a"
    assert state.update(0.5, unsure) is None
    assert state.update(1.0, B) is None
    assert state.update(1.5, A) == "a"  # itself it may take up again at once
    assert state.update(1.9, unsure) is None
    assert state.update(2.0, B) == "b"
    assert state.update(3.9, A) is None
    assert state.update(4.0, A) == "a"


def test_after_a_reset_no_least_time_holds() -> None:
    state = hysteresis(min_dwell_s=2.0)
    assert state.update(0.0, A) == "a"
    state.reset()
    assert state.update(0.1, B) == "b"


def test_evidence_is_the_weighted_mean_of_log_probabilities() -> None:
    evidence = Evidence()
    evidence.add(A, 1.0)
    got = evidence.add(B, 3.0)
    raw = np.array([0.9**0.25 * 0.2**0.75, 0.1**0.25 * 0.8**0.75])
    np.testing.assert_allclose(got, raw / raw.sum(), rtol=1e-12)
    assert evidence.seconds_s == 4.0


def test_more_of_the_same_does_not_make_it_surer() -> None:
    evidence = Evidence()
    for _ in range(500):
        got = evidence.add(A, 0.5)
    np.testing.assert_allclose(got, A, rtol=1e-9)
