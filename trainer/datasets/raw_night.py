"""One night of raw EEG in 30-s epochs with an expert's stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.contracts import AbstainReason, Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class RawNight:
    """Consecutive epochs of one channel; none is ever left out between the first and the last.

    Args:
        name: ``SC4ssnE0``, or the recording's file name without its ending.
        subject: the person: ``ss``, or the name where nothing else is known.
        night: 1 or 2 in Sleep-EDF, else None.
        channel: as the file names it.
        rate_hz: of ``epochs``.
        epochs: (n, n_samples) float32 uV; an epoch that cannot be used is all NaN.
        stages: (n,) int64, index into ``STAGES``, -1 where not scored.
        reasons: (n,) why an epoch is NaN, else None.
        start_epoch: how many epochs of the recording lie before the first.
        simulated: True when no person stands behind the signal.
        lights_off_s: from the recording's start, None when not known.
        lights_on_s: likewise.
        notes: what had to be assumed, one sentence each.
    """

    name: str
    subject: str
    night: int | None
    channel: str
    rate_hz: float
    epochs: Float32Array
    stages: npt.NDArray[np.int64]
    reasons: tuple[AbstainReason | None, ...]
    start_epoch: int
    simulated: bool
    lights_off_s: float | None = None
    lights_on_s: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """(n,) True where an epoch has a signal."""
        return np.array([reason is None for reason in self.reasons], np.bool_)
