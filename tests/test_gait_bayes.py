"""The classifier of gait parameters: worked out by hand, unknown values, bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


from trainer.models.gait_bayes import (  # noqa: E402
    DEGREES_OF_FREEDOM,
    FLOOR_SHARE,
    ExplainedGait,
    GaitBayes,
)


def learnt(seed: int = 0, n: int = 60, columns: int = 4) -> tuple[GaitBayes, np.ndarray]:
    """A model of made-up people, and those people."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 3
    table = np.exp(rng.normal(0.3 * targets[:, None], 0.4, (n, columns)))
    model = GaitBayes(np.arange(columns) % 2 == 1, 3)
    model.learn(table, targets, shrinkage=0.5)
    return model.eval(), table


def test_two_parameters_worked_out_by_hand():
    """Two people a class; the second parameter is a standard deviation."""
    table = np.array([[1.0, 1.0], [3.0, math.e**2], [4.0, 1.0], [8.0, 1.0 * math.e**4]])
    targets = np.array([0, 0, 1, 1])
    model = GaitBayes(np.array([False, True]), 2)
    model.learn(table, targets, shrinkage=0.0)
    # The SD's logarithms are 0, 2 and 0, 4, except that floors lie under them: a tenth of the
    # median (1 + e^2) / 2 is 0.42, below all four.
    assert FLOOR_SHARE * (1 + math.e**2) / 2 < 1.0
    centre = {0: (2.0, 1.0), 1: (6.0, 2.0)}
    scale = {0: (math.sqrt(2), math.sqrt(2)), 1: (math.sqrt(8), math.sqrt(8))}

    def log_density(value: float, label: int, column: int) -> float:
        nu, sd = DEGREES_OF_FREEDOM, scale[label][column]
        z = (value - centre[label][column]) / sd
        return -(nu + 1) / 2 * math.log(1 + z * z / nu) - math.log(sd)

    person = (3.0, math.e)  # the second is 1 after the logarithm
    logs = [[log_density(v, label, j) for j, v in enumerate((3.0, 1.0))] for label in (0, 1)]
    expected = [sum(logs[label]) for label in (0, 1)]
    with torch.no_grad():
        logits = model(torch.tensor([person])).numpy()[0]
        terms = model.contributions(torch.tensor([person])).numpy()[0]
    assert logits[0] - logits[1] == pytest.approx(expected[0] - expected[1], rel=1e-5)
    assert terms[0, 0] - terms[0, 1] == pytest.approx(logs[0][0] - logs[1][0], rel=1e-5)


def test_shrinkage_goes_from_own_to_common_spread():
    table = np.array([[0.0], [2.0], [0.0], [8.0]])
    targets = np.array([0, 0, 1, 1])
    model = GaitBayes(np.array([False]), 2)
    own = (math.sqrt(2.0), math.sqrt(32.0))
    common = math.sqrt((2.0 + 32.0) / 2)
    for shrinkage in (0.0, 0.25, 1.0):
        model.learn(table, targets, shrinkage)
        expected = [o ** (1 - shrinkage) * common**shrinkage for o in own]
        assert model.get_buffer("scale").numpy()[:, 0] == pytest.approx(expected, rel=1e-6)


def test_an_unknown_parameter_is_the_exact_marginal():
    """Leaving one out equals a model that never had it."""
    model, table = learnt()
    fewer = GaitBayes(np.array([False, False, True]), 3)
    fewer.learn(table[:, [0, 2, 3]], np.arange(60) % 3, shrinkage=0.5)
    for blank in (np.nan, np.inf, -np.inf):
        blanked = table.copy()
        blanked[:, 1] = blank
        with torch.no_grad():
            assert np.allclose(
                model(torch.from_numpy(blanked).float()).numpy(),
                fewer(torch.from_numpy(table[:, [0, 2, 3]]).float()).numpy(),
                atol=1e-5,
            )


def test_contributions_sum_to_the_logits_and_say_nothing_of_the_unknown():
    model, table = learnt()
    table[3, 2] = np.nan
    with torch.no_grad():
        shipped = ExplainedGait(model, 2.0)
        logits, probabilities, terms, _ = shipped(torch.from_numpy(table).float())
    assert np.allclose(terms.sum(dim=1), logits, atol=1e-6)
    assert np.allclose(terms.sum(dim=2), 0.0, atol=1e-5)
    assert not terms[3, 2].any()
    powers = np.exp(logits.numpy() / 2.0)
    assert np.allclose(probabilities, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)


def test_nothing_known_is_no_opinion():
    model, _ = learnt()
    with torch.no_grad():
        shipped = ExplainedGait(model, 2.0)
        _, probabilities, terms, familiar = shipped(torch.full((1, 4), float("nan")))
    assert np.allclose(probabilities, 1 / 3)
    assert not terms.any()
    assert not familiar.any()


def test_what_nobody_had_is_not_familiar():
    model, table = learnt()
    beyond = table.copy()
    beyond[0] = table.max(axis=0) * 1.01
    beyond[1] = table.min(axis=0) - 0.01 * np.abs(table.min(axis=0))
    with torch.no_grad():
        familiar = model.familiar(torch.from_numpy(beyond).float()).numpy()
    assert not familiar[:2].any()
    assert familiar[2:].mean() > 0.95  # float32 may put an extreme itself just outside


def test_an_absurd_value_weighs_less_than_a_telling_one():
    model, table = learnt()
    typical = table[np.arange(60) % 3 == 2].mean(axis=0)
    with torch.no_grad():
        told = model.contributions(torch.from_numpy(typical[None]).float()).abs().max()
        absurd = typical * 1e6
        shaken = model.contributions(torch.from_numpy(absurd[None]).float())
    assert torch.isfinite(shaken).all()
    # Without bounds a value a million times too large would weigh about 1e12.
    assert shaken.abs().max() < 10 * max(float(told), 1.0)


def test_a_parameter_that_is_the_same_for_all_says_nothing():
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=12), np.full(12, 3.0)])
    model = GaitBayes(np.array([False, True]), 3)
    model.learn(table, np.arange(12) % 3, shrinkage=0.0)
    with torch.no_grad():
        terms = model.contributions(torch.tensor([[0.0, 3.0], [0.0, 9.0]]))
    assert torch.isfinite(terms).all()
    assert not terms[:, 1].abs().gt(1e-6).any()


def test_a_zero_standard_deviation_is_taken_as_the_sensors_resolution():
    model, table = learnt()
    low, zero = table[:1].copy(), table[:1].copy()
    low[0, 1] = 0.5 * FLOOR_SHARE * np.median(table[:, 1])
    zero[0, 1] = 0.0
    with torch.no_grad():
        assert torch.equal(
            model(torch.from_numpy(zero).float()), model(torch.from_numpy(low).float())
        )
