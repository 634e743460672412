"""Whether one bundle is better than another on the same pictures: McNemar and paired bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from edge_app.errors import ContractError
from trainer.emotion_evaluation.uncertainty import STEADY, Counted, unit_of
from trainer.examination import RESAMPLES
from trainer.intervals import bootstrap_over_groups


def mcnemar(right: npt.NDArray[np.bool_], baseline_right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the exact McNemar test of two models on the same pictures.

    Args:
        right: (n,) whether the model is right.
        baseline_right: (n,) whether the other is, in the same order.

    Returns:
        ``both_right``, ``only_model``, ``only_baseline``, ``both_wrong`` (counts), ``p`` two-sided.

    Raises:
        ContractError: other pictures.

    Source: McNemar 1947, doi 10.1007/BF02295996; exact: binomial on the pictures that differ.
    """
    if right.shape != baseline_right.shape:
        raise ContractError(
            "only answers for the same pictures can be compared",
            expected=right.shape,
            got=baseline_right.shape,
            next_step="Score both on the same pictures in the same order",
        )
    ours = int((right & ~baseline_right).sum())
    theirs = int((~right & baseline_right).sum())
    return {
        "both_right": int((right & baseline_right).sum()),
        "only_model": ours,
        "only_baseline": theirs,
        "both_wrong": int((~right & ~baseline_right).sum()),
        "p": float(binomtest(ours, ours + theirs, 0.5).pvalue) if ours + theirs else 1.0,
    }


def compare(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[Any],
    baseline: npt.NDArray[Any],
    groups: npt.NDArray[np.str_],
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Return how much better the model is than the baseline, with tests.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels) of the model.
        baseline: (n, n_labels) of the other, same pictures, same classes in order.
        groups: (n,) person or pixel hash; drawn as a whole.
        resamples: draws.

    Returns:
        The keys of ``mcnemar``; ``model`` and ``baseline`` figures; ``gain``: ``STEADY`` to value,
        low and high (95 %, model minus baseline, paired bootstrap); ``interval_over``.
    """
    first, second = Counted(targets, probabilities), Counted(targets, baseline)

    def gain(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        ours, theirs = first.overall(rows), second.overall(rows)
        return {name: ours[name] - theirs[name] for name in STEADY}

    found = bootstrap_over_groups(gain, groups, resamples=resamples)
    everything = np.arange(len(targets))
    return {
        **mcnemar(probabilities.argmax(axis=1) == targets, baseline.argmax(axis=1) == targets),
        "model": first.overall(everything),
        "baseline": second.overall(everything),
        "gain": {
            name: {"value": found[name].value, "low": found[name].low, "high": found[name].high}
            for name in STEADY
        },
        "interval_over": unit_of(groups),
    }
