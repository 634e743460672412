"""The learning rate of every step, from the recipe and the passes done: nothing else is kept.

So a resumed run follows the same rates: there is no scheduler whose state could be lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.learning_curve import Row, is_better
from trainer.recipe import FitOptions


def learning_rate(passes_done: float, options: FitOptions, rows: Sequence[Row] = ()) -> float:
    """Return the rate: a linear rise over the warm-up, then the recipe's schedule.

    Args:
        passes_done: also between two passes, as in 3.5.
        options: the schedule.
        rows: the passes done, which ``plateau`` looks at.

    Returns:
        What the optimiser is to use next.
    """
    warmup = min(options.warmup_passes, options.passes / 2)
    if passes_done < warmup:
        return options.learning_rate * max(passes_done / warmup, 0.01)
    if options.schedule == "constant":
        return options.learning_rate
    if options.schedule == "plateau":
        return plateau_rate(rows, options)
    if options.schedule == "cosine_restarts":
        share = share_of_cycle(passes_done - warmup, options)
    else:
        share = (passes_done - warmup) / (options.passes - warmup)
    floor = options.min_learning_rate
    return floor + (options.learning_rate - floor) * 0.5 * (1.0 + math.cos(math.pi * share))


def share_of_cycle(passes: float, options: FitOptions) -> float:
    """Return how much of its cycle is over, 0 to 1, ``passes`` after the warm-up.

    The first cycle lasts ``restart_passes``, each other one ``restart_factor`` times the one
    before. Source: Loshchilov and Hutter 2017, arXiv 1608.03983, equation (5).
    """
    length = float(options.restart_passes)
    while passes >= length:
        passes -= length
        length *= options.restart_factor
    return passes / length


def plateau_rate(rows: Sequence[Row], options: FitOptions) -> float:
    """Return the rate after ``rows``: less by a factor each time that validation stood still.

    Args:
        rows: the passes done.
        options: ``plateau_passes`` without a better ``select_by``, counted anew after each cut,
            multiply the rate by ``plateau_factor``, down to ``min_learning_rate``.

    Returns:
        The rate of the next pass.
    """
    rate, stalled = options.learning_rate, 0
    best: Row | None = None
    for row in rows:
        if best is None or is_better(row, best, options.select_by):
            best, stalled = row, 0
        else:
            stalled += 1
        if stalled == options.plateau_passes:
            rate, stalled = max(rate * options.plateau_factor, options.min_learning_rate), 0
    return rate
