"""The families of classifiers that the gait parameters were tried with, behind one signature.

Every ``learn_*`` takes people and one setting and returns a scorer whose logits are stated for
equal class shares. Missing values are filled with the training median, except for naive Bayes,
which leaves them out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.models.gait_bayes import GaitBayes
from trainer.models.proportional_odds import ProportionalOdds
from trainer.register.nested_cv import Family, Scorer, Setting, Table, Targets

SMALLEST_PROBABILITY = 1e-3
"""Of a forest: a leaf without a class does not rule the class out."""
TREES = 100
BAYES_SETTINGS: tuple[Setting, ...] = ({"shrinkage": 0.5}, {"shrinkage": 0.0}, {"shrinkage": 1.0})


def gait_bayes(
    table: Table, targets: Targets, spread: npt.NDArray[np.bool_], setting: Setting
) -> GaitBayes:
    """Return a ``GaitBayes`` learnt from people; ``spread`` marks standard deviations."""
    model = GaitBayes(spread, int(targets.max()) + 1)
    model.learn(table, targets, float(setting["shrinkage"]))
    return model.eval()


def bayes_family(name: str, table: Table, spread: npt.NDArray[np.bool_]) -> Family:
    """Return the family of the shipped model on some columns."""

    def learn(seen: Table, targets: Targets, setting: Setting) -> Scorer:
        return BayesScorer(gait_bayes(seen, targets, spread, setting))

    return Family(name, table, BAYES_SETTINGS, learn)


@dataclass(frozen=True, slots=True)
class BayesScorer:
    """A ``GaitBayes`` as a function of arrays."""

    model: GaitBayes

    def __call__(self, table: Table) -> Table:
        """Return (n, n_classes) logits."""
        return np.asarray(self.contributions(table).sum(axis=1))

    def contributions(self, table: Table) -> npt.NDArray[np.float64]:
        """Return (n, n_parameters, n_classes)."""
        with torch.no_grad():
            terms = self.model.contributions(torch.from_numpy(np.asarray(table, dtype=np.float32)))
        return np.asarray(terms.numpy(), dtype=np.float64)


def rival_families(table: Table) -> tuple[Family, ...]:
    """Return every other family that was tried, all on the same columns."""
    return (
        Family("logistic regression", table, _each("C", (0.01, 0.003, 0.1)), _learn_logistic),
        Family("proportional odds", table, _each("penalty", (0.1, 1.0, 0.01)), _learn_ordinal),
        Family("shrunk discriminant", table, _each("shrinkage", (0.5, 0.9, 0.2)), _learn_lda),
        Family("random forest", table, _each("leaf", (5, 10)), _learn_forest),
        Family("extra trees", table, _each("leaf", (4, 8)), _learn_extra_trees),
        Family("boosted trees", table, _each("trees", (20, 60)), _learn_boosted),
        Family("small net", table, _each("alpha", (3.0, 30.0)), _learn_net),
    )


def logistic_family(name: str, table: Table) -> Family:
    """Return logistic regression on a baseline's columns."""
    return Family(name, table, _each("C", (1.0, 0.1, 0.01)), _learn_logistic)


def _each(name: str, values: tuple[float, ...]) -> tuple[Setting, ...]:
    return tuple({name: value} for value in values)


def _learn_logistic(table: Table, targets: Targets, setting: Setting) -> Scorer:
    model = LogisticRegression(C=setting["C"], class_weight="balanced", max_iter=2000)
    return _pipeline(model, table, targets)


def _learn_ordinal(table: Table, targets: Targets, setting: Setting) -> Scorer:
    prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(table)
    model = ProportionalOdds(setting["penalty"]).fit(prepare.transform(table), targets)
    return _logs(lambda rows: model.predict_proba(prepare.transform(rows)))


def _learn_lda(table: Table, targets: Targets, setting: Setting) -> Scorer:
    shares = np.full(int(targets.max()) + 1, 1.0 / (int(targets.max()) + 1))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=setting["shrinkage"], priors=shares)
    return _pipeline(model, table, targets)


def _learn_forest(table: Table, targets: Targets, setting: Setting) -> Scorer:
    model = RandomForestClassifier(
        TREES, min_samples_leaf=setting["leaf"], class_weight="balanced", random_state=0
    )
    return _pipeline(model, table, targets)


def _learn_extra_trees(table: Table, targets: Targets, setting: Setting) -> Scorer:
    model = ExtraTreesClassifier(
        TREES, min_samples_leaf=setting["leaf"], class_weight="balanced", random_state=0
    )
    return _pipeline(model, table, targets)


def _learn_boosted(table: Table, targets: Targets, setting: Setting) -> Scorer:
    model = GradientBoostingClassifier(
        n_estimators=setting["trees"],
        learning_rate=0.05,
        max_depth=2,
        min_samples_leaf=5,
        max_features="sqrt",
        subsample=0.7,
        random_state=0,
    )
    weight = 1.0 / np.bincount(targets)[targets]
    return _pipeline(
        model, table, targets, gradientboostingclassifier__sample_weight=weight * len(weight)
    )


def _learn_net(table: Table, targets: Targets, setting: Setting) -> Scorer:
    """Learn without class weights, which the net lacks; the shares are divided out instead."""
    model = MLPClassifier(
        (8,), solver="lbfgs", alpha=setting["alpha"], max_iter=200, random_state=0
    )
    shares = np.bincount(targets) / len(targets)
    score = _pipeline(model, table, targets)
    return lambda rows: score(rows) - np.log(shares)


def _pipeline(model: Any, table: Table, targets: Targets, **fit: Any) -> Scorer:
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a penalised net stops early enough
        pipeline.fit(table, targets, **fit)
    return _logs(pipeline.predict_proba)


def _logs(predict: Callable[[Table], Any]) -> Scorer:
    return lambda rows: np.log(np.maximum(predict(rows), SMALLEST_PROBABILITY))
