"""What is read back from a face's result files: times by hand, gaps, restarts, damage, picture."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace as changed_to
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_app.build import find_bundle
from edge_app.cli_expression import show_expressions
from edge_app.contracts import AbstainReason, Prediction
from edge_app.expression_picture import _time_unit, draw_expressions
from edge_app.expression_record import ExpressionRecord, read_expressions, remove_report
from edge_app.expression_report import (
    clock,
    episode_table,
    in_short,
    lines,
    time_table,
    unusable_table,
    write_report,
)
from edge_app.expression_timeline import Point, RecordedTime, Timeline
from edge_app.replay import ReplayRequest, replay
from edge_app.sinks.episodes import EPISODES_FILE
from edge_app.sinks.expression_lines import last_minute
from edge_app.sinks.jsonl import to_json
from tests.conftest import ROOT

LABELS = ("fear", "happy", "neutral")
BEGIN_UNIX_S = 1_700_000_000.0
SEEN = (("coverage_60_s", 0.5), ("share_fear_60_s", 0.0), ("share_happy_60_s", 0.75))
SEEN += (("share_neutral_60_s", 0.25),)


def answer(
    time_s: float, said: str | AbstainReason | None, *evidence: tuple[str, float]
) -> Prediction:
    known = not isinstance(said, AbstainReason)
    p = tuple((label, 0.8 if label == said else 0.1) for label in LABELS)
    unsure = tuple((label, 1 / 3) for label in LABELS)
    return Prediction(
        task="emotion",
        stream="bed",
        time_s=time_s,
        start_s=time_s - 0.5,
        end_s=time_s,
        label=said if isinstance(said, str) and known else None,
        probabilities=() if not known else (p if said else unsure),
        quality=1.0,
        abstained=said if not known else (None if said else AbstainReason.LOW_CONFIDENCE),  # type: ignore[arg-type]
        final=True,
        revision=0,
        model="m@1",
        simulated=True,
        evidence=(("faces", 1.0), *(SEEN if known else ()), *evidence),
    )


def write(folder: Path, *rows: tuple[float, Prediction], episodes: tuple[dict, ...] = ()) -> Path:
    text = "".join(to_json(p, origin + p.time_s) + "\n" for origin, p in rows)
    (folder / "predictions.jsonl").write_text(text, encoding="utf-8")
    text = "".join(json.dumps(row) + "\n" for row in episodes)
    (folder / EPISODES_FILE).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path) -> ExpressionRecord:
    (record,) = read_expressions(folder)
    return record


def two_a_second(first_s: float, *said: str | AbstainReason | None) -> list[Prediction]:
    return [answer(first_s + 0.5 * k, what) for k, what in enumerate(said)]


def episode(start_s: float, end_s: float, origin_unix_s: float, label: str = "fear") -> dict:
    times = {"start": start_s, "end": end_s, "peak": start_s + 0.5}
    return {
        "task": "emotion",
        "stream": "bed",
        "label": label,
        **{f"{k}_s": v for k, v in times.items()},
        "start": json.loads(to_json(answer(start_s, "fear"), origin_unix_s + start_s))["time"],
        "peak_probability": 0.9,
    }


NO = AbstainReason.NO_FACE


def test_times_shares_changes_and_reasons_by_hand(tmp_path: Path) -> None:
    story = ["happy"] * 5 + [None] * 2 + ["neutral"] * 2 + [NO] * 4 + ["happy"] * 3
    story += [AbstainReason.BLUR] * 2 + [NO] + ["fear", "happy"]
    predictions = two_a_second(100.0, *story)
    predictions.append(answer(predictions[-1].time_s + 30.0, "happy"))  # a gap of half a minute
    record = read(write(tmp_path, *((BEGIN_UNIX_S, p) for p in predictions)))
    assert record.seconds == {"happy": 4.0, None: 1.0, "neutral": 1.0, "fear": 0.5}
    assert record.unusable_s == {"no_face": 2.5, "blur": 1.0}
    assert record.unusable_times == {"no_face": 2, "blur": 1}
    assert record.time.length_s == pytest.approx(40.0)
    assert record.covered_s == 6.5
    assert record.coverage == pytest.approx(6.5 / 40.0)
    assert record.silent_s == pytest.approx(30.0)
    # happy - neutral, fear - happy; not from neutral over no face to happy
    assert record.changes == 2
    assert record.changes_per_min == pytest.approx(2 * 60 / 6.5)
    assert record.time.start_unix_s == pytest.approx(BEGIN_UNIX_S + 100.0)
    assert time_table(record)[1] == ("happy", "4.0 s", "61.5 %", "")
    assert time_table(record)[-1] == ("not sure which", "1.0 s", "15.4 %", "")
    assert unusable_table(record) == [
        ("no face", "2.5 s", "2"),
        ("blur", "1.0 s", "1"),
        ("no picture came", "30.0 s", ""),
    ]
    assert "happy 62 %" in in_short(record)


def test_change_from_rest_is_the_mean_over_time(tmp_path: Path) -> None:
    def changed(time_s: float, by: float) -> Prediction:
        told = tuple((f"change_{label}", by) for label in LABELS)
        return answer(time_s, "happy", ("baseline_s", 60.0), *told)

    rows = [answer(0.0, "happy", ("baseline_s", 59.5)), changed(0.5, 3.0), changed(1.5, 0.0)]
    record = read(write(tmp_path, *((0.0, p) for p in rows)))
    assert record.mean_change("happy") == pytest.approx(3.0 * 0.5 / 1.5)
    assert time_table(record)[1][3] == "+1.00"
    assert any("resting face" in line for line in lines(record))
    only = read(write(tmp_path, (0.0, rows[0])))
    assert only.mean_change("happy") is None
    assert "resting baseline: 60 s collected, not yet complete" in lines(only)


def test_it_tells_how_often_the_face_followed_may_have_become_another(tmp_path: Path) -> None:
    def of(time_s: float, *person: float) -> Prediction:
        return answer(time_s, "happy", *(("person", number) for number in person))

    rows = [of(0.0, 0.0), of(0.5, 0.0), of(1.0), of(1.5, 1.0), of(2.0, 1.0), of(2.5, 2.0)]
    record = read(write(tmp_path, *((0.0, p) for p in rows)))
    assert record.handovers == 2
    assert "2 times the face followed may have become another person's" in lines(record)
    alone = read(write(tmp_path, *((0.0, p) for p in rows[:2])))
    assert not any("another person" in line for line in lines(alone))


def test_a_restart_of_the_machine_goes_on_and_a_new_night_begins_anew(tmp_path: Path) -> None:
    first = [(BEGIN_UNIX_S, p) for p in two_a_second(5000.0, "happy", "happy", "happy")]
    boot_unix_s = BEGIN_UNIX_S + 5101.0
    second = [(boot_unix_s, p) for p in two_a_second(0.0, "happy", "happy")]
    episodes = (episode(5000.0, 5001.0, BEGIN_UNIX_S), episode(0.0, 0.5, boot_unix_s))
    record = read(write(tmp_path, *first, *second, episodes=episodes))
    assert record.time.length_s == pytest.approx(101.5)
    assert record.seconds == {"happy": 1.5}
    assert [(e.start_s, e.end_s) for e in record.episodes] == [(0.0, 1.0), (101.0, 101.5)]
    later = [(boot_unix_s, p) for p in two_a_second(4 * 3600.0, "fear", "fear")]
    record = read(write(tmp_path, *first, *second, *later, episodes=episodes))
    assert (record.seconds, record.earlier, record.episodes) == ({"fear": 0.5}, 1, [])


def test_an_episode_of_the_night_before_is_not_told_again(tmp_path: Path) -> None:
    """The machine was started anew, so both nights have the same times on the stream clock."""
    nights = [(BEGIN_UNIX_S + day * 86_400.0) for day in (0, 1)]
    rows = [(origin, p) for origin in nights for p in two_a_second(60.0, "happy", "happy", "happy")]
    both = tuple(episode(60.0 + 0.5 * day, 61.0, origin) for day, origin in enumerate(nights))
    record = read(write(tmp_path, *rows, episodes=both))
    assert record.earlier == 1
    assert [e.start_s for e in record.episodes] == [0.5]


def test_episodes_stay_though_the_wall_clock_was_set(tmp_path: Path) -> None:
    """A machine without a battery for its clock begins in 1970 until a network tells it."""
    predictions = two_a_second(10.0, *["fear"] * 6)
    origins = (0.0,) * 3 + (BEGIN_UNIX_S,) * 3
    told = (episode(10.0, 10.5, 0.0), episode(11.5, 12.5, BEGIN_UNIX_S))
    record = read(write(tmp_path, *zip(origins, predictions, strict=True), episodes=told))
    assert [e.start_s for e in record.episodes] == [0.0, 1.5]


def test_a_wall_clock_that_is_set_meanwhile_stretches_nothing(tmp_path: Path) -> None:
    predictions = two_a_second(10.0, "happy", "happy", "happy")
    record = read(write(tmp_path, *zip((0.0, 0.0, BEGIN_UNIX_S), predictions, strict=True)))
    assert record.time.length_s == pytest.approx(1.0)
    assert record.time.start_unix_s == pytest.approx(BEGIN_UNIX_S + 10.0)


@pytest.mark.parametrize("end", [b"", b'{"task": "emotion", "str', b"\xff\n", b"[]\n"])
def test_other_tasks_and_torn_lines_do_no_harm(tmp_path: Path, end: bytes) -> None:
    write(tmp_path, *((0.0, p) for p in two_a_second(0.0, "happy", "happy")))
    path = tmp_path / "predictions.jsonl"
    damaged = b'{"task": "emotion"}\n{"task": "emotion", "stream": "x", "time_s": "a"}\n'
    path.write_bytes(damaged + b'{"task": "sleep"}\n' + path.read_bytes() + end)
    record = read(tmp_path)
    assert (record.seconds, record.damaged) == ({"happy": 0.5}, 2)
    assert "2 lines could not be read" in lines(record)


def test_without_a_face_stream_there_is_nothing(tmp_path: Path) -> None:
    assert read_expressions(tmp_path) == []


def test_a_face_that_was_never_seen_is_a_report_too(tmp_path: Path) -> None:
    record = read(write(tmp_path, *((0.0, p) for p in two_a_second(0.0, NO, NO, NO))))
    show_expressions(tmp_path, [record])
    document = json.loads((tmp_path / "expression.json").read_text())
    assert (document["coverage"], document["unusable_s"]) == (0.0, {"no_face": 1.0})
    assert (tmp_path / "expression.png").read_bytes().startswith(b"\x89PNG")
    remove_report(tmp_path)
    assert not (tmp_path / "expression.json").exists()


@pytest.mark.parametrize(
    ("length_s", "unit"), [(6.0, "seconds"), (119.0, "seconds"), (120.0, "minutes"), (8e3, "hours")]
)
def test_the_picture_is_drawn_in_a_unit_that_suits_its_length(length_s: float, unit: str) -> None:
    assert _time_unit(length_s)[1] == unit


def test_one_change_is_said_in_the_singular(tmp_path: Path) -> None:
    predictions = two_a_second(0.0, "happy", "happy", "neutral")
    record = read(write(tmp_path, *((BEGIN_UNIX_S, p) for p in predictions)))
    assert lines(record)[0].startswith("1 change of expression, 60.00 a minute")


def test_a_recording_without_a_usable_face_is_drawn_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read(write(tmp_path, *((BEGIN_UNIX_S, p) for p in two_a_second(0.0, *[NO] * 9))))
    drawn: list[Any] = []
    monkeypatch.setattr(
        "edge_app.expression_picture.save_figure", lambda figure, path: drawn.append(figure) or path
    )
    draw_expressions(record, tmp_path)
    upper = drawn[0].axes[0]
    assert [text.get_text() for text in upper.texts] == ["no face usable for long enough to draw"]
    assert upper.get_legend() is None


def drawn_at(axes: Any, label: str, time_s: float) -> tuple[float, float] | None:
    """Return lower and upper edge of a filled area at a time; None: nothing is drawn there."""
    (area,) = (area for area in axes.collections if area.get_label() == label)
    times_s, heights = area.get_paths()[0].vertices.T
    sides = list(zip(times_s, times_s[1:], heights, heights[1:], strict=False))
    across = [
        low + (high - low) * (time_s - begin_s) / (end_s - begin_s)
        for begin_s, end_s, low, high in sides
        if min(begin_s, end_s) < time_s < max(begin_s, end_s)
    ]
    return (min(across), max(across)) if across else None


def test_the_picture_is_full_from_the_first_second_to_the_last_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times_s = [*(0.4 * k for k in range(20)), *(107.6 + 0.4 * k for k in range(5))]
    rows = [answer(time_s, "happy") for time_s in times_s]
    nothing = (("faces", 1.0), ("coverage_60_s", 0.0))  # the first answer speaks for no time
    bare = changed_to(rows[0], evidence=nothing)
    record = read(write(tmp_path, *((BEGIN_UNIX_S, p) for p in (bare, *rows[1:]))))
    drawn: list[Any] = []
    monkeypatch.setattr(
        "edge_app.expression_picture.save_figure", lambda figure, path: drawn.append(figure) or path
    )
    draw_expressions(record, tmp_path)
    shares, _, coverage = drawn[0].axes
    for time_s in (0.1, 0.9, 4.0, 7.5, 109.1):  # the evidence: happy 0.75, neutral 0.25
        assert drawn_at(shares, "happy", time_s) == pytest.approx((0.0, 0.75))
        assert drawn_at(shares, "neutral", time_s) == pytest.approx((0.75, 1.0))
    for time_s in (7.7, 60.0, 107.5):  # a silence
        assert drawn_at(shares, "neutral", time_s) == (0.0, 0.0)
    edges_s = coverage.collections[0].get_paths()[0].vertices[:, 0]
    assert (edges_s.min(), edges_s.max()) == pytest.approx((0.0, 109.2))


def test_the_document_and_the_picture(tmp_path: Path) -> None:
    predictions = two_a_second(0.0, *["happy"] * 200, *[NO] * 40, *["fear"] * 200)
    episodes = (episode(125.0, 130.0, BEGIN_UNIX_S), episode(140.0, 141.5, BEGIN_UNIX_S))
    write(tmp_path, *((BEGIN_UNIX_S, p) for p in predictions), episodes=episodes)
    record = read(tmp_path)
    document = json.loads(write_report(record, tmp_path).read_text())
    assert document["what"] == "facial expression"
    assert document["simulated"] is True
    assert document["seconds"]["fear"] == pytest.approx(100.0)
    assert [e["start_s"] for e in document["episodes"]["fear"]] == [125.0, 140.0]
    assert episode_table(record)[1] == ("fear", "2:20", "1.5 s", "90 %", "2:20")
    picture = draw_expressions(record, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_mode & 0o077 == 0


def test_nothing_that_a_person_reads_speaks_of_mood(tmp_path: Path) -> None:
    predictions = two_a_second(0.0, "happy", "fear", NO)
    record = read(write(tmp_path, *((0.0, p) for p in predictions)))
    words = " ".join([in_short(record), *lines(record), *last_minute(predictions[0])]).lower()
    assert "facial expression" in words
    assert "mood" not in words
    assert "diagnosis" in words  # that it is none
    assert "no diagnosis, no alarm" in words


def test_the_last_minute_in_words() -> None:
    assert last_minute(answer(1.0, "happy")) == [
        "60 s: happy 75 %, neutral 25 %",
        "usable face 50 %",
    ]
    collecting = answer(1.0, "happy", ("baseline_s", 12.4))
    assert last_minute(collecting)[2:] == ["resting baseline: 12 s collected"]
    told = answer(1.0, "happy", ("baseline_s", 60.0), ("change_fear", 1.26), ("change_happy", -2.0))
    assert last_minute(told)[2:] == ["from rest: fear +1.3"]
    assert last_minute(answer(1.0, NO, ("coverage_60_s", 0.0))) == [
        "60 s: no expression",
        "usable face 0 %",
    ]
    assert last_minute(answer(1.0, NO)) == []


@pytest.mark.parametrize(
    ("seconds_s", "text"), [(0.0, "0.0 s"), (59.9, "59.9 s"), (59.97, "1:00"), (3725.0, "1:02:05")]
)
def test_times_are_easily_read(seconds_s: float, text: str) -> None:
    assert clock(seconds_s) == text


def test_a_timeline_of_days_stays_small() -> None:
    timeline = Timeline()
    for second in range(100_000):
        timeline.add(Point(float(second), 1.0, {}))
    assert len(timeline.points) <= 4001
    assert timeline.points[0].at_s == 0.0
    times_s = [point.at_s for point in timeline.points]
    assert times_s[-1] == 99_999.0
    steps = {b - a for a, b in pairwise(times_s[:-1])}
    assert steps == {timeline.every_s}


def test_a_timeline_keeps_the_newest_point_and_both_sides_of_a_silence() -> None:
    timeline = Timeline()
    for at_s in (0.0, 0.4, 0.8, 1.2, 1.6, 100.0, 100.4):
        timeline.add(Point(at_s, 1.0, {}))
    assert [point.at_s for point in timeline.points] == [0.0, 1.2, 1.6, 100.0, 100.4]


def test_a_silence_of_hours_is_another_recording() -> None:
    time = RecordedTime()
    assert time.follow(0.0, 0.0)
    assert time.follow(3 * 3600.0, 0.0)
    assert not time.follow(6 * 3600.0 + 1.0, 0.0)


def test_a_report_on_photographs_says_that_its_seconds_count_pictures(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        grey = np.full((64, 64), 60 + number, np.uint8)
        assert cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), grey)
    told = {}
    for rate_hz in (None, 2.0):
        out = tmp_path / str(rate_hz)
        bundle = find_bundle("emotion")
        replay(ReplayRequest(tmp_path / "photos", "emotion", bundle, out, rate_hz=rate_hz))
        record = read(out)
        told[rate_hz] = [line for line in lines(record) if line.startswith("assumed: ")]
        assert not any("baseline" in line for line in lines(record))
        assert json.loads(write_report(record, out).read_text())["assumed"] == list(record.assumed)
    assert told[2.0] == []
    (line,) = told[None]
    assert "seconds count pictures" in line


def test_the_command_reports_on_a_run(tmp_path: Path) -> None:
    write(tmp_path, *((0.0, p) for p in two_a_second(0.0, "happy", "happy")))
    command = [sys.executable, "-m", "edge_app", "report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "facial expression" in done.stdout
    assert "No such" not in done.stdout
    assert (tmp_path / "expression.png").is_file()
