"""What accuracy hides: how restless the answers are, how late a change is seen, what is revised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.datasets.sleep_stages import EPOCH_S
from trainer.sleep_evaluation.agreement import none_if_nan
from trainer.sleep_evaluation.night_answers import NightAnswers


def changes_per_hour(nights: Sequence[NightAnswers]) -> dict[str, float | None]:
    """Return how often neighbouring epochs differ, by the model and by the expert.

    Only neighbours that are both scored and both answered count, so that both speak of the same
    time; an hour is 120 of them.

    Args:
        nights: contiguous ones; the others are left out.

    Returns:
        ``model`` and ``expert``; None where no neighbours count.
    """
    pairs, model, expert = 0, 0, 0
    for night in nights:
        if not night.contiguous:
            continue
        counts = night.scored & night.answered
        both = counts[1:] & counts[:-1]
        pairs += int(both.sum())
        model += int((np.diff(night.answers) != 0)[both].sum())
        expert += int((np.diff(night.stages) != 0)[both].sum())
    if not pairs:
        return {"model": None, "expert": None}
    hours = pairs * EPOCH_S / 3600.0
    return {"model": model / hours, "expert": expert / hours}


def detection_delays_s(night: NightAnswers, delay_epochs: int) -> npt.NDArray[np.float64]:
    """Return how long after each true change of stage the new stage is first said.

    Counted from the start of the first epoch of the new stage to the moment of the answer, so 30 s
    at the least. A change is missed when the stage is over before any of its epochs is called it.

    Args:
        night: a contiguous one.
        delay_epochs: epochs that every answer waits.

    Returns:
        (n_changes,) seconds, infinite where missed.
    """
    neighbours = night.scored[1:] & night.scored[:-1] & (np.diff(night.stages) != 0)
    starts = np.flatnonzero(neighbours) + 1
    delays_s = np.full(len(starts), np.inf)
    for i, start in enumerate(starts):
        stage = night.stages[start]
        others = np.flatnonzero(night.stages[start:] != stage)
        stop = start + others[0] if len(others) else len(night.stages)
        hits = np.flatnonzero(night.answers[start:stop] == stage)
        if len(hits):
            delays_s[i] = (hits[0] + 1 + delay_epochs) * EPOCH_S
    return delays_s


def time_to_detect(nights: Sequence[NightAnswers], delay_epochs: int) -> dict[str, Any]:
    """Return how late true changes of stage are seen.

    Args:
        nights: contiguous ones; the others are left out.
        delay_epochs: epochs that every answer waits.

    Returns:
        ``changes``, ``missed_share``, and ``median_s`` and ``p90_s`` over those not missed, None
        where there are none. Stages of one epoch are easily missed.
    """
    whole = [detection_delays_s(night, delay_epochs) for night in nights if night.contiguous]
    delays_s = np.concatenate(whole) if whole else np.zeros(0)
    seen = delays_s[np.isfinite(delays_s)]
    return {
        "changes": len(delays_s),
        "missed_share": none_if_nan(1.0 - len(seen) / len(delays_s)) if len(delays_s) else None,
        "median_s": float(np.median(seen)) if len(seen) else None,
        "p90_s": float(np.quantile(seen, 0.9)) if len(seen) else None,
    }


def revision_rate(first: Sequence[NightAnswers], last: Sequence[NightAnswers]) -> float | None:
    """Return the share of answers said at once that were later changed.

    Args:
        first: the nights as answered at once.
        last: the same nights, answered as late as possible.

    Returns:
        Over epochs answered both times, scored or not; None where there are none.
    """
    changed, n = 0, 0
    for early, late in zip(first, last, strict=True):
        both = early.answered & late.answered
        changed += int((early.answers != late.answers)[both].sum())
        n += int(both.sum())
    return changed / n if n else None
