"""What is asked of the register's model: one family, its answers out of fold, and what shakes them.

Everything here reuses the folds of ``nested_cv``: a person is only ever scored by folds that have
not seen them, with that fold's own setting and temperature. Nothing is tuned on these figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.datasets.gait_parameters import ANGLES, LENGTHS, PHASES, TEMPORAL, is_spread, without
from trainer.datasets.gstride import LABELS, Person
from trainer.register.families import BayesScorer
from trainer.register.nested_cv import OutOfFold, Table, Targets
from trainer.register.person_scores import person_figures

BRIEF = (
    *("n", "accuracy", "balanced_accuracy", "macro_f1", "recall_robust", "recall_prefrail"),
    *("recall_frail", "precision_frail", "auc_frail", "auc_robust", "brier", "ece", "per_class"),
)
"""Figures kept of what is shaken: the bundle's file need not hold all of each."""
STRIDES = (20, 50, 200)
"""Numbers of strides of the simulated draw."""


def study(
    people: Sequence[Person], parameters: Sequence[str], table: Table, oof: OutOfFold
) -> dict[str, Any]:
    """Return every figure of the shipped family.

    Args:
        people: the register, in the table's order.
        parameters: names of the table's columns.
        table: (n, n_parameters).
        oof: the family's answers.

    Returns:
        Plain JSON values: ``overall``, ``confounders``, ``missing_parameters``,
        ``simulated_stride_draws``, ``simulated_offsets`` and ``contributions``.
    """
    targets = classes(people)
    return {
        "overall": person_figures(targets, oof.probabilities, LABELS),
        "confounders": {
            name: person_figures(targets[mask], oof.probabilities[:, mask], LABELS)
            for name, mask in confounders(people).items()
            if mask.any()
        },
        "missing_parameters": missing_parameters(targets, parameters, table, oof),
        "simulated_stride_draws": stride_draws(targets, parameters, table, oof),
        "simulated_offsets": offsets(targets, parameters, table, oof),
        "contributions": mean_contributions(targets, parameters, table, oof),
    }


def classes(people: Sequence[Person]) -> Targets:
    """Return (n,) classes as indices of ``LABELS``."""
    return np.array([LABELS.index(person.frailty) for person in people], dtype=np.int64)


def confounders(people: Sequence[Person]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return named masks of people by surface, device, place, residence and sex; unknown: in none.

    Args:
        people: rows of a register.

    Returns:
        Name to an (n,) mask; only those that somebody is in.
    """

    def mask(belongs: Callable[[Person], bool]) -> npt.NDArray[np.bool_]:
        return np.array([belongs(person) for person in people], dtype=bool)

    masks = {
        "indoors": mask(lambda person: person.indoors is True),
        "outdoors": mask(lambda person: person.indoors is False),
        "nursing_home_resident": mask(lambda person: person.lives_in_nursing_home is True),
        "living_at_home": mask(lambda person: person.lives_in_nursing_home is False),
    }
    for field in ("device", "place", "sex", "age_range"):
        for value in sorted({getattr(person, field) for person in people} - {None}):
            name = f"{field}_{value}".lower().replace(" ", "_")
            masks[name] = np.array([getattr(person, field) == value for person in people])
    return {name: chosen for name, chosen in masks.items() if chosen.any()}


def missing_parameters(
    targets: Targets, parameters: Sequence[str], table: Table, oof: OutOfFold
) -> dict[str, Any]:
    """Score with parameters made unknown at the time of the answer; nothing is learnt anew.

    For naive Bayes this equals learning without them, up to the temperature.

    Args:
        targets: (n,) classes.
        parameters: names of the table's columns.
        table: (n, n_parameters).
        oof: the folds that answer.

    Returns:
        What is missing to figures without intervals.
    """
    spread = is_spread(parameters)
    groups = {
        "without_angles": without(parameters, ANGLES),
        "without_lengths_and_speed": without(parameters, LENGTHS),
        "without_phases": without(parameters, PHASES),
        "without_standard_deviations": spread,
        "without_means": ~spread,
        "temporal_only": ~without(parameters, TEMPORAL),
    }
    result = {}
    for name, missing in groups.items():
        if not missing.any():
            continue  # the model does not read it anyway
        blanked = np.where(missing, np.nan, table)
        probabilities = answer_again(oof, blanked.__getitem__)
        left = int((~missing).sum())
        result[name] = {"parameters_left": left, **_brief(targets, probabilities)}
    return result


def stride_draws(
    targets: Targets, parameters: Sequence[str], table: Table, oof: OutOfFold
) -> dict[str, Any]:
    """Score SIMULATED short walks: mean and SD as ``STRIDES`` strides of each row would give them.

    Every stride is drawn from the row's normal, so the mean strays by SD / sqrt(n) and the variance
    as chi-squared over n - 1 (Cochran's theorem); strides are taken as independent, which real ones
    are not, and the register's own few hundred strides as infinitely many.

    Args:
        targets: (n,) classes.
        parameters: names of the table's columns.
        table: (n, n_parameters).
        oof: the folds that answer.

    Returns:
        ``strides_20`` and so on to figures without intervals, each marked as simulated.
    """
    rng = np.random.default_rng(0)
    spread = is_spread(parameters)
    sd_of = np.array([_column(parameters, name, "_sd") for name in parameters])
    result = {}
    for n in STRIDES:

        def drawn(rows: npt.NDArray[np.int64], n: int = n) -> Table:
            exact = table[rows]
            sd = np.where(sd_of >= 0, exact[:, sd_of], 0.0)
            means = exact + sd / np.sqrt(n) * rng.standard_normal(exact.shape)
            sds = exact * np.sqrt(rng.chisquare(n - 1, exact.shape) / (n - 1))
            return np.asarray(np.where(spread, sds, means))

        probabilities = answer_again(oof, drawn)
        result[f"strides_{n}"] = _shaken(targets, probabilities, oof)
    return result


def offsets(
    targets: Targets, parameters: Sequence[str], table: Table, oof: OutOfFold
) -> dict[str, Any]:
    """Score with SIMULATED offsets, as between one stride detection and another.

    Each mean is moved for everybody by half the distance between the medians of robust and frail
    people, the largest disagreement that the reference lets a parameter have; then all together, by
    a quarter and by half.

    Args:
        targets: (n,) classes.
        parameters: names of the table's columns.
        table: (n, n_parameters).
        oof: the folds that answer.

    Returns:
        What is moved to figures without intervals, each marked as simulated.
    """
    frail, robust = (
        np.median(table[targets == LABELS.index(label)], axis=0) for label in ("frail", "robust")
    )
    distance = np.where(is_spread(parameters), 0.0, frail - robust)
    moves = {}
    for i, name in enumerate(parameters):
        if distance[i]:
            one = np.where(np.arange(len(parameters)) == i, distance, 0.0)
            moves[f"{name}_half_towards_frail"] = 0.5 * one
            moves[f"{name}_half_towards_robust"] = -0.5 * one
    for share, word in ((0.25, "quarter"), (0.5, "half")):
        moves[f"all_means_{word}_towards_frail"] = share * distance
        moves[f"all_means_{word}_towards_robust"] = -share * distance
    result = {}
    for name, move in moves.items():
        probabilities = answer_again(oof, (table + move).__getitem__)
        result[name] = _shaken(targets, probabilities, oof)
    return result


def mean_contributions(
    targets: Targets, parameters: Sequence[str], table: Table, oof: OutOfFold
) -> dict[str, dict[str, float]]:
    """Return what each parameter adds, on average, to the log-odds of the true class.

    Out of fold, after the fold's temperature, against the mean of all classes; 0 says nothing,
    below 0 misleads.

    Args:
        targets: (n,) classes.
        parameters: names of the table's columns.
        table: (n, n_parameters).
        oof: folds whose scorers are ``GaitBayes``.

    Returns:
        Parameter to label to the mean over its people and all repeats.
    """
    sums = np.zeros((len(parameters), len(LABELS)))
    counts = np.zeros(len(LABELS))
    for fold in oof.folds:
        if not isinstance(fold.scorer, BayesScorer):
            continue
        terms = fold.scorer.contributions(table[fold.scored]) / fold.chosen.temperature
        truth = targets[fold.scored]
        np.add.at(sums.T, truth, terms[np.arange(len(truth)), :, truth])
        counts += np.bincount(truth, minlength=len(LABELS))
    means = sums / np.maximum(counts, 1)
    return {
        name: dict(zip(LABELS, map(float, row), strict=True))
        for name, row in zip(parameters, means, strict=True)
    }


def answer_again(
    oof: OutOfFold, table_of: Callable[[npt.NDArray[np.int64]], Table]
) -> npt.NDArray[np.float64]:
    """Return (n_repeats, n, n_classes) of the same folds for other values of the same people.

    Args:
        oof: folds that answer for the people they have not seen.
        table_of: (n_rows, n_parameters) for some rows.

    Returns:
        Probabilities.
    """
    probabilities = np.zeros_like(oof.probabilities)
    for fold in oof.folds:
        probabilities[fold.repeat, fold.scored] = fold.probabilities(table_of(fold.scored))
    return probabilities


def _brief(targets: Targets, probabilities: npt.NDArray[np.float64]) -> dict[str, Any]:
    figures = person_figures(targets, probabilities, LABELS, resamples=0)
    return {key: figures[key] for key in BRIEF}


def _shaken(
    targets: Targets, probabilities: npt.NDArray[np.float64], oof: OutOfFold
) -> dict[str, Any]:
    """Return figures of SIMULATED values, and the share of people whose answer stays the same."""
    agree = probabilities.argmax(axis=2) == oof.probabilities.argmax(axis=2)
    same = float(agree.mean())
    return {"simulated": True, "same_answer": same, **_brief(targets, probabilities)}


def _column(parameters: Sequence[str], name: str, ending: str) -> int:
    """Return the column of the SD that belongs to a mean; -1 where there is none."""
    wanted = f"{name.removesuffix('_mean')}{ending}"
    return list(parameters).index(wanted) if wanted in parameters else -1
