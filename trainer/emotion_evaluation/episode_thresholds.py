"""From which probability on an expression may be told as an episode: chosen for a stated PPV."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.errors import ContractError
from edge_app.inference.manifest import EpisodeSpec
from trainer.emotion_evaluation.proportions import wilson

LEAVE_SHARE = 0.75
"""Hysteresis: an episode ends below this share of the probability at which it begins (0.6 to 0.45
in the project's reference)."""
MIN_DURATION_S = 1.0


def choose_episodes(
    probabilities: npt.NDArray[np.floating[Any]],
    targets: npt.NDArray[np.int64],
    labels: tuple[str, ...],
    ppv: float = 0.8,
    for_labels: tuple[str, ...] = ("fear", "angry"),
) -> tuple[EpisodeSpec, ...]:
    """Return a threshold for each expression that can be told with the stated PPV.

    The lowest probability is chosen at which the LOWER end of the PPV's 95 % Wilson interval
    reaches ``ppv``: the point value alone would reward a threshold that three lucky pictures
    passed. It is still chosen on the pictures that it is stated for, each seen once, at their share
    of the class; at a bedside with fewer such expressions fewer of 100 episodes are right.

    Args:
        probabilities: (n, n_labels), calibrated, of validation pictures.
        targets: (n,) their classes.
        labels: the classes in order.
        ppv: wanted share of right ones.
        for_labels: expressions of interest.

    Returns:
        One for each that can be told, in the order of ``for_labels``; see ``why_left_out``.

    Raises:
        ContractError: an expression that is none of the labels.
    """
    _refuse_unknown(for_labels, labels)
    chosen = []
    for label in for_labels:
        index = labels.index(label)
        found = _lowest(probabilities[:, index], targets == index, ppv)
        if found is None:
            continue
        threshold, n, hits = found
        chosen.append(
            EpisodeSpec(
                label=label,
                enter_probability=threshold,
                leave_probability=LEAVE_SHARE * threshold,
                min_duration_s=MIN_DURATION_S,
                ppv=hits / n,
                ppv_low=wilson(hits, n)[0],
                recall=hits / int((targets == index).sum()),
                prevalence=float((targets == index).mean()),
            )
        )
    return tuple(chosen)


def why_left_out(
    probabilities: npt.NDArray[np.floating[Any]],
    targets: npt.NDArray[np.int64],
    labels: tuple[str, ...],
    ppv: float = 0.8,
    for_labels: tuple[str, ...] = ("fear", "angry"),
) -> dict[str, str]:
    """Return a sentence for each expression that ``choose_episodes`` leaves out.

    Args:
        probabilities: (n, n_labels), calibrated, of validation pictures.
        targets: (n,) their classes.
        labels: the classes in order.
        ppv: wanted share of right ones.
        for_labels: expressions of interest.

    Returns:
        Label to reason; empty where all can be told.

    Raises:
        ContractError: an expression that is none of the labels.
    """
    _refuse_unknown(for_labels, labels)
    reasons = {}
    for label in for_labels:
        index = labels.index(label)
        said, true = probabilities[:, index], targets == index
        if _lowest(said, true, ppv) is not None:
            continue
        if not true.any():
            reasons[label] = f"no validation picture is {label}"
            continue
        low, (threshold, n, hits) = max(
            (wilson(hits, n)[0], (threshold, n, hits)) for threshold, n, hits in _steps(said, true)
        )
        reasons[label] = (
            f"at no probability is a PPV of {ppv:g} certain: best at {threshold:.3f}, {hits} right"
            f" of {n}, at least {low:.3f} (lower end of the 95 % Wilson interval)"
        )
    return reasons


def _refuse_unknown(for_labels: tuple[str, ...], labels: tuple[str, ...]) -> None:
    unknown = set(for_labels) - set(labels)
    if unknown:
        raise ContractError(
            "no such expression",
            expected=labels,
            got=sorted(unknown),
            next_step="Name expressions of the model",
        )


def _steps(
    said: npt.NDArray[np.floating[Any]], true: npt.NDArray[np.bool_]
) -> list[tuple[float, int, int]]:
    """Return every threshold with the pictures at or above it and how many are right, falling."""
    order = np.argsort(-said, kind="stable")
    ranked = said[order].astype(np.float64)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(true[order])[last]
    return [(float(ranked[i]), int(i) + 1, int(h)) for i, h in zip(last, hits, strict=True)]


def _lowest(
    said: npt.NDArray[np.floating[Any]], true: npt.NDArray[np.bool_], ppv: float
) -> tuple[float, int, int] | None:
    reached = [step for step in _steps(said, true) if wilson(step[2], step[1])[0] >= ppv]
    return reached[-1] if reached else None
