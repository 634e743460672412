"""Figures of faces against hand arithmetic, scikit-learn and scipy; their properties."""

from __future__ import annotations

from math import comb, exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from edge_app.errors import ContractError  # noqa: E402
from trainer import metrics  # noqa: E402
from trainer.emotion_evaluation.calibration import calibration, uncalibrated  # noqa: E402
from trainer.emotion_evaluation.class_figures import face_figures, per_class  # noqa: E402
from trainer.emotion_evaluation.examine import named_confusions  # noqa: E402
from trainer.emotion_evaluation.paired import compare, mcnemar  # noqa: E402
from trainer.emotion_evaluation.proportions import predictive_values, wilson  # noqa: E402
from trainer.emotion_evaluation.risk_coverage import risk_coverage, threshold_for  # noqa: E402
from trainer.emotion_evaluation.uncertainty import (  # noqa: E402
    Counted,
    add_intervals,
    unit_of,
)

LABELS = ("angry", "fear", "happy")
CONFUSION = np.array([[8, 1, 1], [2, 4, 4], [0, 5, 75]])


def answers(n: int = 300, seed: int = 0, n_labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Simulated: probabilities that favour the truth about twice in three."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, n_labels, n)
    logits = generator.normal(size=(n, n_labels)) + 1.5 * np.eye(n_labels)[targets]
    odds = np.exp(logits)
    return targets, (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def sure(confidence: list[float]) -> np.ndarray:
    """Answers for class 0 with these probabilities, of two classes."""
    share = np.array(confidence)
    return np.column_stack([share, 1.0 - share])


@pytest.mark.parametrize(("hits", "n"), [(0, 3), (3, 3), (1, 2), (7, 20), (19, 28), (500, 547)])
def test_wilson_is_scipys(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_precision_of_one_from_three_answers_is_told_with_its_interval() -> None:
    low, high = wilson(3, 3)
    assert low == pytest.approx(3 / (3 + 1.959963984540054**2))
    assert high == 1.0
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ContractError, match="hits"):
        wilson(4, 3)


def test_predictive_values_follow_bayes() -> None:
    # of 1000: 10 have it, 9 of them found; 990 have not, 99 of them called so
    ppv, npv = predictive_values(0.9, 0.9, 0.01)
    assert ppv == pytest.approx(9 / (9 + 99))
    assert npv == pytest.approx(891 / 892)
    assert predictive_values(0.0, 1.0, 0.5) == (None, 0.5)


def test_classes_by_hand() -> None:
    rows = per_class(CONFUSION, LABELS, prevalence=0.2)
    fear = rows["fear"]
    assert fear["precision"] == pytest.approx(4 / 10)
    assert fear["recall"] == pytest.approx(4 / 10)
    assert fear["npv"] == pytest.approx(84 / 90)  # 100 - 10 answered fear, 6 of them are fear
    assert fear["specificity"] == pytest.approx(84 / 90)
    assert fear["f1"] == pytest.approx(0.4)
    assert (fear["support"], fear["answered"]) == (10, 10)
    at = fear["at_prevalence"]
    assert at["ppv"] == pytest.approx(0.4 * 0.2 / (0.4 * 0.2 + 6 / 90 * 0.8))
    assert rows["angry"]["answered"] == 10
    assert rows["happy"]["precision_wilson"] == list(wilson(75, 80))


def test_figures_are_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    targets, said = answers()
    figures = face_figures(targets, said, LABELS)
    guess = said.argmax(axis=1)
    expected = sklearn.precision_recall_fscore_support(targets, guess)
    for i, label in enumerate(LABELS):
        row = figures["per_class"][label]
        found = [row[name] for name in ("precision", "recall", "f1", "support")]
        assert found == pytest.approx([float(column[i]) for column in expected])
        outside = sklearn.recall_score(targets != i, guess != i)
        assert row["specificity"] == pytest.approx(outside)
        assert row["npv"] == pytest.approx(sklearn.precision_score(targets != i, guess != i))
    assert figures["accuracy"] == pytest.approx(sklearn.accuracy_score(targets, guess))
    assert figures["brier"] == pytest.approx(
        sum(float(np.mean((said[:, i] - (targets == i)) ** 2)) for i in range(3)), abs=1e-6
    )


def test_a_class_that_nobody_has_is_told_without_figures() -> None:
    rows = per_class(np.array([[5, 0, 0], [0, 5, 0], [0, 0, 0]]), LABELS)
    happy = rows["happy"]
    assert (happy["support"], happy["answered"]) == (0, 0)
    assert (happy["precision"], happy["recall"]) == (0.0, 0.0)
    assert happy["precision_wilson"] == [0.0, 1.0]
    assert happy["at_prevalence"]["ppv"] is None


def test_quick_figures_of_the_bootstrap_are_the_slow_ones() -> None:
    targets, said = answers()
    rows = np.random.default_rng(1).integers(0, len(targets), len(targets))
    quick = Counted(targets, said).everything(rows)
    slow = face_figures(targets[rows], said[rows], LABELS)
    for name in ("accuracy", "macro_f1", "ece", "brier"):
        assert quick[name] == pytest.approx(slow[name], abs=1e-9)
    for i, label in enumerate(LABELS):
        for name in ("precision", "npv", "recall", "specificity", "f1"):
            assert quick[f"{name}/{i}"] == pytest.approx(slow["per_class"][label][name])


def test_intervals_are_wider_over_people_who_are_all_right_or_all_wrong() -> None:
    targets = np.zeros(200, dtype=np.int64)
    said = np.tile([[0.9, 0.1]], (200, 1))
    said[100:] = [0.1, 0.9]
    people = np.array([f"person {i // 20}" for i in range(200)])
    pictures = np.array([f"{i:032x}" for i in range(200)])
    figures = face_figures(targets, said, ("a", "b"))
    by_person = add_intervals(figures, targets, said, people, resamples=300)
    by_picture = add_intervals(figures, targets, said, pictures, resamples=300)
    widths = []
    for found, unit in ((by_person, "person"), (by_picture, "picture")):
        low, high = found["intervals"]["accuracy"]
        assert low < 0.5 < high
        assert found["interval_over"] == unit
        widths.append(high - low)
    # standard errors: sqrt(.25/10) = .158 over persons, sqrt(.25/200) = .035 over pictures
    assert widths[0] == pytest.approx(2 * 1.96 * 0.158, rel=0.2)
    assert widths[1] == pytest.approx(2 * 1.96 * 0.0354, rel=0.2)
    assert by_person["per_class"]["b"]["intervals"]["recall"] is None


def test_the_calibration_error_has_no_interval_that_leaves_it_out() -> None:
    """Simulated: answers that are calibrated. Doubled pictures alone make the ECE of a draw larger,
    so that a percentile interval would lie above the very figure that it belongs to."""
    generator = np.random.default_rng(4)
    odds = np.exp(2.0 * generator.normal(size=(1000, 3)))
    said = odds / odds.sum(axis=1, keepdims=True)
    targets = np.array([generator.choice(3, p=row) for row in said])
    groups = np.array([f"{i:032x}" for i in range(1000)])
    found = add_intervals(face_figures(targets, said, LABELS), targets, said, groups, resamples=50)
    drawn = [
        Counted(targets, said).overall(generator.integers(0, 1000, 1000))["ece"] for _ in range(50)
    ]
    assert np.mean(drawn) > found["ece"]
    assert set(found["intervals"]) == {"accuracy", "macro_f1", "brier"}
    for name, (low, high) in found["intervals"].items():
        assert low < found[name] < high


def test_a_group_is_a_picture_only_where_all_are_hashes() -> None:
    assert unit_of(np.array(["0" * 32, "a1" * 16])) == "picture"
    assert unit_of(np.array(["0" * 32, "person 7"])) == "person"
    assert unit_of(np.array(["1", "2"])) == "person"


@given(
    hnp.arrays(np.float64, (20, 4), elements=st.floats(-8.0, 8.0)),
    st.floats(0.3, 4.0),
)
def test_the_temperature_can_be_taken_out_again(logits: np.ndarray, temperature: float) -> None:
    def softmax(z: np.ndarray) -> np.ndarray:
        odds = np.exp(z - z.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    found = uncalibrated(softmax(logits / temperature).astype(np.float32), temperature)
    assert np.abs(found - softmax(logits)).max() < 1e-5


def test_calibration_by_hand() -> None:
    said = sure([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    targets = np.array([0, 0, 0, 1, 0, 1])
    found = calibration(targets, said)
    assert [row["n"] for row in found["reliability"]] == [2, 4]
    assert [row["said"] for row in found["reliability"]] == pytest.approx([0.6, 0.9])
    assert [row["true"] for row in found["reliability"]] == pytest.approx([0.5, 0.75])
    assert found["ece"] == pytest.approx((2 * 0.1 + 4 * 0.15) / 6)
    brier = (3 * 2 * 0.01 + 2 * 0.81 + 2 * 0.16 + 2 * 0.36) / 6
    assert found["brier"] == pytest.approx(brier)
    likelihood = -(3 * np.log(0.9) + np.log(0.1) + np.log(0.6) + np.log(0.4)) / 6
    assert found["nll"] == pytest.approx(likelihood)


def test_risk_and_coverage_by_hand() -> None:
    said = sure([0.95, 0.9, 0.8, 0.7])
    targets = np.array([0, 1, 0, 0])  # the second surest is wrong
    found = risk_coverage(targets, said, selective_accuracy=0.75)
    assert [row["risk"] for row in found["curve"]] == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert [row["coverage"] for row in found["curve"]] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert found["aurc_best"] == pytest.approx((0 + 0 + 0 + 1 / 4) / 4)
    at = found["at_accuracy"]
    assert (at["threshold"], at["coverage"], at["accuracy"], at["n"]) == (0.7, 1.0, 0.75, 4)
    assert threshold_for(targets, said, 0.9)["threshold"] == 0.95
    nothing = threshold_for(1 - targets, sure([0.95, 0.94, 0.8, 0.7]), 0.9)
    assert nothing["threshold"] is None
    assert nothing["wanted"] == 0.9


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.booleans())
@settings(max_examples=60)
def test_risk_and_coverage_do_not_depend_on_the_order(seed: int, n: int, ties: bool) -> None:
    targets, said = answers(n, seed)
    if ties:
        said = np.round(said, 1)
        said[:, 0] += 1e-6
    mixed = np.random.default_rng(seed).permutation(n)
    first = risk_coverage(targets, said)
    again = risk_coverage(targets[mixed], said[mixed])
    assert first["aurc"] == pytest.approx(again["aurc"], abs=1e-9)
    assert first["at_accuracy"] == again["at_accuracy"]
    assert first["aurc_best"] <= first["aurc"] + 1e-9
    wrong = float((said.argmax(axis=1) != targets).mean())
    assert first["curve"][-1]["risk"] == pytest.approx(wrong)
    at = first["at_accuracy"]
    if at["threshold"] is not None:
        kept = said.max(axis=1) >= at["threshold"]
        hits = said.argmax(axis=1)[kept] == targets[kept]
        assert (int(kept.sum()), float(hits.mean())) == (at["n"], at["accuracy"])
        assert at["accuracy"] >= 0.9


def test_mcnemar_is_the_binomial_by_hand() -> None:
    right = np.array([True] * 9 + [False] * 2 + [True] * 20)
    other = np.array([False] * 9 + [True] * 2 + [True] * 20)
    found = mcnemar(right, other)
    assert (found["only_model"], found["only_baseline"]) == (9, 2)
    assert (found["both_right"], found["both_wrong"]) == (20, 0)
    by_hand = 2 * sum(comb(11, k) for k in (0, 1, 2)) / 2**11
    assert found["p"] == pytest.approx(by_hand)
    assert mcnemar(right, right)["p"] == 1.0
    with pytest.raises(ContractError, match="same pictures"):
        mcnemar(right, other[1:])


def test_a_comparison_says_who_is_better_and_how_surely() -> None:
    targets, said = answers(400)
    worse = said.copy()
    broken = np.arange(0, 400, 4)
    worse[broken] = np.roll(worse[broken], 1, axis=1)
    groups = np.array([f"{i:032x}" for i in range(400)])
    found = compare(targets, said, worse, groups, resamples=200)
    gain = found["gain"]["accuracy"]
    expected = float((said.argmax(1) == targets).mean() - (worse.argmax(1) == targets).mean())
    assert gain["value"] == pytest.approx(expected)
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert found["p"] < 0.001
    assert found["gain"]["brier"]["value"] < 0
    same = compare(targets, said, said, groups, resamples=20)
    assert {name: row["high"] for name, row in same["gain"].items()} == dict.fromkeys(
        ("accuracy", "macro_f1", "brier"), 0.0
    )
    assert "ece" in same["model"]


def test_confusions_are_named_the_most_frequent_first() -> None:
    named = named_confusions(CONFUSION.tolist(), LABELS)
    assert [(pair["true"], pair["answer"], pair["n"]) for pair in named] == [
        ("happy", "fear", 5),
        ("fear", "happy", 4),
        ("fear", "angry", 2),
        ("angry", "fear", 1),
        ("angry", "happy", 1),
    ]
    assert named[0]["share"] == pytest.approx(5 / 80)


def test_perfect_answers_have_no_calibration_error_at_full_confidence() -> None:
    targets = np.array([0, 1, 2])
    said = np.eye(3)[targets]
    assert calibration(targets, said)["ece"] == 0.0
    assert calibration(targets, said)["nll"] == 0.0
    assert metrics.score(targets, said).accuracy == 1.0
    softened = uncalibrated(said, 0.5)
    assert softened[0, 0] == pytest.approx(1.0, abs=exp(-30))
