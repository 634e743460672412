"""The calmer hypnogram: what goes, what stays, and that it only waits one epoch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_app.sleep_smoothing import DELAY_EPOCHS, without_flicker
from edge_app.sleep_statistics import STAGES

LETTERS = {"W": "W", "1": "N1", "2": "N2", "3": "N3", "R": "R", "?": None}
NIGHTS = st.lists(st.sampled_from([*STAGES, None]), max_size=40)


def calm(text: str) -> str:
    names = {stage: letter for letter, stage in LETTERS.items()}
    return "".join(names[stage] for stage in without_flicker([LETTERS[c] for c in text]))


def test_a_single_epoch_between_two_of_one_other_stage_gives_way() -> None:
    assert calm("22322") == "22222"
    assert calm("2R2R2R22") == "22222222"
    assert calm("W1WW") == "WWWW"


def test_where_the_neighbours_differ_it_stays() -> None:
    assert calm("221RR") == "221RR"
    assert calm("W323W") == "W333W"
    assert calm("W12W") == "W12W"
    assert calm("W1233") == "W1233"


def test_an_awakening_does_not_give_way() -> None:
    assert calm("22W22") == "22W22"
    assert calm("2W3W2") == "2WWW2"


def test_unknown_stays_unknown_and_confirms_nothing() -> None:
    assert calm("2?2") == "2?2"
    assert calm("223?33") == "223?33"
    assert calm("?3?") == "?3?"


def test_the_newest_epoch_waits_for_the_next() -> None:
    assert calm("223") == "223"
    assert calm("2233") == "2233"
    assert calm("2232") == "2222"
    assert calm("") == ""


@given(NIGHTS, NIGHTS)
def test_only_one_epoch_of_future_matters(past: list, future: list) -> None:
    whole = without_flicker(past + future)
    settled = max(0, len(past) - DELAY_EPOCHS)
    assert without_flicker(past)[:settled] == whole[:settled]
    for before, after in zip(past + future, whole, strict=True):
        assert before == after or before not in ("W", None)
        assert (before is None) == (after is None)


@given(NIGHTS)
def test_what_changes_takes_the_stage_of_both_raw_neighbours(night: list) -> None:
    for number, (raw, shown) in enumerate(zip(night, without_flicker(night), strict=True)):
        if shown != raw:
            assert night[number - 1 : number + 2] == [shown, raw, shown]
