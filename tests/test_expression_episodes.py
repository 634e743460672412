"""Episodes of an expression: entering and leaving levels, least duration, gaps, the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.contracts import AbstainReason, Prediction
from edge_app.expression_episodes import Episode, EpisodeFinder
from edge_app.inference.manifest import EpisodeSpec
from edge_app.sinks.episodes import EpisodeSink

FEAR = EpisodeSpec(
    label="fear",
    enter_probability=0.7,
    leave_probability=0.4,
    min_duration_s=1.0,
    ppv=0.8,
    ppv_low=0.7,
    recall=0.2,
    prevalence=0.14,
)


def find(*answers: tuple[float, float | None], spec: EpisodeSpec = FEAR) -> list[Episode]:
    finder = EpisodeFinder(spec, longest_gap_s=1.0)
    found = [finder.add(time_s, probability) for time_s, probability in answers]
    return [episode for episode in [*found, finder.close()] if episode is not None]


def test_an_episode_by_hand() -> None:
    answers = [(0.0, 0.6), (0.5, 0.75), (1.0, 0.95), (1.5, 0.5), (2.0, 0.4), (2.5, 0.39), (3, 0.6)]
    assert find(*answers) == [Episode("fear", 0.5, 2.0, 0.95, 1.0)]
    assert find(*answers)[0].duration_s == 1.5


def test_a_short_one_does_not_count_and_one_of_exactly_the_least_does() -> None:
    assert find((0.0, 0.8), (0.9, 0.8), (1.0, 0.1)) == []
    assert find((0.1, 0.8), (1.1, 0.8), (1.2, 0.1)) == [Episode("fear", 0.1, 1.1, 0.8, 0.1)]


def test_it_ends_where_the_face_was_last_seen() -> None:
    seen = [(0.0, 0.9), (0.5, 0.9), (1.0, 0.8)]
    gone = [(1.0 + 0.5 * k, None) for k in range(1, 6)]
    assert find(*seen, *gone, (4.0, 0.9)) == [Episode("fear", 0.0, 1.0, 0.9, 0.0)]


def test_a_moment_without_a_face_does_not_cut_it() -> None:
    found = find((0.0, 0.9), (0.5, None), (1.0, 0.9), (1.5, 0.1))
    assert found == [Episode("fear", 0.0, 1.0, 0.9, 0.0)]


def test_a_gap_ends_it_and_another_may_begin_at_once() -> None:
    found = find((0.0, 0.9), (1.0, 0.9), (2.1, 0.9), (3.1, 0.8), (3.2, 0.0))
    assert found == [Episode("fear", 0.0, 1.0, 0.9, 0.0), Episode("fear", 2.1, 3.1, 0.9, 2.1)]


def test_a_clock_that_jumps_back_ends_it() -> None:
    found = find((100.0, 0.9), (101.0, 0.9), (3.0, 0.9), (4.0, 0.9))
    assert [(e.start_s, e.end_s) for e in found] == [(100.0, 101.0), (3.0, 4.0)]


@pytest.mark.parametrize("rate_hz", [10, 30])
def test_the_frame_rate_moves_an_episode_by_a_frame_at_most(rate_hz: int) -> None:
    def probability(time_s: float) -> float:
        return 0.9 if 2.0 <= time_s <= 5.0 else 0.1

    (found,) = find(*((k / rate_hz, probability(k / rate_hz)) for k in range(8 * rate_hz)))
    assert found == Episode("fear", 2.0, 5.0, 0.9, 2.0)


@given(st.lists(st.tuples(st.floats(0.01, 1.5), st.none() | st.floats(0.0, 1.0)), max_size=100))
def test_episodes_never_overlap_and_always_earn_their_name(
    steps: list[tuple[float, float | None]],
) -> None:
    time_s, answers = 0.0, []
    for step_s, probability in steps:
        time_s += step_s
        answers.append((time_s, probability))
    seen = dict(answers)
    last_s = 0.0
    for episode in find(*answers):
        assert last_s <= episode.start_s <= episode.peak_s <= episode.end_s
        assert episode.duration_s >= 1.0 - 1e-6
        assert (seen[episode.start_s] or 0.0) >= 0.7
        assert seen[episode.peak_s] == episode.peak_probability >= 0.7
        inside = [p for t, p in answers if episode.start_s <= t <= episode.end_s and p is not None]
        assert min(inside) >= 0.4
        assert max(inside) == episode.peak_probability
        last_s = episode.end_s


def said(time_s: float, fear: float | None, stream: str = "bed", **fields: object) -> Prediction:
    return Prediction(
        **{
            "task": "emotion",
            "stream": stream,
            "time_s": time_s,
            "start_s": time_s - 0.1,
            "end_s": time_s,
            "label": None,
            "probabilities": () if fear is None else (("fear", fear), ("happy", 1.0 - fear)),
            "quality": 1.0,
            "abstained": AbstainReason.NO_FACE if fear is None else AbstainReason.LOW_CONFIDENCE,
            "final": True,
            "revision": 0,
            "model": "m@1",
            "simulated": True,
            **fields,
        }
    )


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_file_tells_an_episode_once_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    sink = EpisodeSink(path, {"bed": (FEAR,)})
    for time_s, fear in [(10.0, 0.8), (10.5, 0.9), (11.5, 0.7)]:
        sink.emit(said(time_s, fear), 1000.0 + time_s)
        sink.emit(said(time_s, fear, "another"), 0.0)
        assert path.read_text() == ""
    sink.emit(said(11.6, 0.1), 1011.6)
    assert lines(path) == [
        {
            "task": "emotion",
            "stream": "bed",
            "label": "fear",
            "start": "1970-01-01T00:16:50.000Z",
            "end": "1970-01-01T00:16:51.500Z",
            "peak": "1970-01-01T00:16:50.500Z",
            "start_s": 10.0,
            "end_s": 11.5,
            "peak_s": 10.5,
            "duration_s": 1.5,
            "peak_probability": 0.9,
            "enter_probability": 0.7,
            "leave_probability": 0.4,
            "min_duration_s": 1.0,
            "model": "m@1",
            "simulated": True,
        }
    ]
    assert path.stat().st_mode & 0o077 == 0
    sink.close()
    sink.close()
    assert len(lines(path)) == 1


def test_an_episode_never_goes_on_in_another_face(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / "e", {"bed": (FEAR,)})
    for tick in range(31):
        person = (("person", float(tick >= 15)),)
        sink.emit(said(tick / 10, 0.8, evidence=person), tick / 10)
    sink.close()
    found = [(row["start_s"], row["end_s"]) for row in lines(tmp_path / "e")]
    assert found == [(0.0, 1.4), (1.5, 3.0)]


def test_what_is_open_at_the_end_is_told_then(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / "e", {"bed": (FEAR,), "silent": (FEAR,)})
    for tick in range(13):
        sink.emit(said(tick / 10, 0.8), tick / 10)
    sink.close()
    assert [(row["start_s"], row["end_s"]) for row in lines(tmp_path / "e")] == [(0.0, 1.2)]


def test_a_torn_last_line_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text('{"task": "emo')
    sink = EpisodeSink(path, {"bed": (FEAR,)})
    for time_s in (0.0, 1.0):
        sink.emit(said(time_s, 0.8), time_s)
    sink.close()
    torn, whole = path.read_text().splitlines()
    assert torn == '{"task": "emo'
    assert json.loads(whole)["end_s"] == 1.0
