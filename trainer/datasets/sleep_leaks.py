"""No epoch under two people: what a split by people cannot see.

``splits.refuse_leak`` keeps a person to one side; people are told apart by ``subject``, the same in
both archives and the raw files. A copy of a night under another person's name is found by its
epochs: two people's EEG never agrees in all samples of 30 s, nor in all features of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edge_app.errors import DatasetError
from trainer.datasets.feature_night import FeatureNight
from trainer.datasets.raw_night import RawNight
from trainer.datasets.sleep_features import STD, ArchiveNight
from trainer.features.welch import FEATURES

AnyNight = FeatureNight | RawNight | ArchiveNight
_DIGEST_BYTES = 16


def refuse_identical_epochs(nights: Sequence[AnyNight]) -> None:
    """Refuse nights of different people that share an epoch.

    Args:
        nights: of any archive; compared are nights of the same kind. Epochs without signal (all
            NaN, or no variance) are equal by nature and left out.

    Raises:
        DatasetError: an epoch stands under two people; names both nights.
    """
    first: dict[bytes, AnyNight] = {}
    for night in nights:
        for digest in _digests(night):
            owner = first.setdefault(digest, night)
            if owner.subject != night.subject:
                raise DatasetError(
                    f"{owner.name} and {night.name} share an identical epoch, though they are"
                    " nights of different people",
                    expected="no epoch under two people",
                    got=f"subjects {owner.subject} and {night.subject}",
                    next_step="One of the two is a copy under a wrong name: get both again",
                )


def _digests(night: AnyNight) -> Iterator[bytes]:
    rows = np.ascontiguousarray(_rows(night))
    for row in rows:
        yield hashlib.blake2b(row.data, digest_size=_DIGEST_BYTES).digest()


def _rows(night: AnyNight) -> npt.NDArray[np.float32]:
    """Return what identifies each epoch that has a signal."""
    if isinstance(night, RawNight):
        rows, spread = night.epochs, np.ptp(night.epochs, axis=1)
    elif isinstance(night, ArchiveNight):
        rows, spread = night.values, night.values[:, STD]
    else:
        rows, spread = night.features, night.features[:, FEATURES.index("variance")]
    alive: npt.NDArray[np.float32] = rows[spread > 0]
    return alive
