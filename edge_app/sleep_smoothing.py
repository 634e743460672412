"""A calmer hypnogram for display, from final stages; the raw ones always stay beside it.

A stage that lasts a single epoch gives way to the stage shown before it. Waking never does:
awakenings are what a hypnogram is looked at for. To know whether a stage lasts, one epoch more has
to be final: the calm hypnogram is ``DELAY_EPOCHS`` behind the final one, and never changes either.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_app.sleep_statistics import WAKE

DELAY_EPOCHS = 1


def without_flicker(stages: Sequence[str | None]) -> list[str | None]:
    """Return the stages without those that last a single epoch, unless it is W.

    Args:
        stages: of consecutive epochs, None: unknown, which stays unknown and confirms nothing.

    Returns:
        As many stages. The last one has not waited for its successor yet: it is the raw one.
    """
    calm: list[str | None] = []
    for number, stage in enumerate(stages):
        shown = calm[-1] if calm else None
        last = number + DELAY_EPOCHS >= len(stages)
        lasts = last or stages[number + DELAY_EPOCHS] == stage
        keep = stage in (None, WAKE, shown) or lasts or shown is None
        calm.append(stage if keep else shown)
    return calm
