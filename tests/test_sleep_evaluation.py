"""Figures of staged nights against scikit-learn and counts made by hand; scorers' agreement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.errors import ContractError, DatasetError
from trainer.sleep_evaluation import ceiling
from trainer.sleep_evaluation.agreement import agreement, confusion
from trainer.sleep_evaluation.bedside import within_half_an_hour_of_sleep
from trainer.sleep_evaluation.comparison import gain
from trainer.sleep_evaluation.confidence import risk_coverage
from trainer.sleep_evaluation.figures import figures_of, sleep_figures
from trainer.sleep_evaluation.learnt import learnt_remarks
from trainer.sleep_evaluation.night_answers import (
    NO_ANSWER,
    NightAnswers,
    nights_by_delay,
    nights_of_split,
)
from trainer.sleep_evaluation.timing import (
    changes_per_hour,
    detection_delays_s,
    revision_rate,
    time_to_detect,
)

W, N1, N2, N3, R = range(5)


def sure(answers: list[int], p: float = 0.8) -> npt.NDArray[np.float32]:
    """Probabilities with ``p`` on each answer; a row of NaN where it is negative."""
    rows = np.full((len(answers), 5), (1 - p) / 4, np.float32)
    for row, answer in zip(rows, answers, strict=True):
        row[answer] = p
        if answer < 0:
            row[:] = np.nan
    return rows


def night(stages: list[int], answers: list[int], **more: object) -> NightAnswers:
    named = {"night": "SC4001E0", "subject": "00", **more}
    return NightAnswers(stages=np.array(stages, np.int64), probabilities=sure(answers), **named)


def random_night(seed: int, n: int = 300, subject: str = "00") -> NightAnswers:
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.integers(0, 5, n // 5 + 1), 5)[:n]
    stages[rng.random(n) < 0.05] = -1
    probabilities = rng.dirichlet(np.ones(5), n)
    probabilities[np.arange(n), np.maximum(stages, 0)] += 0.6
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[rng.random(n) < 0.1] = np.nan
    return NightAnswers(f"night{seed}", subject, stages, probabilities.astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_pooled_figures_equal_scikit_learn(seed: int) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    made = random_night(seed)
    found = figures_of([made], 0, resamples=2)
    counts = (made.stages >= 0) & ~np.isnan(made.probabilities[:, 0])
    truth = made.stages[counts]
    said = made.probabilities[counts]
    answers = said.argmax(axis=1)
    assert found["n"] == len(truth) < (made.stages >= 0).sum()
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, answers))
    assert found["kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, answers))
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(truth, answers)
    assert found["macro_f1"] == pytest.approx(f1.mean())
    assert found["sensitivity"] == pytest.approx(recall.mean())
    matrices = sklearn_metrics.multilabel_confusion_matrix(truth, answers)
    specificity = [m[0, 0] / (m[0, 0] + m[0, 1]) for m in matrices]
    assert found["specificity"] == pytest.approx(np.mean(specificity))
    for i, row in enumerate(found["per_class"].values()):
        assert row["precision"] == pytest.approx(precision[i])
        assert row["sensitivity"] == row["recall"] == pytest.approx(recall[i])
        assert row["f1"] == pytest.approx(f1[i])
        assert row["specificity"] == pytest.approx(specificity[i])
        assert row["support"] == support[i]
    squares = (said - np.eye(5)[truth]) ** 2
    assert found["brier"] == pytest.approx(squares.sum(axis=1).mean(), rel=1e-6)


def test_the_expert_as_model_is_perfect_and_a_constant_is_chance() -> None:
    stages = [W, W, N1, N2, N2, N3, R, R]
    perfect = figures_of([night(stages, stages)], 0, resamples=2)
    assert (perfect["accuracy"], perfect["kappa"], perfect["macro_f1"]) == (1.0, 1.0, 1.0)
    assert perfect["changes_per_hour"]["model"] == perfect["changes_per_hour"]["expert"]
    constant = figures_of([night(stages, [N2] * 8)], 0, resamples=2)
    assert constant["kappa"] == 0.0
    assert constant["accuracy"] == 0.25
    assert constant["per_class"]["N2"]["specificity"] == 0.0


def test_a_night_without_n3_and_rem_has_its_figures_over_the_stages_that_occur() -> None:
    found = agreement(confusion(night([W, W, N1, N2], [W, N1, N1, N2])))
    # F1: W 2/3, N1 2/3, N2 1; N3 and R occur nowhere
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["sensitivity"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert found["per_class"]["N3"]["sensitivity"] is None
    assert found["per_class"]["N3"]["specificity"] == 1.0
    assert found["per_class"]["R"]["support"] == 0


def test_epochs_without_answer_count_apart_and_as_wrong() -> None:
    reasons = (None, "flat", "flat", None, None, None)
    made = night([W, W, W, N2, N2, -1], [W, -1, -1, N2, W, N2], reasons=reasons)
    found = figures_of([made], 0, resamples=2)
    assert made.answers.tolist() == [W, NO_ANSWER, NO_ANSWER, N2, W, N2]
    assert found["n"] == 3
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["abstained"]["n"] == 2
    assert found["abstained"]["share"] == pytest.approx(2 / 5)
    assert found["abstained"]["per_class"]["W"] == pytest.approx(2 / 3)
    assert found["abstained"]["per_class"]["N2"] == 0.0
    assert found["abstained"]["per_class"]["R"] is None
    assert found["abstained"]["reasons"] == {"flat": 2}
    wrong = found["with_abstentions_wrong"]
    assert (wrong["n"], wrong["accuracy"]) == (5, pytest.approx(2 / 5))
    # W: 1 hit of 3 true, 2 answered; N2: 1 hit of 2 true, 1 answered
    assert wrong["macro_f1"] == pytest.approx((2 / 5 + 2 / 3) / 2)
    by_chance = (3 * 2 + 2 * 1) / 25
    assert wrong["kappa"] == pytest.approx((2 / 5 - by_chance) / (1 - by_chance))


def test_no_answer_at_all_gives_no_figures_but_json() -> None:
    found = sleep_figures({0: [night([W, N2], [-1, -1])]})
    json.dumps(found, allow_nan=False)
    assert (found["n"], found["accuracy"], found["kappa"]) == (0, None, None)
    assert found["with_abstentions_wrong"]["accuracy"] == 0.0
    assert found["abstained"]["reasons"] == {"unknown": 2}


def test_nothing_scored_is_an_error() -> None:
    with pytest.raises(DatasetError, match="named no stage"):
        sleep_figures({0: [night([-1, -1], [W, W])]})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"stages": np.array([0, 7])}, "unknown stages"),
        ({"stages": np.array([0])}, "same epochs"),
        ({"reasons": ("flat",)}, "same epochs"),
        ({"probabilities": np.float32([[np.nan, 1, 0, 0, 0]] * 2)}, "whole or not at all"),
    ],
)
def test_answers_that_do_not_fit_are_refused(change: dict, match: str) -> None:
    right = {
        "night": "a",
        "subject": "b",
        "stages": np.array([0, 1]),
        "probabilities": sure([0, 1]),
    }
    with pytest.raises(ContractError, match=match):
        NightAnswers(**{**right, **change})


def test_nights_give_mean_spread_and_worst() -> None:
    nights = [
        night([W, W, N2, N2], [W, W, N2, N2], night="good"),
        night([W, W, N2, N2], [W, N2, N2, W], night="bad", subject="01"),
    ]
    found = figures_of(nights, 0, resamples=50)
    over = found["nights"]["kappa"]
    assert [row["kappa"] for row in found["per_night"]] == [1.0, 0.0]
    assert (over["mean"], over["worst"], over["worst_night"]) == (0.5, 0.0, "bad")
    assert over["sd"] == pytest.approx(np.sqrt(0.5))
    assert found["accuracy"] == 0.75
    assert found["intervals"]["accuracy"] == [0.5, 1.0]  # both people are one of the two
    assert found["subjects"] == 2


def test_one_person_has_no_interval_and_one_night_no_spread() -> None:
    found = figures_of([night([W, N2], [W, N2])], 0)
    assert found["intervals"]["kappa"] is None
    assert found["nights"]["kappa"]["sd"] is None


def test_changes_per_hour_count_neighbours_scored_and_answered() -> None:
    # pairs that count: 0-1 (both change), 4-5 (nobody), 5-6 (the model alone)
    made = night([W, N1, -1, N1, N2, N2, N2], [W, N2, N2, -1, N2, N2, R])
    found = changes_per_hour([made])
    hours = 3 * 30 / 3600
    assert found["model"] == pytest.approx(2 / hours)
    assert found["expert"] == pytest.approx(1 / hours)


def test_nothing_is_said_of_time_where_epochs_are_missing_between_rows() -> None:
    apart = night([W, N1, N2], [W, N1, N2], contiguous=False)
    assert changes_per_hour([apart]) == {"model": None, "expert": None}
    assert time_to_detect([apart], 0)["changes"] == 0


def test_time_to_detect_by_hand() -> None:
    stages = [W, W, N2, N2, N2, N1, R, R]
    answers = [W, W, W, N2, N2, R, R, R]
    # N2 begins at 2 and is first said of epoch 3: two epochs; N1 is missed; R at once: one epoch
    assert detection_delays_s(night(stages, answers), 0).tolist() == [60.0, np.inf, 30.0]
    found = time_to_detect([night(stages, answers)], 2)
    assert found["changes"] == 3
    assert found["missed_share"] == pytest.approx(1 / 3)
    assert found["median_s"] == 45.0 + 60.0


def test_revision_rate_counts_epochs_answered_both_times() -> None:
    early = night([W] * 4, [W, N1, N2, -1])
    late = night([W] * 4, [W, N1, N1, N1])
    assert revision_rate([early], [late]) == pytest.approx(1 / 3)


def test_a_gain_is_paired_over_people() -> None:
    rng = np.random.default_rng(0)
    nights: dict[int, list[NightAnswers]] = {0: [], 1: []}
    for person in range(6):
        stages = rng.integers(0, 5, 60)
        for way, wrong in ((0, 20 + person), (1, 10)):
            answers = stages.copy()
            answers[:wrong] = (answers[:wrong] + 1) % 5
            made = night(stages.tolist(), answers.tolist(), night=f"n{person}", subject=f"{person}")
            nights[way].append(made)
    found = gain(nights[0], nights[1], resamples=200)
    assert found["accuracy"]["value"] == pytest.approx((10 + 2.5) / 60)
    assert 10 / 60 <= found["accuracy"]["low"] < found["accuracy"]["high"] <= 15 / 60
    assert found["accuracy"]["p"] == pytest.approx(2 / 2**6)  # all six differences point one way
    same = gain(nights[0], nights[0], resamples=5)
    assert same["kappa"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": None}
    assert gain(nights[0][:1], nights[1][:1], resamples=5)["kappa"]["low"] is None
    with pytest.raises(ContractError, match="same nights"):
        gain(nights[0], nights[1][::-1])


def test_streamed_answers_are_sorted_by_how_long_they_waited() -> None:
    n = 4
    moments = np.zeros((n, 3, 5), np.float32)
    for t in range(n):
        for k in range(min(t, 2) + 1):  # what epoch t makes of epoch t - k, marked by its place
            moments[t, k] = [t - k, t, k, 0, 1]
    nights = nights_by_delay(["a"], ["s"], [np.zeros(n, np.int64)], [moments])
    rows = {k: nights[k][0].probabilities[:, :2].tolist() for k in nights}
    assert rows[0] == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert rows[1] == [[0, 1], [1, 2], [2, 3], [3, 3]]  # the last has no later one
    assert rows[2] == [[0, 2], [1, 3], [2, 3], [3, 3]]


def test_padding_of_a_split_is_cut_off() -> None:
    targets = np.full((2, 5, 2), -1)
    targets[0, :3, 0] = [W, -1, N2]
    targets[1, :5, 0] = N1
    moments = np.full((2, 5, 2, 5), 0.2, np.float32)
    nights = nights_of_split(("a", "b"), ("s", "t"), targets, moments)
    assert [len(night.stages) for night in nights[1]] == [3, 5]
    assert nights[0][0].stages.tolist() == [W, -1, N2]
    assert (nights[0][1].night, nights[0][1].subject) == ("b", "t")


def test_figures_by_delay_begin_with_what_is_said_at_once() -> None:
    now = night([W, N1, N2, R], [W, W, N2, R])
    later = night([W, N1, N2, R], [W, N1, N2, R])
    found = sleep_figures({0: [now], 2: [later]}, ceiling={"made": "up"}, resamples=2)
    json.dumps(found, allow_nan=False)
    assert found["accuracy"] == found["delays"]["0"]["accuracy"] == 0.75
    assert found["delays"]["2"]["accuracy"] == 1.0
    assert found["delays"]["2"]["delay_s"] == 60.0
    assert found["delays"]["2"]["revision_rate"] == 0.25
    assert found["human_ceiling"] == {"made": "up"}
    for key in ("accuracy", "kappa", "macro_f1", "per_class", "per_night", "n"):
        assert key in found


def test_risk_falls_and_n1_goes_first_when_it_is_the_least_sure() -> None:
    stages = np.array([N1] * 2 + [N2] * 8)
    probabilities = np.concatenate([sure([N2] * 2, 0.4), sure([N2] * 8, 0.9)])
    rows = risk_coverage([NightAnswers("a", "s", stages, probabilities)])
    by_coverage = {row["coverage"]: row for row in rows}
    assert by_coverage[1.0]["accuracy"] == 0.8
    assert by_coverage[0.8]["accuracy"] == 1.0
    assert by_coverage[0.8]["coverage_per_class"] == {
        "W": None, "N1": 0.0, "N2": 1.0, "N3": None, "R": None,
    }  # fmt: skip
    assert by_coverage[0.8]["threshold"] == pytest.approx(0.9)


def test_reliability_by_hand() -> None:
    stages = np.array([W, W, W, N1])
    probabilities = np.concatenate([sure([W] * 2, 0.95), sure([W] * 2, 0.55)])
    found = figures_of([NightAnswers("a", "s", stages, probabilities)], 0, resamples=2)
    low, high = found["reliability"]
    assert (low["n"], low["true"], low["said"]) == (2, 0.5, pytest.approx(0.55))
    assert (high["n"], high["true"], high["said"]) == (2, 1.0, pytest.approx(0.95))
    assert found["ece"] == pytest.approx(0.5 * 0.05 + 0.5 * 0.05, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=40).filter(
        lambda rows: any(stage >= 0 for stage, _ in rows)
    )
)
def test_any_night_gives_figures_that_json_can_hold(rows: list[tuple[int, int]]) -> None:
    stages, answers = (list(column) for column in zip(*rows, strict=True))
    made = night(stages, answers)
    found = sleep_figures({0: [made], 1: [made]}, resamples=3)
    json.dumps(found, allow_nan=False)
    scored = sum(stage >= 0 for stage in stages)
    assert found["n"] + found["abstained"]["n"] == scored
    assert found["delays"]["1"]["revision_rate"] in (0.0, None)


def test_the_margin_around_sleep_is_half_an_hour() -> None:
    stages = [W] * 100 + [N2] * 5 + [-1] + [R] * 5 + [W] * 70
    cut = within_half_an_hour_of_sleep(night(stages, [W] * len(stages), reasons=(None,) * 181))
    assert len(cut.stages) == 60 + 11 + 60
    assert cut.stages[60] == N2
    assert len(cut.probabilities) == len(cut.reasons) == len(cut.stages)
    awake = night([W] * 200, [W] * 200)
    assert within_half_an_hour_of_sleep(awake) is awake


def test_people_learnt_from_are_named() -> None:
    shipped = {"learnt_subjects": ["00", "01"], "kappa": 0.5, "macro_f1": 0.25}
    found = learnt_remarks(shipped, ["01", "01", "05"])
    assert found["learnt_from"] == ["01"]
    assert found["notes"][0].startswith("WARNING it learnt from 1 of these 2 people (01)")
    assert "kappa 0.500" in found["notes"][0]
    assert learnt_remarks(shipped, ["05"]) == {"learnt_from": [], "notes": []}
    assert learnt_remarks({}, ["05"])["learnt_from"] is None
    assert learnt_remarks({}, []) == {"learnt_from": [], "notes": []}


def test_scorers_by_hand(tmp_path: Path) -> None:
    path = tmp_path / ceiling.FILE
    scorings = {
        "a": {"x": [0, 0, 1], "y": [2]},
        "b": {"x": [0, 1, 1], "y": [2]},
        "c": {"x": [0, 0, 2], "y": [-1]},
    }
    path.write_text(json.dumps(scorings))
    found = ceiling.human_ceiling(path)
    # a against b, c: epoch 0 (0, 0), epoch 1 a tie, epoch 2 a tie, epoch 3 (2, 2): all right
    # b against a, c: (0, 0), (0 said 1), a tie, (2, 2); c against a, b: (0, 0), a tie, (1 said 2)
    human = found["one_against_others"]
    assert human["accuracy"] == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert human["n"] == pytest.approx((2 + 3 + 2) / 3)
    assert human["range"]["accuracy"] == [0.5, 1.0]
    assert found["pairwise_kappa"]["high"] == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert ceiling.ceiling_beside(tmp_path)["scorers"] == 3
    assert ceiling.ceiling_beside(tmp_path / "night.npz")["scorers"] == 3
    (tmp_path / "raw").mkdir()
    assert ceiling.ceiling_beside(tmp_path / "raw")["scorers"] == 3


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a": {"x": [0]}}', '{"a": 1, "b": 2, "c": 3}',
             '{"a": {"x": [9]}, "b": {"x": [0]}, "c": {"x": [0]}}',
             '{"a": {"x": [0, 0]}, "b": {"x": [0]}, "c": {"x": [0]}}'],
)  # fmt: skip
def test_other_files_are_no_scorings(tmp_path: Path, text: str) -> None:
    path = tmp_path / ceiling.FILE
    path.write_text(text)
    with pytest.raises(DatasetError, match="scorer"):
        ceiling.human_ceiling(path)
    assert ceiling.ceiling_beside(tmp_path / "a" / "b" / "c") is None


def test_five_scorers_agree_as_far_as_the_reference_says(data_dir: Path) -> None:
    found = ceiling.ceiling_beside(data_dir)
    assert found is not None
    assert found["pairwise_kappa"]["mean"] == pytest.approx(0.703, abs=5e-4)
    assert found["pairwise_kappa"]["low"] == pytest.approx(0.632, abs=5e-4)
    assert found["pairwise_kappa"]["high"] == pytest.approx(0.769, abs=5e-4)
    human = found["one_against_others"]
    assert human["accuracy"] == pytest.approx(0.863, abs=5e-4)
    assert human["kappa"] == pytest.approx(0.803, abs=5e-4)
    assert human["macro_f1"] == pytest.approx(0.804, abs=5e-4)
    assert human["range"]["kappa"] == [
        pytest.approx(0.733, abs=5e-4), pytest.approx(0.838, abs=6e-4),
    ]  # fmt: skip
    for stage, f1 in {"W": 0.86, "N1": 0.50, "N2": 0.89, "N3": 0.85, "R": 0.92}.items():
        assert human["f1"][stage] == pytest.approx(f1, abs=5.1e-3)
    assert found["epochs"] == 24665
