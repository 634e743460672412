"""What ``trainer evaluate`` may be asked beyond scores, and who can answer it.

An experiment that has the two methods of ``Examiner`` is asked; the others are scored as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError

if TYPE_CHECKING:
    from edge_app.inference.bundle import Bundle
    from trainer.experiment import Experiment, Split

PREVALENCE = 0.05
"""Share at which predictive values are restated unless the user states another: a choice. The
classes of web pictures are far more even than an hour at a bedside."""
SELECTIVE_ACCURACY = 0.9
"""Wanted among answers, unless the user states another: a choice."""
RESAMPLES = 1000
"""Draws of a bootstrap."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asks for.

    Args:
        by: attributes of the data whose values are compared, such as ``age_group``.
        baseline: another bundle, for McNemar's test.
        duplicates_of: data whose pictures count as copies.
        corruptions: score spoilt pictures as well.
        prevalence: share of a class at which predictive values are restated.
        selective_accuracy: wanted among answers, for the abstention threshold.
        through_detector: score framed pictures through the bedside's detector and crop as well.
        detector: its file; None: the one the bedside finds by itself.
        resamples: draws of every bootstrap.
    """

    by: tuple[str, ...] = ()
    baseline: Path | None = None
    duplicates_of: Path | None = None
    corruptions: bool = False
    prevalence: float = PREVALENCE
    selective_accuracy: float = SELECTIVE_ACCURACY
    through_detector: bool = False
    detector: Path | None = None
    resamples: int = RESAMPLES


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class Baseline:
    """Another bundle's answers for the same examples.

    Args:
        name: of the bundle.
        probabilities: (n, n_labels), classes in the order of the bundle that is scored.
    """

    name: str
    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Examination:
    """What an examiner works on.

    Args:
        bundle: what is scored.
        split: labelled data.
        probabilities: as the experiment's ``score`` gave them.
        path: where ``split`` came from.
        wishes: what is asked.
        subsets: named parts of the split to score on their own as well: name to (n,) mask.
        score: probabilities of another split by the same bundle; the text says what is done.
        baseline: where ``wishes.baseline`` names one.
    """

    bundle: Bundle
    split: Split
    probabilities: npt.NDArray[np.float32]
    path: Path
    wishes: Wishes
    subsets: dict[str, npt.NDArray[np.bool_]]
    score: Callable[[Split, str], npt.NDArray[np.float32]]
    baseline: Baseline | None


@runtime_checkable
class Examiner(Protocol):
    """An experiment with more to say about a bundle than scores."""

    def examine(self, examination: Examination) -> dict[str, Any]:
        """Return all figures of a bundle on a split as plain JSON values.

        Args:
            examination: what is examined, and what is asked.

        Returns:
            At least what ``Experiment.split_figures`` returns, and ``subsets``.
        """


def refuse_what_cannot_be(experiment: Experiment, split: Split, wishes: Wishes) -> None:
    """Refuse wishes that nobody can fulfil, before anything slow is done.

    Args:
        experiment: whose bundle is scored.
        split: what it is scored on.
        wishes: what is asked.

    Raises:
        ConfigError: the task is not examined, or the data have no such attribute.
    """
    if wishes == NO_WISHES:
        return
    if not isinstance(experiment, Examiner):
        raise ConfigError(
            f"{experiment.task} is not examined this way",
            got=wishes,
            next_step="Leave --by, --baseline, --duplicates-of, --corruptions, --prevalence,"
            " --selective-accuracy and --through-detector out",
        )
    known = split.attributes or {}
    unknown = [name for name in wishes.by if name not in known]
    if unknown:
        raise ConfigError(
            "these data do not say who is shown"
            if not known
            else f"these data have no {', '.join(unknown)}",
            source=split.name,
            expected=sorted(known) or None,
            got=unknown,
            next_step="Leave --by out: pictures are grouped by brightness, contrast and sharpness"
            " in every report (robustness, not fairness)"
            if not known
            else "Name one that they have",
        )
