"""One night as the seven values that the sleep models read, from any archive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class FeatureNight:
    """Epochs of one channel.

    Args:
        name: ``SC4ssnE0``.
        subject: ``ss``, the person; the same in every archive.
        features: (n, 7) float32 in the order of ``trainer.features.welch.FEATURES``, uV^2/Hz and
            uV^2; NaN where a value is not known.
        stages: (n,) int64, index into ``STAGES``, -1 where not scored.
        channel: ``Fpz-Cz`` or ``Pz-Oz``.
        contiguous: True: row after row is 30 s later, but for the few epochs of movement; False:
            more epochs are missing without a trace, so row numbers tell no time, and transitions
            and durations nothing about sleep.
    """

    name: str
    subject: str
    features: npt.NDArray[np.float32]
    stages: npt.NDArray[np.int64]
    channel: str = "Fpz-Cz"
    contiguous: bool = True
