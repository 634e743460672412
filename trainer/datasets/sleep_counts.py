"""Which epochs of a night count, and how many of each stage: two conventions.

Published counts of Sleep-EDF drop movement and unscored epochs **first** and keep 60 epochs around
sleep then (42,308 epochs of 39 nights); trimming first and masking in place gives 42,307.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.counted import counted
from trainer.datasets.sleep_stages import STAGES, UNSCORED

MARGIN_EPOCHS = 60
"""Kept before the first and after the last epoch of sleep: 30 minutes."""
SLEEP_EDF_20 = frozenset(
    f"SC4{subject:02d}{night}" for subject in range(20) for night in (1, 2)
) - {"SC4132"}
"""The 39 nights of the 20-subject set; subject 13 lost one."""
PUBLISHED_COUNTS = (8285, 2804, 17799, 5703, 7717)
"""Epochs of those nights by stage: 42,308."""
_NIGHT_LENGTH = 6
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Epochs of one or more nights.

    Args:
        scored: by stage in the order of ``STAGES``.
        masked: movement and not scored, between the first and the last counted epoch.
    """

    scored: tuple[int, ...]
    masked: int

    @property
    def total(self) -> int:
        """Scored epochs of all stages."""
        return sum(self.scored)

    def __str__(self) -> str:
        stages = " ".join(f"{s} {n:,}" for s, n in zip(STAGES, self.scored, strict=True))
        return f"{counted(self.total, 'epoch')} ({stages}), {self.masked:,} masked"


def sleep_range(stages: npt.NDArray[np.int64], *, drop_first: bool = True) -> range:
    """Return which epochs to keep of a whole recording.

    Args:
        stages: (n,) index into ``STAGES``, -1 where not scored.
        drop_first: True: 60 scored epochs around sleep, as in the published counts; False: 60
            epochs of time.

    Returns:
        From the first to the last, without a hole; empty where nobody sleeps.
    """
    asleep = np.flatnonzero(stages > 0)
    if not len(asleep):
        return range(0)
    kept = np.flatnonzero(stages != UNSCORED) if drop_first else np.arange(len(stages))
    first, last = np.searchsorted(kept, (asleep[0], asleep[-1]))
    begin = kept[max(0, first - MARGIN_EPOCHS)]
    end = kept[min(len(kept) - 1, last + MARGIN_EPOCHS)]
    return range(int(begin), int(end) + 1)


def count_stages(nights: Iterable[npt.NDArray[np.int64]]) -> StageCounts:
    """Count the stages of nights that are trimmed already.

    Args:
        nights: (n,) stages each, -1 where not scored.

    Returns:
        The counts of all together.
    """
    counts = sum(
        (np.bincount(night + 1, minlength=len(STAGES) + 1) for night in nights),
        np.zeros(len(STAGES) + 1, np.int64),
    )
    return StageCounts(tuple(counts[1:].tolist()), int(counts[0]))


def tell_counts(nights: Mapping[str, npt.NDArray[np.int64]]) -> None:
    """Say to the log how many epochs there are, and warn when they are not the published ones.

    Args:
        nights: trimmed stages by name, ``SC4ssN...``. Held against the published counts when all
            39 nights of the 20-subject set are among them.
    """
    _log.info("%s: %s", counted(len(nights), "night"), count_stages(nights.values()))
    of_20 = {n[:_NIGHT_LENGTH]: s for n, s in nights.items() if n[:_NIGHT_LENGTH] in SLEEP_EDF_20}
    if set(of_20) != SLEEP_EDF_20:
        return
    counts = count_stages(of_20.values())
    published = StageCounts(PUBLISHED_COUNTS, counts.masked)
    if counts.scored == PUBLISHED_COUNTS:
        _log.info("the 39 nights of Sleep-EDF-20 have the published counts")
        return
    _log.warning(
        "!!! THE COUNTS DIFFER from the published ones of Sleep-EDF-20: %s instead of %s. Figures"
        " from these files cannot be compared with papers",
        counts,
        published,
    )
