"""Sleep statistics: made nights counted by hand, real nights against YASA."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_app.errors import ConfigError
from edge_app.sleep_statistics import STAGES, sleep_statistics

LETTERS = {"W": "W", "1": "N1", "2": "N2", "3": "N3", "4": "N3", "R": "R", "M": None, "?": None}


def night(text: str) -> list[str | None]:
    return [LETTERS[letter] for letter in text]


def test_a_night_counted_by_hand() -> None:
    # 2 min W | N1 | 1 min N2 | 1 min W | 1.5 min R | N3 | 1 min W
    found = sleep_statistics(night("WWWW1" + "22" + "WW" + "RRR" + "3" + "WW"))
    assert (found.tib_min, found.tib_is_recording) == (7.5, True)
    assert (found.spt_min, found.tst_min) == (4.5, 3.5)
    assert found.se_percent == pytest.approx(100 * 3.5 / 7.5)
    assert found.sme_percent == pytest.approx(100 * 3.5 / 4.5)
    assert (found.sol_min, found.waso_min, found.waso_in_spt_min) == (2.0, 2.0, 1.0)
    assert (found.rem_latency_min, found.rem_latency_lights_off_min) == (2.5, 4.5)
    assert found.stage_min == {"W": 4.0, "N1": 0.5, "N2": 1.0, "N3": 0.5, "R": 1.5}
    assert found.stage_percent == pytest.approx(
        {"N1": 100 / 7, "N2": 200 / 7, "N3": 100 / 7, "R": 300 / 7}
    )
    # N1-N2, N2-W, W-R, R-N3 within the sleep period; W-N1 and N3-W beside it
    assert found.transitions == 4
    assert found.transitions_per_hour_tst == pytest.approx(4 / (3.5 / 60))
    assert found.transitions_per_hour_spt == pytest.approx(4 / (4.5 / 60))
    assert found.changes_per_hour == pytest.approx(6 / (14 * 0.5 / 60))
    assert (found.unknown_min, found.lower_bound, found.onset_uncertain) == (0.0, False, False)


def test_lights_decide_what_counts() -> None:
    stages = night("11WW" + "2" * 16 + "WW" + "RR")  # 12 min; lights off after 1 min
    found = sleep_statistics(stages, lights_off_s=60.0, lights_on_s=660.0)
    assert (found.tib_min, found.tib_is_recording) == (10.0, False)
    assert (found.sol_min, found.tst_min, found.waso_min, found.waso_in_spt_min) == (1, 8, 1, 0)
    assert found.rem_latency_min is None
    # lights off 20 s into an epoch: its middle is not in bed, the next one is the first
    odd = sleep_statistics(stages, lights_off_s=80.0)
    assert (odd.sol_min, odd.tib_min) == (0.5, 10.5)
    assert odd.stage_min["W"] == 0.5 + 1.0
    # not yet morning: lights on in the future is the night so far, and it says so
    so_far = sleep_statistics(stages, lights_off_s=0.0, lights_on_s=9e9)
    assert (so_far.tib_min, so_far.tib_is_recording) == (12.0, True)


def test_a_night_that_ended_before_the_recording_began_is_unknown() -> None:
    found = sleep_statistics(night("22"), lights_off_s=-120.0, lights_on_s=-60.0)
    assert (found.tib_min, found.unknown_min, found.tst_min) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(("off_s", "on_s"), [(10.0, 3620.0), (10.0, 20.0), (14.9, 44.9)])
def test_nobody_sleeps_longer_than_in_bed(off_s: float, on_s: float) -> None:
    found = sleep_statistics(["N2"] * 200, lights_off_s=off_s, lights_on_s=on_s)
    assert found.se_percent == 100.0
    assert found.tst_min == found.tib_min


def test_unknown_time_before_the_first_rem_is_told() -> None:
    assert sleep_statistics(night("W2??2R")).rem_uncertain
    assert not sleep_statistics(night("?W22R?")).rem_uncertain
    assert not sleep_statistics(night("W2??2")).rem_uncertain  # no REM: nothing to be unsure of


def test_a_recording_that_begins_after_lights_off_is_unknown_until_then() -> None:
    found = sleep_statistics(night("2222"), lights_off_s=-180.0)
    assert (found.tib_min, found.sol_min, found.unknown_min) == (5.0, 3.0, 3.0)
    assert found.lower_bound
    assert found.onset_uncertain


def test_unknown_counts_as_nothing() -> None:
    found = sleep_statistics(night("W?2?2??W"))
    assert (found.tst_min, found.spt_min, found.waso_min, found.unknown_min) == (1, 1.5, 0.5, 2)
    assert (found.transitions, found.changes_per_hour) == (0, None)  # no known neighbours
    assert found.lower_bound
    assert found.onset_uncertain
    one_in_twenty = sleep_statistics(night("W" + "2" * 18 + "?"))
    assert not one_in_twenty.lower_bound  # 5 % is not more than 5 %
    assert not one_in_twenty.onset_uncertain


@pytest.mark.parametrize("text", ["", "WWWW", "????"])
def test_a_night_without_sleep_has_no_latencies(text: str) -> None:
    found = sleep_statistics(night(text))
    assert (found.tst_min, found.spt_min, found.transitions) == (0, 0, 0)
    for name in ("sol_min", "waso_min", "waso_in_spt_min", "rem_latency_min", "sme_percent"):
        assert getattr(found, name) is None
    assert found.stage_percent is None
    assert found.se_percent == (0.0 if text else None)
    assert found.lower_bound == (text == "????")


def test_without_rem_its_latency_is_unknown_not_zero() -> None:
    found = sleep_statistics(night("W22"))
    assert found.rem_latency_min is None
    assert found.rem_latency_lights_off_min is None
    assert found.stage_percent == {"N1": 0.0, "N2": 100.0, "N3": 0.0, "R": 0.0}


def test_wrong_names_and_times_are_refused() -> None:
    with pytest.raises(ConfigError, match="REM"):
        sleep_statistics(["W", "REM"])
    with pytest.raises(ConfigError, match=r"lights off at 60 s.*--lights-off"):
        sleep_statistics(["W"] * 9, lights_off_s=60.0, lights_on_s=30.0)
    with pytest.raises(ConfigError, match=r"270 s or earlier.*ask later"):
        sleep_statistics(["W"] * 9, lights_off_s=271.0)


@given(
    st.lists(st.sampled_from([*STAGES, None]), max_size=60),
    st.floats(-100, 2000),
    st.floats(0, 2000),
)
def test_every_prefix_of_every_night_adds_up(
    stages: list[str | None], lights_off_s: float, in_bed_s: float
) -> None:
    found = sleep_statistics(stages)
    assert found.tib_min == pytest.approx(sum(found.stage_min.values()) + found.unknown_min)
    assert found.tst_min == pytest.approx(
        sum(m for stage, m in found.stage_min.items() if stage != "W")
    )
    assert found.tst_min <= found.spt_min <= found.tib_min
    if found.waso_min is not None:
        assert found.waso_in_spt_min <= found.waso_min <= found.stage_min["W"]
    off_s = min(lights_off_s, 30.0 * len(stages))
    cut = sleep_statistics(stages, lights_off_s=off_s, lights_on_s=off_s + in_bed_s)
    assert cut.tst_min <= min(found.tst_min, cut.tib_min)
    assert cut.tib_min == pytest.approx(sum(cut.stage_min.values()) + cut.unknown_min)
    assert cut.tib_min == pytest.approx(
        max(0.0, min(in_bed_s, 30.0 * len(stages) - off_s)) / 60.0, abs=0.5
    )


def real_nights(data_dir: Path) -> list[list[str | None]]:
    """The expert hypnograms from lights off to lights on, on the 30-s grid."""
    nights = []
    for path in sorted((data_dir / "sleep" / "hypnograms").glob("SC4*.json")):
        record = json.loads(path.read_text())
        start = datetime.fromisoformat(record["hypnogram_start"])
        off, on = (_epoch_at(start, record[name]) for name in ("lights_off", "lights_on"))
        nights.append(night(record["stages"])[off:on])
    return nights


def _epoch_at(start: datetime, clock: str) -> int:
    time = datetime.combine(start.date(), datetime.strptime(clock, "%H:%M:%S").time())
    if time < start:
        time += timedelta(days=1)
    return round((time - start).total_seconds() / 30)


def test_rem_latency_from_onset_and_from_lights_off_on_real_nights(data_dir: Path) -> None:
    found = [sleep_statistics(stages) for stages in real_nights(data_dir)]
    assert len(found) == 29
    # the medians that the reference for developers gives
    assert median(s.rem_latency_min for s in found) == 81.0
    assert median(s.rem_latency_lights_off_min for s in found) == 95.5
    apart = [s.rem_latency_lights_off_min - s.rem_latency_min for s in found]
    assert max(apart) == 107.5
    for statistics, gap in zip(found, apart, strict=True):
        assert gap == statistics.sol_min


SAME = {
    "TIB": "tib_min",
    "SPT": "spt_min",
    "TST": "tst_min",
    "SE": "se_percent",
    "SME": "sme_percent",
    "SOL": "sol_min",
    "WASO": "waso_in_spt_min",  # YASA's WASO ends with the last sleep epoch; AASM's at lights on
    "Lat_REM": "rem_latency_lights_off_min",  # YASA counts from the start, AASM from sleep onset
}
"""YASA's names and ours for the same thing. YASA has no transitions an hour: its SFI counts only
changes from sleep to W; and no bound for unknown epochs. Without sleep its SME, SOL, WASO and
latencies are NaN where ours are None."""


def test_real_nights_equal_yasa(data_dir: Path) -> None:
    yasa = pytest.importorskip("yasa", reason="YASA is not installed (workstation only)")
    names = {None: "UNS", "W": "WAKE", "R": "REM"}
    nights = [*real_nights(data_dir), night("WWWW"), night("W22W"), night("?1RW?2WW?")]
    for stages in nights:
        theirs = yasa.Hypnogram([names.get(s, s) for s in stages]).sleep_statistics()
        ours = sleep_statistics(stages)
        for name, our_name in SAME.items():
            value = getattr(ours, our_name)
            expected = pytest.approx(theirs[name], abs=1e-3, nan_ok=True)
            assert (float("nan") if value is None else value) == expected, name
        for stage in STAGES:
            assert ours.stage_min[stage] == pytest.approx(theirs[names.get(stage, stage)])
            if stage != "W" and ours.stage_percent is not None:
                share = theirs[f"%{names.get(stage, stage)}"]
                assert ours.stage_percent[stage] == pytest.approx(share, abs=1e-3)
        if ours.rem_latency_min is not None:
            assert ours.rem_latency_min == pytest.approx(theirs["Lat_REM"] - theirs["SOL"])
