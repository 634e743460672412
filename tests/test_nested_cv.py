"""Nested folds of people: no leak, honest choices, figures by hand, what shakes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


from edge_app.errors import DatasetError  # noqa: E402
from tests.gstride_tables import crowd, write  # noqa: E402
from trainer.datasets.gait_parameters import gait_table, is_spread  # noqa: E402
from trainer.datasets.gstride import LABELS, read_table  # noqa: E402
from trainer.recipe import RECIPES_DIR, load_recipe  # noqa: E402
from trainer.register.families import bayes_family, logistic_family, rival_families  # noqa: E402
from trainer.register.nested_cv import Nesting, best_family, nested_cv, times_chosen  # noqa: E402
from trainer.register.person_scores import at_shares, person_figures  # noqa: E402
from trainer.register.study import classes, offsets, stride_draws, study  # noqa: E402

RECIPE = RECIPES_DIR / "frailty_register.yaml"


def skill(folder: Path, *, shuffle: bool) -> float:
    rows = crowd((20, 20, 20), seed=5, distance=2.5)
    people = read_table(write(folder / "r.csv", rows)).people
    names = ("stride_time_s_mean", "stride_length_m_mean", "swing_fraction_mean")
    table, targets = gait_table(people, names), classes(people)
    if shuffle:
        targets = np.random.default_rng(1).permutation(targets)
    oof = nested_cv(
        bayes_family("b", table, is_spread(names)), targets, Nesting(3, 5, 2, 0), lambda: None
    )
    return person_figures(targets, oof.probabilities, LABELS, resamples=0)["balanced_accuracy"]


def test_shuffled_labels_give_chance(tmp_path):
    """Nothing of whom is scored leaks into choice, constants or temperature."""
    assert skill(tmp_path, shuffle=False) > 0.6
    assert 0.18 < skill(tmp_path, shuffle=True) < 0.48


def test_every_fold_scores_people_it_has_not_seen_and_nothing_else_changes_it():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 12)
    table = rng.normal(targets[:, None], 1.0, (36, 3))
    nesting = Nesting(3, 2, 2, 4)
    spread = np.zeros(3, dtype=bool)
    before = nested_cv(bayes_family("b", table, spread), targets, nesting, lambda: None)
    for fold in before.folds:
        assert not set(fold.learnt) & set(fold.scored)
    for repeat in range(2):
        rows = np.concatenate([f.scored for f in before.folds if f.repeat == repeat])
        assert sorted(rows) == list(range(36))
    # Another person's values change no answer of the fold that scores that person alone ...
    fold = before.folds[0]
    one, others = fold.scored[0], fold.scored[1:]
    table[one] += 100.0
    after = nested_cv(bayes_family("b", table, spread), targets, nesting, lambda: None)
    assert np.array_equal(after.logits[0, others], before.logits[0, others])
    # ... but do change those of folds that learn from them.
    assert not np.array_equal(after.logits[0], before.logits[0])


def test_the_family_is_chosen_by_inner_folds_only():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 12)
    told, noise = rng.normal(targets[:, None], 0.3, (36, 2)), rng.normal(size=(36, 2))
    nesting = Nesting(3, 1, 2, 0)
    answers = [
        nested_cv(logistic_family(name, table), targets, nesting, lambda: None)
        for name, table in (("noise", noise), ("told", told))
    ]
    assert times_chosen(answers) == {"noise": 0, "told": 3}
    chosen = best_family("best", answers)
    assert np.array_equal(chosen.probabilities, answers[1].probabilities)


def test_every_rival_learns_and_fills_what_is_missing():
    rng = np.random.default_rng(2)
    targets = np.repeat([0, 1, 2], [14, 16, 8])
    table = rng.normal(2.0 * targets[:, None], 1.0, (38, 4))
    asked = table.copy()
    asked[:, 0] = np.nan
    for family in rival_families(table):
        logits = family.learn(table, targets, family.settings[0])(asked)
        assert np.isfinite(logits).all(), family.name
        right = logits.argmax(axis=1) == targets
        assert np.mean([right[targets == k].mean() for k in range(3)]) > 0.7, family.name


def test_too_few_people_for_the_folds():
    family = logistic_family("x", np.zeros((9, 1)))
    with pytest.raises(DatasetError, match="too few people"):
        nested_cv(family, np.repeat([0, 1, 2], 3), Nesting(5, 1, 4, 0), lambda: None)


def test_probabilities_restated_for_other_shares():
    """A test that is right nine times in ten, asked of a class that one in ten belongs to."""
    assert at_shares(np.array([[0.9, 0.1]]), np.array([0.1, 0.9])) == pytest.approx(
        np.array([[0.5, 0.5]])
    )


def test_figures_of_two_repeats_by_hand():
    targets = np.array([0, 0, 1, 2])
    first = np.eye(3)[[0, 1, 1, 2]] * 0.7 + 0.1
    second = np.eye(3)[[0, 0, 1, 1]] * 0.7 + 0.1
    figures = person_figures(targets, np.stack([first, second]), LABELS, resamples=50)
    # Recalls 1/2, 1, 1 and 1, 1, 0.
    assert figures["balanced_accuracy"] == pytest.approx((5 / 6 + 2 / 3) / 2)
    assert figures["accuracy"] == pytest.approx(0.75)
    assert figures["recall_frail"] == 0.5
    assert figures["spread"]["recall_frail"] == 0.5
    assert figures["confusion"][0] == [1.5, 0.5, 0.0]
    # First repeat: frail person above all three; second: level with all but the answer's.
    assert figures["auc_frail"] == pytest.approx((1.0 + 0.5) / 2)
    # Right answers are 0.06 off, wrong ones 1.46; classes weigh alike.
    off, wrong = 0.2**2 + 2 * 0.1**2, (1 - 0.1) ** 2 + 0.8**2 + 0.1**2
    expected = ((off + wrong) / 2 + off + off) / 3, (off + off + wrong) / 3
    assert figures["brier"] == pytest.approx(np.mean(expected))
    low, high = figures["intervals"]["accuracy"]
    assert low <= 0.75 <= high


def test_few_strides_stray_more_than_many():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 20)
    means = rng.normal(targets, 1.0)
    table = np.column_stack([means, np.full(60, 3.0) * np.exp(0.01 * rng.normal(size=60))])
    names = ("stride_time_s_mean", "stride_time_s_sd")
    oof = nested_cv(
        bayes_family("b", table, is_spread(names)), targets, Nesting(4, 2, 2, 0), lambda: None
    )
    drawn = stride_draws(targets, names, table, oof)
    assert drawn["strides_20"]["same_answer"] < drawn["strides_200"]["same_answer"]
    assert all(row["simulated"] for row in drawn.values())


def test_an_offset_towards_frail_makes_more_people_frail():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 20)
    table = rng.normal(2.0 * targets, 1.0)[:, None]
    names = ("stride_time_s_mean",)
    oof = nested_cv(
        bayes_family("b", table, is_spread(names)), targets, Nesting(4, 2, 2, 0), lambda: None
    )
    moved = offsets(targets, names, table, oof)
    here = person_figures(targets, oof.probabilities, LABELS, resamples=0)
    more, fewer = (moved[f"stride_time_s_mean_half_towards_{side}"] for side in ("frail", "robust"))
    assert more["recall_frail"] > here["recall_frail"] > fewer["recall_frail"]
    assert fewer["recall_robust"] > here["recall_robust"] > more["recall_robust"]
    assert all(row["simulated"] for row in moved.values())


def test_the_real_register_holds_the_promised_figures(data_dir: Path):
    """Person-level floors of the reference: 0.58 balanced accuracy, 0.82 AUC frail vs rest."""
    people = read_table(data_dir).people
    experiment = load_recipe(RECIPE).experiment
    names = experiment.options.parameters
    table = gait_table(people, names)
    oof = nested_cv(
        bayes_family("b", table, is_spread(names)),
        classes(people),
        Nesting(5, 4, 4, 1),
        lambda: None,
    )
    figures = study(people, names, table, oof)
    overall = figures["overall"]
    assert 0.58 <= overall["balanced_accuracy"] <= 0.75  # above that something leaks
    assert 0.80 <= overall["auc_frail"] <= 0.92
    assert figures["confounders"]["outdoors"]["per_class"]["frail"]["support"] == 0
    assert figures["confounders"]["outdoors"]["auc_frail"] is None
    assert figures["confounders"]["indoors"]["balanced_accuracy"] > 0.5
    json.dumps(figures, allow_nan=False)
