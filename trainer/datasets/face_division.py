"""An own split of labelled faces: whole persons to each side, shares of everything kept.

Few persons cannot be divided well by chance, so a search looks for the side whose shares of
classes, age groups, genders and countries are nearest to everybody's: seeded draws first, then
exchanges of two persons until none helps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.datasets.clinical_table import BALANCED
from trainer.datasets.face_set import Faces

DRAWS = 500
MOST_EXCHANGED = 200
"""Above so many persons chance alone balances shares, class by class."""
Mask = npt.NDArray[np.bool_]


def divide(
    faces: Faces, *, validation_share: float, test_share: float, seed: int
) -> tuple[Faces, Faces, Faces]:
    """Divide into three sides that share no group.

    Args:
        faces: with the person of each picture as its group, or the hash of its pixels.
        validation_share: of all groups, at least one where there are three.
        test_share: of all groups; 0: the third side is empty.
        seed: start of the search.

    Returns:
        To learn from, to choose by, to test on.
    """
    test = choose_side(faces, test_share, seed)
    rest = faces.take(~test)
    left = 1.0 - test_share
    validation = choose_side(rest, validation_share / left if left > 0 else 0.0, seed + 1)
    return rest.take(~validation), rest.take(validation), faces.take(test)


def choose_side(faces: Faces, share: float, seed: int) -> Mask:
    """Return the pictures of the groups that go to a side.

    Args:
        faces: all.
        share: of the groups.
        seed: start of the search.

    Returns:
        (n,) True for the side; no group is on both.
    """
    persons, index = np.unique(faces.groups, return_inverse=True)
    wanted = min(max(round(share * len(persons)), 1), len(persons) - 1) if share > 0 else 0
    if wanted <= 0:
        return np.zeros(len(faces.labels), dtype=bool)
    random = np.random.default_rng(seed)
    if len(persons) > MOST_EXCHANGED:
        chosen = _by_class(faces, index, len(persons), share, random)
    else:
        chosen = _search(_features(faces, index, len(persons)), wanted, random)
    side: Mask = chosen[index]
    return side


def imbalance(faces: Faces, side: Mask) -> float:
    """Return how far a side's shares of classes and demographics are from everybody's.

    Args:
        faces: all.
        side: (n,) True for the pictures of the side.

    Returns:
        The mean difference of shares, and the share of kinds that the side has none of.
    """
    features = _features(faces, np.arange(len(side)), len(side))
    return float(_cost(features[side].sum(axis=0)[None], features.sum(axis=0))[0])


def _by_class(
    faces: Faces,
    index: npt.NDArray[np.intp],
    n: int,
    share: float,
    random: np.random.Generator,
) -> Mask:
    """Draw the share of each class's groups; a group is of the class of its first picture."""
    first = np.zeros(n, dtype=np.int64)
    first[index[::-1]] = faces.labels[::-1]
    chosen = np.zeros(n, dtype=bool)
    for label in np.unique(first):
        members = random.permutation(np.flatnonzero(first == label))
        chosen[members[: round(share * len(members))]] = True
    return chosen


def _features(faces: Faces, index: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.float64]:
    """Return (n groups, n features): pictures of each group by class, age group, gender ..."""
    columns = [np.eye(faces.n_labels)[faces.labels]]
    for name in BALANCED:
        if faces.attributes is not None and name in faces.attributes:
            words, word = np.unique(faces.attributes[name], return_inverse=True)
            columns.append(np.eye(len(words))[word])
    pictures = np.concatenate(columns, axis=1)
    features = np.zeros((n, pictures.shape[1]))
    np.add.at(features, index, pictures)
    return features


def _cost(
    sums: npt.NDArray[np.float64], everybody: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the mean absolute difference of shares of candidates' sums (n, n features)."""
    # Classes, genders and so on each add up to the pictures, so one divisor does for all columns.
    shares = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-12)
    apart = np.abs(shares - everybody / everybody.sum()).mean(axis=1)
    nobody = (sums[:, everybody > 0] == 0).mean(axis=1)  # of a kind: weighs most
    cost: npt.NDArray[np.float64] = apart + nobody
    return cost


def _search(features: npt.NDArray[np.float64], wanted: int, random: np.random.Generator) -> Mask:
    everybody = features.sum(axis=0)
    draws = np.stack([random.permutation(len(features))[:wanted] for _ in range(DRAWS)])
    costs = _cost(features[draws].sum(axis=1), everybody)
    inside = np.zeros(len(features), dtype=bool)
    inside[draws[int(costs.argmin())]] = True
    best = float(costs.min())
    while True:
        leaves, joins = np.flatnonzero(inside), np.flatnonzero(~inside)
        pairs = np.array([(one, other) for one in leaves for other in joins])
        sums = features[inside].sum(axis=0) - features[pairs[:, 0]] + features[pairs[:, 1]]
        costs = _cost(sums, everybody)
        if costs.min() >= best - 1e-12:
            return inside
        best = float(costs.min())
        one, other = pairs[int(costs.argmin())]
        inside[one], inside[other] = False, True
