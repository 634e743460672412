"""From windows to people: a person's mean log-probability is their answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer import metrics

FLOOR = 1e-9
"""Probabilities below count as this much: one window cannot rule a class out."""


@dataclass(frozen=True, slots=True)
class People:
    """One answer a person.

    Args:
        names: (n_people,), sorted.
        targets: (n_people,) class.
        probabilities: (n_people, n_labels), rows sum to 1.
    """

    names: npt.NDArray[np.str_]
    targets: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]


def by_person(
    probabilities: npt.NDArray[np.floating],
    targets: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_],
) -> People:
    """Return one answer a person; all windows of a person weigh alike.

    Args:
        probabilities: (n, n_labels) of each window.
        targets: (n,) class of each window's person.
        groups: (n,) the person.

    Returns:
        The people among ``groups``.
    """
    names, first, index = np.unique(groups, return_index=True, return_inverse=True)
    logs = np.log(np.maximum(probabilities.astype(np.float64), FLOOR))
    sums = np.zeros((len(names), logs.shape[1]))
    np.add.at(sums, index, logs)
    means = np.exp(sums / np.bincount(index)[:, None])
    return People(names, targets[first], means / means.sum(axis=1, keepdims=True))


def person_level(
    probabilities: npt.NDArray[np.floating],
    targets: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_],
) -> metrics.Scores:
    """Score people instead of windows.

    Args:
        probabilities: (n, n_labels) of each window.
        targets: (n,) class of each window's person.
        groups: (n,) the person.

    Returns:
        The figures over people.
    """
    people = by_person(probabilities, targets, groups)
    return metrics.score(people.targets, people.probabilities)
