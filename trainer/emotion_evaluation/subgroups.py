"""Whether some people, or some kinds of picture, are served worse: gaps and their tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.emotion_evaluation.class_figures import class_shares
from trainer.emotion_evaluation.proportions import wilson
from trainer.emotion_evaluation.uncertainty import unit_of
from trainer.metrics import FEW

PERMUTATIONS = 2000
Counts = npt.NDArray[np.float64]


def subgroups(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[Any],
    attribute: npt.NDArray[np.str_],
    groups: npt.NDArray[np.str_],
    labels: tuple[str, ...],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return figures of each value of an attribute, the gaps between them, and tests.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).
        attribute: (n,) such as the age group; empty: not known, left out.
        groups: (n,) person or pixel hash: what the test shuffles as a whole.
        labels: the classes in order.
        permutations: shuffles a test.
        seed: start of the shuffles.

    Returns:
        ``groups``: value to n, units (persons or pictures), few (units), accuracy,
        accuracy_wilson, macro precision, recall and F1, and recall, precision, f1 and support by
        class; ``unknown`` (n left out); ``gaps``: accuracy, recall by class (None where fewer than
        two values have the class) and
        ``equal_opportunity``, the largest of those, which is of class ``widest`` with
        ``widest_least_n`` examples or more a value; ``worst``: value of the lowest accuracy among
        those that are not few; ``tests``: accuracy and each class's recall to ``p`` and ``p_holm``;
        ``shuffled``: person or picture.

    Source: equal opportunity: Hardt et al. 2016, arXiv 1610.02413; Holm 1979, Scand J Stat 6:65.
    """
    known = attribute != ""
    targets, answers = targets[known], probabilities[known].argmax(axis=1)
    attribute, groups = attribute[known], groups[known]
    values = sorted(set(attribute.tolist()))
    rows = {value: _row(targets, answers, attribute == value, groups, labels) for value in values}
    enough = {value: row for value, row in rows.items() if not row["few"]} or rows
    tests = gap_tests(
        targets, answers, attribute, groups, labels, permutations=permutations, seed=seed
    )
    return {
        "groups": rows,
        "unknown": int((~known).sum()),
        "gaps": _gaps(rows, labels),
        "worst": min(enough, key=lambda value: float(enough[value]["accuracy"]), default=None),
        "tests": tests,
        "shuffled": unit_of(groups) if len(groups) else "picture",
    }


def _row(
    targets: npt.NDArray[np.int64],
    answers: npt.NDArray[np.int64],
    here: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.str_],
    labels: tuple[str, ...],
) -> dict[str, Any]:
    confusion = metrics.confusion_matrix(targets[here], answers[here], len(labels))
    shares = class_shares(confusion)
    precision, recall, f1 = metrics.class_figures(confusion)
    support = confusion.sum(axis=1)
    occurs = (confusion.sum(axis=0) + support) > 0
    n, right, units = int(here.sum()), int(np.trace(confusion)), len(np.unique(groups[here]))
    return {
        "n": n,
        "units": units,
        "few": units < FEW,
        "accuracy": right / n,
        "accuracy_wilson": list(wilson(right, n)),
        "macro_precision": float(precision[occurs].mean()),
        "macro_recall": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
        "recall": {label: _plain(shares["recall"][i]) for i, label in enumerate(labels)},
        "precision": {label: _plain(shares["precision"][i]) for i, label in enumerate(labels)},
        "f1": {label: _plain(shares["f1"][i]) for i, label in enumerate(labels)},
        "support": {label: int(support[i]) for i, label in enumerate(labels)},
    }


def _gaps(rows: dict[str, dict[str, Any]], labels: tuple[str, ...]) -> dict[str, Any]:
    recall = {label: _gap([row["recall"][label] for row in rows.values()]) for label in labels}
    known = {label: gap for label, gap in recall.items() if gap is not None}
    widest = max(known, key=lambda label: known[label], default=None)
    support = [row["support"][widest] for row in rows.values()] if widest else []
    return {
        "accuracy": _gap([row["accuracy"] for row in rows.values()]),
        "recall": recall,
        "equal_opportunity": None if widest is None else known[widest],
        "widest": widest,
        "widest_least_n": min((n for n in support if n), default=0),
    }


def _gap(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return max(known) - min(known) if len(known) > 1 else None


def gap_tests(
    targets: npt.NDArray[np.int64],
    answers: npt.NDArray[np.int64],
    attribute: npt.NDArray[np.str_],
    groups: npt.NDArray[np.str_],
    labels: tuple[str, ...],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Return how often chance alone makes gaps as large: whole persons get another's attribute.

    Args:
        targets: (n,) classes.
        answers: (n,) classes.
        attribute: (n,) value of each.
        groups: (n,) person or pixel hash; one that has several values is shuffled in parts.
        labels: the classes in order.
        permutations: shuffles.
        seed: their start.

    Returns:
        ``accuracy``, and ``recall LABEL`` where two values have the class: ``p`` of the largest gap
        and ``p_holm``, adjusted for all tests of this attribute. Empty for fewer than two values.
    """
    values, of_row = np.unique(attribute, return_inverse=True)
    if len(values) < 2:
        return {}
    keys = np.char.add(np.char.add(groups.astype(np.str_), "\x1f"), attribute)
    units, first, unit = np.unique(keys, return_index=True, return_inverse=True)
    # columns: all examples, then those of each true class
    each = np.column_stack([np.ones(len(targets)), np.eye(len(labels))[targets]])
    cases, right = np.zeros((2, len(units), 1 + len(labels)))
    np.add.at(cases, unit, each)
    np.add.at(right, unit, each * (answers == targets)[:, None])
    value_of_unit = of_row[first]
    observed = _largest_gaps(value_of_unit, len(values), right, cases)
    rng = np.random.default_rng(seed)
    as_large = np.ones(len(observed))
    for _ in range(permutations):
        drawn = _largest_gaps(rng.permutation(value_of_unit), len(values), right, cases)
        as_large += np.nan_to_num(drawn) >= observed - 1e-12
    names = ["accuracy", *(f"recall {label}" for label in labels)]
    chance = {
        name: float(as_large[i] / (1 + permutations))
        for i, name in enumerate(names)
        if np.isfinite(observed[i])
    }
    return {name: {"p": chance[name], "p_holm": p} for name, p in holm(chance).items()}


def _largest_gaps(
    value_of_unit: npt.NDArray[np.int64], n_values: int, right: Counts, cases: Counts
) -> Counts:
    """Return the largest gap of each column between any two values; NaN where only one has any."""
    of_value = np.eye(n_values)[value_of_unit].T
    here = of_value @ cases
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (of_value @ right) / here
    highest = np.where(here > 0, shares, -np.inf).max(axis=0)
    lowest = np.where(here > 0, shares, np.inf).min(axis=0)
    return np.where((here > 0).sum(axis=0) > 1, highest - lowest, np.nan)


def holm(chance: dict[str, float]) -> dict[str, float]:
    """Return p values adjusted for being several, Holm's step-down method."""
    ordered = sorted(chance, key=lambda name: chance[name])
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * chance[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in chance}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
