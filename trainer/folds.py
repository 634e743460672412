"""Which rows are learnt from, which choose the best pass, and which are scored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from edge_app.errors import DatasetError
from trainer.experiment import Split
from trainer.metrics import IGNORE

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """One division of the rows.

    Args:
        name: of its folder.
        repeat: which of several divisions into folds it belongs to, from 0.
        learn: rows learnt from.
        choose: rows that choose the best pass and the temperature; none: the last pass is taken.
        test: rows that are scored.
        leaks: True when groups stand on several sides on purpose, to show what that does.
    """

    name: str
    repeat: int
    learn: Rows
    choose: Rows
    test: Rows
    leaks: bool = False


def group_folds(
    groups: npt.NDArray[np.str_],
    targets: npt.NDArray[np.int64],
    *,
    folds: int,
    repeats: int,
    choose_share: float,
    seed: int,
) -> tuple[Fold, ...]:
    """Divide groups, such as people, into folds; every row is tested once a repeat.

    Groups of one class each are divided class by class; where a group holds several classes (a
    night of sleep) it is not.

    Args:
        groups: (n,) the group of each row.
        targets: (n,) or (n, length) classes.
        folds: parts that the groups are divided into.
        repeats: how often that is done, each time by another draw.
        choose_share: about the share of the remaining groups that choose the best pass.
        seed: start of the draws.

    Returns:
        ``folds * repeats`` folds, named ``fold_1`` ... .

    Raises:
        DatasetError: a class with fewer groups than the folds need.
    """
    _, first, index = np.unique(groups, return_index=True, return_inverse=True)
    strata = _strata(targets, first, index)
    parts = max(2, round(1.0 / choose_share))
    fewest = int(np.bincount(strata)[np.unique(strata)].min())
    needed = max(folds, -(-parts * folds // (folds - 1)))  # parts still there without one fold
    if fewest < needed:
        raise DatasetError(
            "too few groups for these folds",
            expected=f"{needed} of each class",
            got=f"{fewest} of the rarest",
            next_step="Ask for fewer folds, a larger choose_share, or give more people",
        )
    made: list[Fold] = []
    for repeat in range(repeats):
        for rest, test in _divide(strata, folds, seed + repeat):
            learn, choose = next(iter(_divide(strata[rest], parts, seed + repeat)))
            sides = (rest[learn], rest[choose], test)
            rows = [np.flatnonzero(np.isin(index, side)) for side in sides]
            made.append(Fold(f"fold_{len(made) + 1}", repeat, rows[0], rows[1], rows[2]))
    return tuple(made)


def leave_one_group_out(
    groups: npt.NDArray[np.str_],
    *,
    choose: int,
    repeats: int,
    seed: int,
    choose_key: str | None = None,
) -> tuple[Fold, ...]:
    """Test each group once a repeat, and learn from the others.

    Args:
        groups: (n,) the group of each row, such as the person.
        choose: groups, drawn at random from the others, that choose the best pass; 0: none.
        repeats: how often, each time with another draw.
        seed: start of the draws.
        choose_key: the recipe's key of ``choose``, named in the error.

    Returns:
        As many folds a repeat as there are groups, named ``repeat_1_GROUP`` ... .

    Raises:
        DatasetError: nobody would be left to learn from.
    """
    names = np.unique(groups)
    if len(names) < choose + 2:
        raise DatasetError(
            "too few groups to leave one out",
            expected=f"at least {choose + 2}",
            got=len(names),
            next_step="Give more people, or let fewer choose the best pass"
            + (f": --set {choose_key}={len(names) - 2}" if choose_key and len(names) > 1 else ""),
        )
    made: list[Fold] = []
    for repeat in range(repeats):
        for position, tested in enumerate(names):
            others = names[names != tested]
            draw = np.random.default_rng((seed, repeat, position))
            choosing = draw.choice(others, size=choose, replace=False)
            sides = (np.setdiff1d(others, choosing), choosing, tested)
            rows = [np.flatnonzero(np.isin(groups, side)) for side in sides]
            made.append(Fold(f"repeat_{repeat + 1}_{tested}", repeat, rows[0], rows[1], rows[2]))
    return tuple(made)


def shuffled_rows(n: int, *, seed: int) -> Fold:
    """Divide rows as if they were independent: 75 % learnt from, 12.5 % choose, 12.5 % tested.

    Neighbouring windows overlap and a person stands on all sides, so figures by it are far too
    good. It is how the paper of DeepConvLSTM divides (SciTePress 2025, 131273), and is here to show
    by how much.

    Args:
        n: rows.
        seed: start of the shuffle.

    Returns:
        One fold that leaks.
    """
    order = np.random.default_rng(seed).permutation(n)
    learn, choose, test = np.split(order, [round(0.75 * n), round(0.875 * n)])
    return Fold("shuffled", 0, np.sort(learn), np.sort(choose), np.sort(test), leaks=True)


def select(split: Split, rows: Rows, name: str) -> Split:
    """Return some rows of a split under a name of their own."""
    return replace(
        split,
        inputs=tuple(tensor[rows] for tensor in split.inputs),
        targets=split.targets[rows],
        groups=split.groups[rows],
        name=name,
        examples=tuple(split.examples[row] for row in rows) if split.examples else (),
    )


def _strata(targets: npt.NDArray[np.int64], first: Rows, index: Rows) -> Rows:
    """Return the class of each group, or 0 for all when a group holds several."""
    one_each = targets.ndim == 1 and np.array_equal(targets, targets[first][index])
    if one_each and bool((targets != IGNORE).all()):
        return np.asarray(targets[first])
    return np.zeros(len(first), dtype=np.int64)


def _divide(strata: Rows, parts: int, seed: int) -> list[tuple[Rows, Rows]]:
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    each = np.arange(len(strata))
    return list(splitter.split(each, strata, groups=each))
