"""Bootstrap over people, and figures of probabilities, against arithmetic done another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_app.errors import DatasetError
from trainer.intervals import bootstrap_over_groups
from trainer.person_level import by_person, person_level
from trainer.probabilistic import brier_score, one_vs_rest_auc


def test_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=400)
    groups = np.array([f"p{i}" for i in range(400)])
    found = bootstrap_over_groups(lambda rows: {"mean": values[rows].mean()}, groups, seed=1)
    error = values.std() / math.sqrt(400)
    assert found["mean"].value == pytest.approx(values.mean())
    assert found["mean"].low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert found["mean"].high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)


def test_copies_of_a_person_narrow_nothing() -> None:
    """Ten equal rows a person are one piece of evidence: the interval is that of one row each."""
    rng = np.random.default_rng(6)
    values = rng.normal(size=60)
    once = bootstrap_over_groups(
        lambda rows: {"mean": values[rows].mean()}, np.array([f"p{i:02}" for i in range(60)])
    )
    tenfold = np.repeat(values, 10)
    ten = bootstrap_over_groups(
        lambda rows: {"mean": tenfold[rows].mean()},
        np.repeat(np.array([f"p{i:02}" for i in range(60)]), 10),
    )
    assert ten["mean"].low == pytest.approx(once["mean"].low)
    assert ten["mean"].high == pytest.approx(once["mean"].high)


def test_whole_groups_are_drawn() -> None:
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    seen = []

    def remember(rows: np.ndarray) -> dict[str, float]:
        seen.append(rows)
        return {"n": float(len(rows))}

    bootstrap_over_groups(remember, groups, resamples=50)
    for rows in seen[1:]:
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3  # three draws of a group


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_draw_is_exactly_the_rows_of_the_groups_drawn(names: list[int], seed: int) -> None:
    """Groups of any sizes in any order, against the definition: rows looked up group by group."""
    groups = np.array([f"person {name}" for name in names])
    seen = []

    def remember(rows: np.ndarray) -> dict[str, float]:
        seen.append(rows.tolist())
        return {"n": float(len(rows))}

    found = bootstrap_over_groups(remember, groups, resamples=20, seed=seed)
    people = sorted(set(groups.tolist()))
    rng = np.random.default_rng(seed)
    assert seen[0] == list(range(len(groups)))
    for rows in seen[1:]:
        drawn = rng.integers(0, len(people), len(people))
        assert rows == [row for i in drawn for row in np.flatnonzero(groups == people[i])]
    sizes = [len(rows) for rows in seen[1:]]
    ends = np.quantile(sizes, (0.025, 0.975))
    assert (found["n"].low, found["n"].high) == pytest.approx(tuple(ends))


def test_a_figure_that_some_draws_lack() -> None:
    groups = np.array(["a", "b"])
    found = bootstrap_over_groups(
        lambda rows: {"only with a": 1.0 if 0 in rows else math.nan, "never": math.nan}, groups
    )
    assert found["only with a"].low == found["only with a"].high == 1.0
    assert math.isnan(found["never"].low)


def test_same_seed_same_interval_and_no_rows_refused() -> None:
    groups = np.array([str(i) for i in range(30)])
    draws = [
        bootstrap_over_groups(lambda r: {"m": float(r.mean())}, groups, seed=s) for s in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    with pytest.raises(DatasetError, match="no rows"):
        bootstrap_over_groups(lambda _: {}, np.array([], dtype=np.str_))


def test_brier_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    # .3^2 + .2^2 + .1^2 = .14; 1 + 0 + 1 = 2
    assert brier_score(np.array([0, 0]), probabilities) == pytest.approx((0.14 + 2.0) / 2)


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(2)
    targets = rng.integers(0, 3, 60)
    probabilities = rng.dirichlet(np.ones(3), 60).round(1)  # with ties
    for label in range(3):
        own, other = (probabilities[mask, label] for mask in (targets == label, targets != label))
        pairs = np.sign(own[:, None] - other[None]) * 0.5 + 0.5
        assert one_vs_rest_auc(targets, probabilities, label) == pytest.approx(pairs.mean())
    assert math.isnan(one_vs_rest_auc(np.zeros(5, int), np.ones((5, 3)) / 3, 1))


def test_person_level_averages_log_probabilities() -> None:
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]],
        dtype=np.float32,
    )
    groups = np.array(["a", "a", "a", "b", "b"])
    # a: ln products .072, .036 -> robust, though two of three windows say prefrail. b: .02 .10 .21
    result = person_level(probabilities, np.array([0, 0, 0, 1, 1]), groups)
    assert result.n == 2
    assert result.confusion.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert result.balanced_accuracy == 0.5
    people = by_person(probabilities, np.array([0, 0, 0, 1, 1]), groups)
    roots = np.array([0.02, 0.10, 0.21]) ** 0.5
    np.testing.assert_allclose(people.probabilities[1], roots / roots.sum(), rtol=1e-6)
