"""Metrics against scikit-learn, and calibration against optima computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sklearn_metrics = pytest.importorskip("sklearn.metrics")
pytestmark = pytest.mark.torch

from edge_app.errors import ContractError, DatasetError, TrainingError  # noqa: E402
from trainer.calibrate import Calibrated, fit_temperature  # noqa: E402
from trainer.metrics import (  # noqa: E402
    IGNORE,
    expected_calibration_error,
    score,
)

LABELS = ("W", "N1", "N2", "N3", "R")


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 5, size=400)
    probabilities = generator.dirichlet(np.ones(5), size=400)
    probabilities[np.arange(400), targets] += 0.3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    answers = probabilities.argmax(axis=1)
    scores = score(targets, probabilities)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        targets, answers
    )
    assert scores.n == 400
    assert scores.accuracy == pytest.approx(sklearn_metrics.accuracy_score(targets, answers))
    assert scores.macro_f1 == pytest.approx(f1.mean())
    assert scores.kappa == pytest.approx(sklearn_metrics.cohen_kappa_score(targets, answers))
    assert np.array_equal(scores.confusion, sklearn_metrics.confusion_matrix(targets, answers))
    for i, figures in enumerate(scores.per_class(LABELS).values()):
        assert figures["precision"] == pytest.approx(precision[i])
        assert figures["recall"] == pytest.approx(recall[i])
        assert figures["f1"] == pytest.approx(f1[i])
        assert figures["support"] == support[i]


def test_a_class_that_never_occurs_does_not_lower_macro_f1() -> None:
    probabilities = np.eye(3)[[0, 1, 1]]
    assert score(np.array([0, 1, 1]), probabilities).macro_f1 == 1.0


def test_unlabelled_steps_do_not_count() -> None:
    probabilities = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.7, 0.3]]])
    scores = score(np.array([[0, IGNORE], [0, 0]]), probabilities)
    assert scores.n == 3
    assert scores.accuracy == pytest.approx(2 / 3)


def test_nothing_labelled_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no example has a label"):
        score(np.array([IGNORE]), np.array([[0.5, 0.5]]))


def test_answers_that_are_no_numbers_are_refused() -> None:
    said = np.full((4, 3), 1 / 3)
    said[2, 1] = np.nan
    with pytest.raises(ContractError, match="no probabilities"):
        score(np.array([0, 1, 2, 0]), said)
    assert score(np.array([0, 1, -1, 0]), said).n == 3  # where there is no label nothing counts


def test_calibration_error_by_hand() -> None:
    # Four answers at 0.9 of which two are right, four at 0.6 of which all are right.
    confidence = np.array([0.9] * 4 + [0.6] * 4)
    targets = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    assert expected_calibration_error(targets, probabilities) == pytest.approx(0.4)


@pytest.mark.parametrize(("gap", "right"), [(4.0, 0.75), (0.5, 0.9), (2.0, 0.6)])
def test_temperature_is_the_optimum_computed_by_hand(gap: float, right: float) -> None:
    # All logits are (gap, 0), a share `right` of the answers is right. The loss is least where
    # sigmoid(gap / T) = right, so T = gap / ln(right / (1 - right)).
    n = 20
    logits = torch.tensor([[gap, 0.0]] * n)
    targets = torch.tensor([0] * round(right * n) + [1] * (n - round(right * n)))
    expected = gap / math.log(right / (1 - right))
    assert fit_temperature(logits, targets) == pytest.approx(expected, rel=1e-4)


def test_temperature_takes_sequences_and_leaves_unlabelled_out() -> None:
    logits = torch.tensor([[[4.0, 0.0], [50.0, 0.0]], [[4.0, 0.0], [4.0, 0.0]]])
    targets = torch.tensor([[0, IGNORE], [0, 1]])
    assert fit_temperature(logits, targets) == pytest.approx(4.0 / math.log(2.0), rel=1e-4)


def test_temperature_needs_labels_and_finite_logits() -> None:
    with pytest.raises(TrainingError):
        fit_temperature(torch.zeros(2, 2), torch.tensor([IGNORE, IGNORE]))
    with pytest.raises(TrainingError):
        fit_temperature(torch.tensor([[float("nan"), 0.0]]), torch.tensor([0]))


def test_calibrated_gives_logits_and_tempered_probabilities() -> None:
    logits, probabilities = Calibrated(torch.nn.Identity(), 2.0)(torch.tensor([[2.0, 0.0]]))
    assert logits.tolist() == [[2.0, 0.0]]
    assert probabilities[0, 0].item() == pytest.approx(1 / (1 + math.exp(-1.0)))


def test_a_balanced_temperature_is_that_of_classes_made_equally_common() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3.0 * torch.randn(30, 2, generator=generator)
    targets = torch.tensor([0] * 24 + [1] * 6)
    repeated = torch.cat([logits[:24], logits[24:].repeat(4, 1)])
    equal = torch.tensor([0] * 24 + [1] * 24)
    balanced = fit_temperature(logits, targets, balanced=True)
    assert balanced == pytest.approx(fit_temperature(repeated, equal), rel=1e-6)
    assert balanced != pytest.approx(fit_temperature(logits, targets), rel=1e-3)


def test_a_weight_of_two_counts_an_example_twice() -> None:
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
    targets = np.array([0, 0, 1])
    twice = expected_calibration_error(targets[[0, 1, 1, 2]], probabilities[[0, 1, 1, 2]])
    weighted = expected_calibration_error(targets, probabilities, np.array([1.0, 2.0, 1.0]))
    assert weighted == pytest.approx(twice)
