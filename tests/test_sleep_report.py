"""A night read back from its predictions: whole, under way, damaged, with holes."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import datetime
from pathlib import Path

import pytest

from edge_app.cli_sleep import show_nights
from edge_app.contracts import AbstainReason, Prediction
from edge_app.errors import ConfigError, SourceNotFoundError
from edge_app.gait_report import read_report
from edge_app.sinks.jsonl import to_json
from edge_app.sleep_lights import lights
from edge_app.sleep_picture import clock_ticks, draw_night
from edge_app.sleep_record import Night, read_nights
from edge_app.sleep_report import SleepReport, in_short, lines, report_on, unknown_stretches
from edge_app.sleep_statistics import STAGES
from edge_app.sleep_summary import write_report

LETTERS = {"W": "W", "1": "N1", "2": "N2", "3": "N3", "R": "R"}
ELEVEN_PM = datetime.fromisoformat("2026-03-01T23:00:00+00:00").timestamp()


def answer(letter: str, number: int, *, final: bool = True, sure: float = 0.8) -> Prediction:
    """An answer about an epoch; ``F`` is flat."""
    known = letter in LETTERS
    stage = LETTERS.get(letter)
    shares = tuple((s, sure if s == stage else (1 - sure) / 4) for s in STAGES) if known else ()
    end_s = 30.0 * (number + 1)
    return Prediction(
        task="sleep",
        stream="eeg",
        time_s=end_s + 60.0 * (final and known),
        start_s=end_s - 30.0,
        end_s=end_s,
        label=stage,
        probabilities=shares,
        quality=1.0,
        abstained=None if known else AbstainReason.FLAT,
        final=final,
        revision=int(final and known),
        model="m@0",
        simulated=False,
        evidence=(("epochs_seen", float(number)),),
    )


def told(text: str, **shift: float) -> list[Prediction]:
    """Provisional and final answers of a night; a space: nothing is said of that epoch."""
    said = []
    for number, letter in enumerate(text):
        if letter in LETTERS:
            said.append(answer(letter, number, final=False))
        if letter != " ":
            said.append(answer(letter, number))
    return [moved(p, **shift) for p in said]


def moved(prediction: Prediction, shift_s: float = 0.0) -> Prediction:
    return dataclasses.replace(
        prediction,
        time_s=prediction.time_s + shift_s,
        start_s=prediction.start_s + shift_s,
        end_s=prediction.end_s + shift_s,
    )


def write(folder: Path, said: list[Prediction], origin_s: float = ELEVEN_PM) -> Path:
    with (folder / "predictions.jsonl").open("a") as file:
        for prediction in said:
            file.write(to_json(prediction, origin_s + prediction.time_s) + "\n")
    return folder


def night_of(folder: Path) -> Night:
    (night,) = read_nights(folder)
    return night


def shown(night: Night) -> str:
    letters = {stage: letter for letter, stage in LETTERS.items()} | {None: "?"}
    return "".join(" " if a is None else letters[a.stage] for a in night.epochs)


def report(folder: Path, text: str, **options: str) -> SleepReport:
    return report_on(night_of(write(folder, told(text))), **options)


def test_a_night_is_read_back_as_it_was_told(tmp_path: Path) -> None:
    found = report(tmp_path, "WW1223FFRR2")
    night = found.night
    assert shown(night) == "WW1223??RR2"
    assert (night.start_unix_s, night.epoch_s, night.live) == (ELEVEN_PM, 30.0, False)
    assert found.reasons() == {"flat": 2}
    assert unknown_stretches(night) == [(6, 8, "flat")]
    assert found.statistics.tst_min == 3.5
    assert found.statistics.lower_bound
    assert found.delays_s() == (60.0, 60.0)
    assert found.warming_up() == 9  # the answered ones; none has ten minutes behind it


def test_passing_estimates_and_other_tasks_do_not_count(tmp_path: Path) -> None:
    passing = dataclasses.replace(moved(answer("R", 3, final=False), 5.0), passing=True, revision=0)
    other = dataclasses.replace(answer("W", 0), task="emotion", stream="face")
    write(tmp_path, [*told("WW22"), passing, other])
    assert shown(night_of(tmp_path)) == "WW22"


def test_a_revised_epoch_counts_as_revised_and_the_last_word_holds(tmp_path: Path) -> None:
    said = [answer("1", 0, final=False), answer("W", 0), *told("W222")[2:]]
    write(tmp_path, said)
    found = report_on(night_of(tmp_path))
    assert shown(found.night) == "W222"
    assert found.revision_rate() == 0.25


def test_the_delay_is_that_of_stages(tmp_path: Path) -> None:
    assert report(tmp_path, "FFFF22").delays_s() == (60.0, 60.0)  # flat is final at once


def test_a_half_written_last_line_and_damage_are_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path, told("W222"))
    whole = (tmp_path / "predictions.jsonl").read_bytes()
    torn = whole.splitlines(keepends=True)
    torn.insert(2, b'{"task": "sleep", "time": "never"}\n')
    torn.insert(4, b'{"task": "sleep", broken\n')
    torn[-1] = torn[-1][:40]  # the last epoch is provisional still
    (tmp_path / "predictions.jsonl").write_bytes(b"".join(torn))
    night = night_of(tmp_path)
    assert shown(night) == "W222"
    assert [a.final for a in night.epochs if a] == [True, True, True, False]
    assert night.damaged == 2
    assert any("provisional" in line for line in lines(report_on(night)))


def test_every_prefix_of_a_file_can_be_reported(tmp_path: Path) -> None:
    whole = (write(tmp_path, told("W1F2 3R")) / "predictions.jsonl").read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "predictions.jsonl").write_bytes(whole[:length])
        for night in read_nights(tmp_path):
            found = report_on(night)
            assert in_short(found)
            assert lines(found)


def test_a_replay_under_way_is_read_from_its_part(tmp_path: Path) -> None:
    write(tmp_path, told("W2"))
    (tmp_path / "predictions.jsonl").rename(tmp_path / "predictions.jsonl.part")
    assert shown(night_of(tmp_path)) == "W2"


def test_holes_and_restarts_keep_their_time(tmp_path: Path) -> None:
    # away for two epochs, back on a grid 17 s off; then a reboot: the clock begins anew
    write(tmp_path, told("WW22"))
    write(tmp_path, told("33", shift_s=4 * 30.0 + 77.0))
    write(tmp_path, told("RR", shift_s=5.0), origin_s=ELEVEN_PM + 330.0)
    night = night_of(tmp_path)
    assert shown(night) == "WW22   33  RR"
    assert report_on(night).reasons() == {"no_data": 5}
    assert report_on(night).statistics.unknown_min == 2.5


def test_a_machine_started_again_the_next_evening_begins_another_night(tmp_path: Path) -> None:
    # its clock had come less far the evening before: only the wall clock tells the two apart
    write(tmp_path, told("WW", shift_s=60.0))
    write(tmp_path, told("22", shift_s=600.0), origin_s=ELEVEN_PM + 86_400.0)
    night = night_of(tmp_path)
    assert (shown(night), night.earlier) == ("22", 1)
    assert night.start_unix_s == ELEVEN_PM + 86_400.0 + 600.0


def test_a_wall_clock_set_meanwhile_moves_the_night_and_cuts_nothing(tmp_path: Path) -> None:
    said = told("WW22")
    write(tmp_path, said[:4], origin_s=3600.0)  # a board without a clock battery
    write(tmp_path, said[4:])
    night = night_of(tmp_path)
    assert (shown(night), night.earlier, night.start_unix_s) == ("WW22", 0, ELEVEN_PM)


def test_a_grid_half_an_epoch_off_loses_no_epoch(tmp_path: Path) -> None:
    write(tmp_path, told("WW22"))
    write(tmp_path, told("333333", shift_s=4 * 30.0 + 15.0))
    assert shown(night_of(tmp_path)) == "WW22 333333"


def test_two_hours_without_an_electrode_are_one_night(tmp_path: Path) -> None:
    write(tmp_path, told("W2"))
    write(tmp_path, told("22", shift_s=2 * 3600.0))
    night = night_of(tmp_path)
    assert (len(night.epochs), night.earlier) == (242, 0)


def test_a_damaged_line_leaves_no_trace(tmp_path: Path) -> None:
    write(tmp_path, told("W2"))
    path = tmp_path / "predictions.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])
    for wrong in ({"time_s": 1e7}, {"time_s": float("nan")}, {"window": {"start_s": 3e3}}):
        with path.open("a") as file:
            file.write(json.dumps(last | wrong | {"label": "S4", "model": "other@1"}) + "\n")
    night = night_of(tmp_path)
    assert (shown(night), night.earlier, night.damaged) == ("W2", 0, 3)
    assert night.model == "m@0"


def test_another_evening_is_another_night(tmp_path: Path) -> None:
    write(tmp_path, told("WW"))
    write(tmp_path, told("22", shift_s=12 * 3600.0))
    night = night_of(tmp_path)
    assert (shown(night), night.earlier) == ("22", 1)
    assert night.start_unix_s == ELEVEN_PM + 12 * 3600.0


def test_the_share_of_sure_epochs_is_told_by_stage(tmp_path: Path) -> None:
    said = [answer("2", 0, sure=0.95), answer("2", 1, sure=0.6), answer("1", 2, sure=0.4)]
    found = report_on(night_of(write(tmp_path, said))).coverage()
    assert found["N2"] == {"0.5": 1.0, "0.7": 0.5, "0.9": 0.5}
    assert found["N1"] == {"0.5": 0.0, "0.7": 0.0, "0.9": 0.0}
    assert found["R"] == {"0.5": None, "0.7": None, "0.9": None}


def test_the_smoothed_hypnogram_stands_beside_the_raw_one(tmp_path: Path) -> None:
    found = report(tmp_path, "W2232222")
    assert found.smoothed == ("W", *["N2"] * 7)
    assert (found.statistics.transitions, found.smoothed_statistics.transitions) == (2, 0)
    written = json.loads(write_report(found, tmp_path).read_text())
    assert written["epochs"][3]["stage"] == "N3"
    assert written["epochs"][3]["smoothed"] == "N2"


@pytest.mark.parametrize(
    ("off", "on", "seconds"),
    [
        (None, None, (None, None)),
        ("22:45", "06:30", (-900.0, 7.5 * 3600.0)),
        ("23:10:30", "23:05", (630.0, 86_700.0)),
        ("0:30", None, (5400.0, None)),
        ("-60", "3600.5", (-60.0, 3600.5)),
        ("22.45s", "3600 s", (22.45, 3600.0)),
    ],
)
def test_lights_are_a_time_of_day_or_seconds(
    tmp_path: Path, off: str | None, on: str | None, seconds: tuple[float | None, float | None]
) -> None:
    assert lights(night_of(write(tmp_path, told("W"))), off, on) == seconds


def test_of_a_record_of_days_the_lights_choose_the_last_night(tmp_path: Path) -> None:
    days = [moved(answer("W", 0), 3600.0 * hour) for hour in range(0, 63, 2)]  # until 13:00
    night = night_of(write(tmp_path, days))
    assert night.earlier == 0
    assert lights(night, "22:00", "07:00") == (47 * 3600.0, 56 * 3600.0)
    # put on in the morning, hours before the night that is meant
    (tmp_path / "morning").mkdir()
    write(tmp_path / "morning", days[:12], origin_s=ELEVEN_PM + 11 * 3600.0)
    assert lights(night_of(tmp_path / "morning"), "21:30", None) == (11.5 * 3600.0, None)


def test_one_simulated_epoch_makes_the_night_simulated(tmp_path: Path) -> None:
    first, *rest = told("W222")
    night = night_of(write(tmp_path, [dataclasses.replace(first, simulated=True), *rest]))
    assert any(line.startswith("SIMULATED") for line in lines(report_on(night)))


def test_lights_on_keep_to_the_clock_on_the_wall_when_it_is_put_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:  # 2026-03-29, 2 h becomes 3 h: from 23:00 to 07:00 are seven hours
        start_s = datetime.fromisoformat("2026-03-28T22:00:00+00:00").timestamp()
        night = Night("eeg", "m@0", simulated=False, live=True, start_unix_s=start_s, epoch_s=30.0)
        assert lights(night, "23:00", "07:00") == (0.0, 7 * 3600.0)
        night.live = False  # a recording's own clock is not put forward
        assert lights(night, "22:00", "06:00") == (0.0, 8 * 3600.0)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["25:00", "soon", "nan", "1e9", "22h", "22.45"])
def test_lights_that_mean_nothing_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="--lights-off"):
        lights(night_of(write(tmp_path, told("W"))), text, None)


@pytest.mark.parametrize("text", ["22.45", "6.30", "22,45"])
def test_what_could_be_a_time_of_day_or_seconds_is_asked_about(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"Write (22:45|6:30), or (22\.45|6\.30)s for seconds"):
        lights(night_of(write(tmp_path, told("W"))), None, text)


@pytest.mark.parametrize(
    ("off", "on", "problem"),
    [
        ("23:10", None, "lights off is after the end"),
        ("300s", "330s", "lights off is after the end"),
        (None, "-30", "lights on is before the start"),
        ("120", "60", "lights on is before lights off"),
        ("61", "62", "no epoch is between"),
    ],
)
def test_lights_without_an_epoch_between_are_refused(
    tmp_path: Path, off: str | None, on: str | None, problem: str
) -> None:
    night = night_of(write(tmp_path, told("WW222222")))
    with pytest.raises(ConfigError, match=problem):
        report_on(night, off=off, on=on)


def test_what_was_taken_for_the_lights_is_said(tmp_path: Path) -> None:
    night = night_of(write(tmp_path, told("WW222222")))  # 23:00 to 23:04

    def said(off: str | None, on: str | None) -> str:
        return "\n".join(lines(report_on(night, off=off, on=on)))

    both = said("22:45", "23:03")
    assert "off 22:45:00 (15.0 min before the start), lights on 23:03:00 (3.0 min after" in both
    assert "unknown, not recorded: 30 epochs" in both
    assert "missing" not in both
    assert "lights on is missing" in said("60", None)
    assert "lights off is missing" in said(None, "23:03")
    assert "lights on is 446.0 min after the last epoch" in said("60", "6:30")
    assert "lights off not given, lights on not given" in said(None, None)


def test_shares_are_of_the_time_between_the_lights(tmp_path: Path) -> None:
    found = report(tmp_path, "F1FF222W1", off="60", on="210")
    assert found.reasons() == {"flat": 2}
    assert found.coverage()["N1"]["0.5"] is None
    assert found.warming_up() == 3
    assert found.statistics.unknown_min == 1.0


def test_the_time_axis_has_round_times_of_day(tmp_path: Path) -> None:
    night = night_of(write(tmp_path, told("2" * 960), origin_s=ELEVEN_PM - 900.0))  # 22:45, 8 h
    hours, names = clock_ticks(night)
    assert names == ["23:00", "00:00", "01:00", "02:00", "03:00", "04:00", "05:00", "06:00"]
    assert hours == pytest.approx([0.25 + n for n in range(8)])


def test_why_a_folder_cannot_be_reported_on(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for folder, problem in (
        (tmp_path / "nowhere", "no such folder"),
        (other, "neither sleep nor gait"),
        (write(tmp_path, []), "no sleep epoch yet: the first comes 30 s after the EEG"),
        (tmp_path / "predictions.jsonl", "a file, not a folder"),
    ):
        assert read_nights(folder) == []
        with pytest.raises(SourceNotFoundError, match=problem):
            read_report(folder)


def test_a_recording_without_a_date_has_no_time_of_day(tmp_path: Path) -> None:
    night = night_of(write(tmp_path, told("W2"), origin_s=0.0))
    with pytest.raises(ConfigError, match="when it began"):
        lights(night, "22:00", None)
    assert json.loads(write_report(report_on(night), tmp_path).read_text())["start"] is None


@pytest.mark.parametrize("text", ["W", "FFFF", "WWWW", "W 2RR3 1F", "2" * 200 + "F" * 30 + "R"])
def test_any_night_can_be_drawn_and_written(tmp_path: Path, text: str) -> None:
    pytest.importorskip("matplotlib")
    found = report(tmp_path, text, off="22:59", on="0:40")
    picture = draw_night(found, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    document = json.loads(write_report(found, tmp_path).read_text())
    assert len(document["epochs"]) == len(text)
    assert [row["reason"] for row in document["epochs"]].count("no_data") == text.count(" ")


def test_a_folder_without_sleep_has_no_nights(tmp_path: Path) -> None:
    assert read_nights(tmp_path) == []
    (tmp_path / "predictions.jsonl").write_text('{"task": "emotion"}\n')
    assert read_nights(tmp_path) == []


def test_the_report_prints_tables_and_leaves_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    second = [dataclasses.replace(p, stream="eeg 2/b") for p in told("WWWW")]
    write(tmp_path, [*told("W1223FRR2"), *second])
    show_nights(tmp_path, read_nights(tmp_path), "22:59", None)
    printed = " ".join(capsys.readouterr().out.split())
    assert "REM latency from sleep onset (AASM)" in printed
    assert "flat: 1 epoch" in printed
    assert "1 epochs" not in printed
    assert "lights off 22:59:00 (1.0 min before the start), lights on not given" in printed
    names = {path.name for path in tmp_path.iterdir()}
    assert {"sleep_eeg.json", "sleep_eeg-2-b.json", "sleep_eeg.png"} < names
