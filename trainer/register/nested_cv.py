"""Nested, repeated cross-validation for tables of people, one row each.

Outer folds score; inner folds, made of the outer training people alone, choose a family's setting
and fit its temperature. Nothing that is scored has taken part in a choice, a constant or a weight.

Source: Varma and Simon 2006, doi 10.1186/1471-2105-7-91.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import StratifiedKFold

from edge_app.errors import DatasetError
from trainer.calibrate import fit_temperature

Table = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]
Setting = Mapping[str, Any]
Scorer = Callable[[Table], Table]
"""(n, n_columns) to (n, n_classes) logits for equal class shares."""


@dataclass(frozen=True, slots=True)
class Family:
    """One way to classify, with the settings that inner folds choose from.

    Args:
        name: as reports call it.
        table: (n, n_columns) what it sees of every person; NaN = unknown.
        settings: at least one; the first wins a tie.
        learn: from the rows given alone, a scorer whose logits are for equal class shares.
    """

    name: str
    table: Table
    settings: tuple[Setting, ...]
    learn: Callable[[Table, Targets, Setting], Scorer]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What inner folds settled on.

    Args:
        setting: one of the family's.
        temperature: fitted on the inner folds' answers, classes weighing alike.
        loss: cross-entropy of those answers at that temperature, classes weighing alike.
    """

    setting: Setting
    temperature: float
    loss: float


@dataclass(frozen=True, slots=True)
class OuterFold:
    """One outer fold, done.

    Args:
        repeat: the division it belongs to, from 0.
        learnt: rows learnt from.
        scored: rows scored.
        chosen: what its inner folds settled on.
        scorer: learnt from ``learnt`` with that setting.
    """

    repeat: int
    learnt: npt.NDArray[np.int64]
    scored: npt.NDArray[np.int64]
    chosen: Chosen
    scorer: Scorer

    def probabilities(self, table: Table) -> Table:
        """Return (n, n_classes) for rows of the family's table."""
        return softmax(self.scorer(table) / self.chosen.temperature)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """A family's answers, each from a fold that had not seen the person.

    Args:
        name: the family's.
        logits: (n_repeats, n, n_classes).
        probabilities: the same shape, by each fold's own temperature.
        folds: in the order of repeats.
    """

    name: str
    logits: Table
    probabilities: Table
    folds: tuple[OuterFold, ...]


@dataclass(frozen=True, slots=True)
class Nesting:
    """How people are divided.

    Args:
        outer: folds that score.
        repeats: divisions into outer folds.
        inner: folds that choose.
        seed: start of the draws.
    """

    outer: int
    repeats: int
    inner: int
    seed: int


def nested_cv(
    family: Family, targets: Targets, nesting: Nesting, advance: Callable[[], None]
) -> OutOfFold:
    """Answer for every person once a repeat, from folds that have not seen them.

    Args:
        family: what to try; every family meets the same folds.
        targets: (n,) classes.
        nesting: how people are divided.
        advance: called after each outer fold.

    Returns:
        All answers.

    Raises:
        DatasetError: too few people of a class for the folds.
    """
    require_enough(targets, nesting)
    n_classes = int(targets.max()) + 1
    logits = np.zeros((nesting.repeats, len(targets), n_classes))
    probabilities = np.zeros_like(logits)
    folds = []
    for repeat in range(nesting.repeats):
        for learnt, scored in divide(targets, nesting.outer, nesting.seed + repeat):
            seen, seen_targets = family.table[learnt], targets[learnt]
            chosen, _ = choose(family, seen, seen_targets, nesting.inner, nesting.seed + repeat)
            scorer = family.learn(seen, seen_targets, chosen.setting)
            fold = OuterFold(repeat, learnt, scored, chosen, scorer)
            logits[repeat, scored] = scorer(family.table[scored])
            probabilities[repeat, scored] = fold.probabilities(family.table[scored])
            folds.append(fold)
            advance()
    return OutOfFold(family.name, logits, probabilities, tuple(folds))


def choose(
    family: Family, table: Table, targets: Targets, folds: int, seed: int
) -> tuple[Chosen, Table]:
    """Choose a setting and a temperature by cross-validation on the people given.

    Args:
        family: whose settings are tried.
        table: (n, n_columns) of these people.
        targets: (n,) classes.
        folds: how many.
        seed: start of the draw.

    Returns:
        The setting of the least loss, and its (n, n_classes) out-of-fold logits.
    """
    parts = divide(targets, folds, seed)
    best: tuple[Chosen, Table] | None = None
    for setting in family.settings:
        logits = np.zeros((len(targets), int(targets.max()) + 1))
        for learnt, scored in parts:
            scorer = family.learn(table[learnt], targets[learnt], setting)
            logits[scored] = scorer(table[scored])
        temperature = fit_temperature(
            torch.from_numpy(logits), torch.from_numpy(targets), balanced=True
        )
        loss = balanced_loss(targets, softmax(logits / temperature))
        if best is None or loss < best[0].loss:
            best = Chosen(setting, temperature, loss), logits
    if best is None:
        raise ValueError(f"{family.name} has no settings")
    return best


def best_family(name: str, families: Sequence[OutOfFold]) -> OutOfFold:
    """Return the answers of choosing the family, too, by the inner folds' loss.

    Args:
        name: what to call it.
        families: answers on the same folds.

    Returns:
        In each outer fold the answers of the family whose inner folds had the least loss.
    """
    logits = np.zeros_like(families[0].logits)
    probabilities = np.zeros_like(logits)
    folds = []
    for rivals in zip(*(family.folds for family in families), strict=True):
        winner = int(np.argmin([rival.chosen.loss for rival in rivals]))
        fold = rivals[winner]
        logits[fold.repeat, fold.scored] = families[winner].logits[fold.repeat, fold.scored]
        probabilities[fold.repeat, fold.scored] = families[winner].probabilities[
            fold.repeat, fold.scored
        ]
        folds.append(fold)
    return OutOfFold(name, logits, probabilities, tuple(folds))


def times_chosen(families: Sequence[OutOfFold]) -> dict[str, int]:
    """Return in how many outer folds each family had the least inner loss."""
    winners = [
        int(np.argmin([rival.chosen.loss for rival in rivals]))
        for rivals in zip(*(family.folds for family in families), strict=True)
    ]
    return {family.name: winners.count(i) for i, family in enumerate(families)}


def divide(
    targets: Targets, folds: int, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return rows learnt from and scored, class by class alike; one row is one person."""
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(targets)), targets))


def require_enough(targets: Targets, nesting: Nesting) -> None:
    """Refuse classes too small for the folds.

    Args:
        targets: (n,) classes.
        nesting: how they are to be divided.

    Raises:
        DatasetError: an inner training side could lack two people of a class.
    """
    fewest = int(np.bincount(targets).min())
    left = fewest - -(-fewest // nesting.outer)
    if fewest < nesting.outer or left < nesting.inner or left - -(-left // nesting.inner) < 2:
        raise DatasetError(
            "too few people of a class for these folds",
            expected=f"at least {max(nesting.outer, nesting.inner) * 2} of each",
            got=f"{fewest} of the rarest",
            next_step="Ask for fewer folds in the recipe, or give more people",
        )


def balanced_loss(targets: Targets, probabilities: Table) -> float:
    """Return the cross-entropy with every class weighing alike, in nats."""
    of_truth = np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)
    losses = -np.log(of_truth)
    return float(np.mean([losses[targets == label].mean() for label in np.unique(targets)]))


def softmax(logits: Table) -> Table:
    """Return probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
