"""What is told of a stream, from made-up arrivals on a clock of our own."""

from __future__ import annotations

import numpy as np
import pytest

from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.lsl_inlet import Pulled
from edge_app.sources.lsl_stamps import StampLine
from edge_app.sources.lsl_watch import LslWatch


class Stream:
    """A watch at 100 Hz and what feeds it, ten samples at a time, as fast as they come."""

    def __init__(self, rate_hz: float = 100.0, jitter_s: float = 0.0) -> None:
        self.line = StampLine(rate_hz, jitter_s)
        self.rate_hz, self.now_s, self.index = rate_hz, 0.0, 0
        self.watch = LslWatch(
            name="eeg",
            rate_hz=rate_hz,
            jitter_s=jitter_s,
            stale_after_s=3.0,
            line=self.line,
            now_s=0.0,
        )

    def feed(self, index: np.ndarray, values: float = 0.0, shift_s: float = 0.0) -> str:
        times_s = index / self.rate_hz + shift_s
        self.watch.saw(Pulled(times_s, np.full(len(index), values), self.now_s, 0.0))
        self.line.push(times_s)
        return self.watch.trouble(self.now_s)

    def run(self, seconds: float, *, keep_every: int = 1, **how: float) -> list[str]:
        """What was told, tenth by tenth; with keep_every n, every n-th sample is lost."""
        told = []
        for _ in range(round(seconds * self.rate_hz / 10)):
            self.now_s += 10 / self.rate_hz
            index = np.arange(self.index, self.index + 10)
            self.index += 10
            kept = index if keep_every == 1 else index[index % keep_every != 0]
            told.append(self.feed(kept, **how))
        return told


def test_a_good_stream_is_not_spoken_of() -> None:
    assert set(Stream().run(30.0)) == {""}


@pytest.mark.parametrize(("rate_hz", "after_s"), [(100.0, 1.0), (1.0, 3.0)])
def test_silence_is_told_after_three_samples_and_a_second(rate_hz: float, after_s: float) -> None:
    watch = LslWatch(
        name="eeg",
        rate_hz=rate_hz,
        jitter_s=0.0,
        stale_after_s=5.0,
        line=StampLine(rate_hz, 0.0),
        now_s=10.0,
    )
    assert watch.trouble(10.0 + after_s - 0.01) == ""
    assert watch.trouble(10.0 + after_s + 0.01) == f"no data for {after_s:.1f} s"
    with pytest.raises(SourceLostError, match="no data for 5 s"):
        watch.trouble(15.01)


def test_silence_is_over_with_the_next_sample() -> None:
    stream = Stream()
    stream.run(1.0)
    stream.now_s += 1.5
    assert stream.watch.trouble(stream.now_s) == "no data for 1.0 s"
    assert set(stream.run(3.0)) == {""}


@pytest.mark.parametrize(
    ("keep_every", "words"), [(20, "1 % or more"), (5, "10 % or more"), (2, "half or more")]
)
def test_losses_are_told_within_two_seconds_and_forgotten(keep_every: int, words: str) -> None:
    stream = Stream(jitter_s=0.0)
    stream.run(5.0)
    told = stream.run(2.0, keep_every=keep_every)
    said = f"{words} of the samples lost"
    if keep_every == 2:  # alternating steps of two intervals are another rate, too
        assert any(text for text in told)
    else:
        assert told[-1] == said
        assert stream.run(4.5)[-1] == said
        assert stream.run(2.0)[-1] == ""


def test_losses_that_come_and_go_are_told_once() -> None:
    stream = Stream()
    told = stream.run(3.0)
    for _ in range(5):
        told += stream.run(1.5, keep_every=20) + stream.run(2.5)
    told += stream.run(6.0)
    assert list(dict.fromkeys(told)) == ["", "1 % or more of the samples lost"]
    changes = [text for text, before in zip(told[1:], told, strict=False) if text != before]
    assert len(changes) == 2


def test_a_single_gap_is_counted_and_not_told() -> None:
    stream = Stream()
    told = stream.run(3.0)
    stream.index += 20
    stream.now_s += 0.2
    told += stream.run(8.0)
    assert set(told) == {""}
    assert stream.line.lost_samples == 20


def test_a_loss_that_grows_is_told_again() -> None:
    stream = Stream()
    told = stream.run(4.0, keep_every=50) + stream.run(4.0, keep_every=5)
    assert list(dict.fromkeys(told)) == [
        "",
        "1 % or more of the samples lost",
        "10 % or more of the samples lost",
    ]


def test_samples_that_are_no_number_are_told_while_they_come_and_a_second_more() -> None:
    stream = Stream()
    stream.run(2.0)
    assert stream.run(0.5, values=np.nan) == ["samples that are not a number"] * 5
    told = stream.run(2.0)
    assert told[8] == "samples that are not a number"
    assert told[-1] == ""
    assert stream.watch.nan_samples == 50


@pytest.mark.parametrize("shift_s", [20.0, -20.0, 1.5, -1.5])
def test_a_jump_that_no_waiting_explains_ends_the_stream(shift_s: float) -> None:
    stream = Stream()
    stream.run(3.0)
    with pytest.raises(SourceLostError, match=r"clock jumped by \+?-?\d+"):
        stream.run(1.0, shift_s=shift_s)


@pytest.mark.parametrize("ahead_s", [1.5, 20.0, 1.7e9])
def test_stamps_from_the_future_are_placed_anew(ahead_s: float) -> None:
    """They came after the opening, which could not see them, or have drifted away since."""
    with pytest.raises(SourceLostError, match=r"the stamps lie \+.* s from their arrival"):
        Stream().run(1.0, shift_s=ahead_s)


@pytest.mark.parametrize("placed", [True, False])
def test_stamps_from_the_past_are_late_unless_nobody_has_seen_their_clock(*, placed: bool) -> None:
    stream = Stream()
    stream.watch._placed = placed
    if placed:
        assert set(stream.run(1.0, shift_s=-20.0)) == {""}
    else:
        with pytest.raises(SourceLostError, match="the stamps lie -20 s from their arrival"):
            stream.run(1.0, shift_s=-20.0)


def test_stamps_of_a_clock_that_is_not_this_machines_may_lie_ahead() -> None:
    """A demonstration faster than life."""
    stream = Stream()
    stream.watch = LslWatch(
        name="eeg",
        rate_hz=100.0,
        jitter_s=0.0,
        stale_after_s=3.0,
        line=stream.line,
        now_s=0.0,
        host_clock=False,
    )
    assert set(stream.run(3.0, shift_s=20.0)) == {""}


def test_a_gap_that_was_waited_for_is_no_jump() -> None:
    stream = Stream()
    stream.run(3.0)
    stream.now_s += 2.5
    stream.index += 250
    assert set(stream.run(0.5)) == {""}
    assert stream.line.lost_samples == 250


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_rate_is_told_first_and_then_ends_the_stream(factor: float) -> None:
    stream = Stream()
    stream.rate_hz *= factor
    told = stream.run(2.0)
    assert f"{100 * factor:g} samples a second, declared are 100" in told[-1]
    with pytest.raises(SourceError, match=f"got {100 * factor:g} Hz"):
        stream.run(10.0)
