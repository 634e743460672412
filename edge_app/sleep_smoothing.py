"""A calmer hypnogram for display, from final stages; the raw ones always stay beside it.

A single epoch between two of one other stage is shown as that stage; between two that differ it
stays as it is. W never gives way: awakenings are what a hypnogram is looked at for. Sleep becomes W
only between two epochs of W. To know the neighbour, one epoch more has to be final: the calm
hypnogram is ``DELAY_EPOCHS`` behind the final one, and never changes either.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_app.sleep_statistics import WAKE

DELAY_EPOCHS = 1


def without_flicker(stages: Sequence[str | None]) -> list[str | None]:
    """Return the stages without single epochs between two of one other stage, unless they are W.

    Args:
        stages: of consecutive epochs, None: unknown, which stays unknown and confirms nothing.

    Returns:
        As many stages. The last one has not waited for its successor yet: it is the raw one.
    """
    calm = list(stages)
    for number in range(1, len(calm) - DELAY_EPOCHS):
        before, stage, after = calm[number - 1 : number + 2]  # before: as shown, after: raw
        if stage not in (None, WAKE) and before is not None and before == after:
            calm[number] = before
    return calm
