"""Cross-validation by person: nothing leaks, nothing is run twice, and a leak shows as one."""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("without_curves")]

from rich.console import Console  # noqa: E402

from edge_app.errors import DatasetError, TrainingError  # noqa: E402
from tests.toy_experiment import FEATURES, LABELS, ToyExperiment, ToyOptions  # noqa: E402
from trainer.cross_validate import Answers, cross_validate  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.fold_figures import person_figures, window_figures  # noqa: E402
from trainer.fold_study import FoldOptions, run_study  # noqa: E402
from trainer.folds import Fold, group_folds, shuffled_rows  # noqa: E402
from trainer.metrics import IGNORE  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402

QUIET = Console(quiet=True)
PEOPLE, ROWS = 24, 20


def recipe(*, interrupt_in_call: int = 0, seed: int = 3, passes: int = 4) -> Recipe:
    return Recipe(
        name="toy",
        task="emotion",
        method=None,
        seed=seed,
        fit=FitOptions(
            passes=passes,
            batch=32,
            optimiser="adam",
            learning_rate=0.02,
            weight_decay=0.0,
            ema_decay=None,
        ),
        experiment=ToyExperiment(ToyOptions(interrupt_in_call=interrupt_in_call)),
    )


def fingerprints() -> Split:
    """Everybody has features of their own, and a class that has nothing to do with them."""
    rng = np.random.default_rng(7)
    people = rng.normal(size=(PEOPLE, FEATURES)) * 3.0
    owner = np.repeat(np.arange(PEOPLE), ROWS)
    inputs = people[owner] + 0.1 * rng.normal(size=(len(owner), FEATURES))
    return Split(
        inputs=(torch.from_numpy(inputs.astype(np.float32)),),
        targets=torch.from_numpy(owner % 3),
        groups=np.array([f"P{i:02}" for i in owner]),
        name="simulated people",
    )


def folds_of(split: Split, *, folds: int = 4, repeats: int = 1, seed: int = 1) -> tuple[Fold, ...]:
    return group_folds(
        split.groups,
        split.targets.numpy(),
        folds=folds,
        repeats=repeats,
        choose_share=0.25,
        seed=seed,
    )


def as_it_is(learn: Split) -> Split:
    return learn


def test_every_row_is_tested_once_a_repeat_and_nobody_stands_on_two_sides() -> None:
    split = fingerprints()
    folds = folds_of(split, repeats=2)
    assert [fold.name for fold in folds] == [f"fold_{i}" for i in range(1, 9)]
    for repeat in (0, 1):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested.tolist()) == list(range(PEOPLE * ROWS))
    for fold in folds:
        sides = [set(split.groups[rows]) for rows in (fold.learn, fold.choose, fold.test)]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert sum(map(len, sides)) == PEOPLE
        assert len(sides[1]) == pytest.approx(18 / 4, abs=1)
        classes = Counter(int(split.targets[rows[0]]) for rows in _by_person(split, fold.test))
        assert classes == {0: 2, 1: 2, 2: 2}
    assert not np.array_equal(folds[0].test, folds[4].test)  # another draw
    for one, again in zip(folds, folds_of(split, repeats=2), strict=True):
        assert np.array_equal(one.test, again.test)


def _by_person(split: Split, rows: np.ndarray) -> list[np.ndarray]:
    return [rows[split.groups[rows] == name] for name in np.unique(split.groups[rows])]


def test_groups_that_hold_several_classes_are_divided_all_the_same() -> None:
    groups = np.repeat([f"night {i}" for i in range(8)], 3)
    targets = np.tile(np.array([[0, 1, IGNORE], [2, 2, 1], [0, 0, 0]]), (8, 1))
    folds = group_folds(groups, targets, folds=8, repeats=1, choose_share=0.3, seed=0)
    assert len(folds) == 8
    assert all(len(set(groups[fold.test])) == 1 for fold in folds)


def test_too_few_people_of_a_class_are_refused() -> None:
    groups = np.array([f"P{i}" for i in range(20)])
    targets = np.array([0] * 17 + [1] * 3)
    with pytest.raises(DatasetError, match=r"too few groups.*5 of each class.*3 of the rarest"):
        group_folds(groups, targets, folds=5, repeats=1, choose_share=0.25, seed=0)


def test_shuffled_rows_are_three_parts_of_all() -> None:
    fold = shuffled_rows(800, seed=1)
    assert [len(fold.learn), len(fold.choose), len(fold.test)] == [600, 100, 100]
    together = np.concatenate([fold.learn, fold.choose, fold.test])
    assert sorted(together.tolist()) == list(range(800))
    assert fold.leaks


@pytest.mark.parametrize("shared", ["learn and test", "choose and test", "learn and choose"])
def test_a_fold_that_leaks_is_refused_before_anything_runs(tmp_path: Path, shared: str) -> None:
    split = fingerprints()
    rows = {"learn": np.arange(0, 200), "choose": np.arange(200, 300), "test": np.arange(300, 480)}
    one, other = shared.split(" and ")
    rows[one] = np.append(rows[one], rows[other][0])  # one row of a person of the other side
    fold = Fold("fold_1", 0, **rows)
    with pytest.raises(DatasetError, match="1 group"):
        cross_validate(recipe(), split, [fold], as_it_is, tmp_path, QUIET)
    assert not list(tmp_path.iterdir())


def test_only_the_learning_side_is_shown_to_prepare(tmp_path: Path) -> None:
    split, seen = fingerprints(), []

    def prepare(learn: Split) -> Split:
        seen.append(set(learn.groups))
        return learn

    folds = folds_of(split)
    cross_validate(recipe(passes=1), split, folds, prepare, tmp_path, QUIET)
    assert seen == [set(split.groups[fold.learn]) for fold in folds]


def test_a_killed_run_goes_on_and_finished_folds_are_not_run_again(tmp_path: Path) -> None:
    split = fingerprints()
    folds = folds_of(split)
    whole = cross_validate(recipe(), split, folds, as_it_is, tmp_path / "whole", QUIET)

    steps = -(-len(folds[0].learn) // 32)
    cut = cut_off(recipe(interrupt_in_call=4 * steps + 2 * steps + 3))  # fold 2, third pass
    with pytest.raises(KeyboardInterrupt):
        cross_validate(cut, split, folds, as_it_is, tmp_path / "cut", QUIET)
    assert (tmp_path / "cut" / "fold_1" / "answers.npz").is_file()
    assert (tmp_path / "cut" / "fold_2" / "last.pt").is_file()
    assert not (tmp_path / "cut" / "fold_2" / "answers.npz").exists()

    ran: list[str] = []

    def count(learn: Split) -> Split:
        ran.append(learn.name)
        return learn

    again = cross_validate(recipe(), split, folds, count, tmp_path / "cut", QUIET)
    assert [name.split(", ")[1] for name in ran] == ["fold_2", "fold_3", "fold_4"]
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    np.testing.assert_array_equal(again.rows, whole.rows)


def cut_off(cut: Recipe) -> Recipe:
    """A recipe that reads like an uninterrupted one, or its folder could not be continued."""
    return dataclasses.replace(cut, experiment=_Cut(recipe().experiment, cut.experiment))


class _Cut(ToyExperiment):
    """An experiment with the options of one and the interruption of another."""

    def __init__(self, shown: ToyExperiment, cut: ToyExperiment) -> None:
        super().__init__(shown.options)
        self._cut = cut

    def augment(self, inputs, targets, generator):
        return self._cut.augment(inputs, targets, generator)


def test_another_recipe_or_other_data_in_the_folder_is_refused(tmp_path: Path) -> None:
    split = fingerprints()
    folds = folds_of(split)[:1]
    cross_validate(recipe(passes=1), split, folds, as_it_is, tmp_path, QUIET)
    with pytest.raises(TrainingError, match="another recipe"):
        cross_validate(recipe(passes=1, seed=4), split, folds, as_it_is, tmp_path, QUIET)
    other = Split((split.inputs[0] + 1e-3,), split.targets, split.groups, split.name)
    with pytest.raises(TrainingError, match="other data"):
        cross_validate(recipe(passes=1), other, folds, as_it_is, tmp_path, QUIET)
    moved = folds_of(split, seed=9)[:1]
    with pytest.raises(TrainingError, match="other rows"):
        cross_validate(recipe(passes=1), split, moved, as_it_is, tmp_path, QUIET)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and then nothing"])
def test_damaged_answers_are_told(tmp_path: Path, content: bytes) -> None:
    split = fingerprints()
    folds = folds_of(split)[:1]
    cross_validate(recipe(passes=1), split, folds, as_it_is, tmp_path, QUIET)
    (tmp_path / "fold_1" / "answers.npz").write_bytes(content)
    with pytest.raises(TrainingError, match=r"answers\.npz.*cannot be read") as refused:
        cross_validate(recipe(passes=1), split, folds, as_it_is, tmp_path, QUIET)
    assert "Delete this file" in refused.value.next_step


def test_unlabelled_steps_of_sequences_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    inputs = torch.from_numpy(rng.normal(size=(40, 5, FEATURES)).astype(np.float32))
    targets = torch.from_numpy(np.digitize(inputs.sum(-1).numpy(), [-1.0, 1.0]).astype(np.int64))
    targets[:, 2] = IGNORE
    split = Split((inputs,), targets, np.array([f"n{i % 8}" for i in range(40)]), "nights")
    folds = folds_of(split, folds=2)
    answers = cross_validate(recipe(passes=2), split, folds, as_it_is, tmp_path, QUIET)
    assert len(answers.targets) == 40 * 4
    assert answers.probabilities.shape == (160, 3)
    for i in (0, 3, 4, 159):
        assert answers.groups[i] == split.groups[answers.rows[i]]
    first = targets[answers.rows[0]].numpy()
    assert answers.targets[:4].tolist() == first[first != IGNORE].tolist()


def test_the_study_shows_that_shuffling_finds_people_not_classes(tmp_path: Path) -> None:
    """Classes mean nothing here: people left out are guessed at, shuffled rows are all known."""
    text = io.StringIO()
    console = Console(file=text, width=200)
    options = FoldOptions(folds=4, choose_share=0.25, resamples=200)
    split = fingerprints()
    first_half = np.array([f"P{i:02}" for i in range(12)])
    figures = run_study(
        recipe(passes=25),
        split,
        options,
        as_it_is,
        labels=LABELS,
        subsets={"first half": first_half},
        out=tmp_path,
        console=console,
    )
    json.dumps(figures, allow_nan=False)
    assert figures["people"]["n"] == PEOPLE
    assert figures["people"]["balanced_accuracy"] < 0.67
    assert figures["examples_scored"]["balanced_accuracy"] < 0.6
    assert figures["shuffled_do_not_quote"]["balanced_accuracy"] > 0.95
    assert figures["subsets"]["first half"]["people"]["n"] == 12
    assert figures["people"]["majority_accuracy"] == pytest.approx(1 / 3)
    runs = figures["runs"]
    assert [run["fold"] for run in runs] == ["fold_1", "fold_2", "fold_3", "fold_4", "shuffled"]
    assert all(run["passes"] == 25 for run in runs)
    tested = [name for run in runs[:4] for name in run["test_groups"]]
    assert sorted(tested) == sorted(set(split.groups))
    shown = text.getvalue()
    assert "do not quote" in shown
    assert "WARNING same examples, shuffled" in shown
    for label in LABELS:
        assert f"recall_{label}" in shown
        assert f"-> {label}" in shown


def test_people_are_counted_once_a_repeat_and_intervals_are_over_people() -> None:
    """Two people, two repeats; by hand: Ada is right once in two repeats, Bob always."""
    right, wrong = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]
    answers = Answers(
        targets=np.array([0, 0, 1, 0, 0, 1]),
        probabilities=np.array([right, right, wrong, wrong, wrong, wrong]),
        groups=np.array(["Ada", "Ada", "Bob", "Ada", "Ada", "Bob"]),
        rows=np.array([0, 1, 2, 0, 1, 2]),
        repeat=np.array([0, 0, 0, 1, 1, 1]),
    )
    people = person_figures(answers, LABELS, resamples=200, seed=0)
    assert people["n"] == 4
    assert people["groups"] == 2
    assert people["accuracy"] == 0.75
    assert people["intervals"]["recall_low"]["value"] == 0.5
    assert people["intervals"]["accuracy"]["low"] == 0.5  # a draw of Ada alone
    assert people["intervals"]["accuracy"]["high"] == 1.0  # of Bob alone
    assert people["intervals"]["recall_high"]["value"] is None  # nobody has that class
    windows = window_figures(answers, LABELS, resamples=50, seed=0)
    assert windows["n"] == 6
    assert windows["accuracy"] == pytest.approx(4 / 6)
