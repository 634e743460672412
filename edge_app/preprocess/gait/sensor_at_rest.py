"""What a sensor says of itself while it lies still: gyroscope bias and the length of gravity."""

from __future__ import annotations

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.preprocess.gait.strapdown import STANDARD_GRAVITY_MPS2

STILL_GYR_RADPS = 0.05
STILL_ACC_MPS2 = 0.2
LARGEST_BIAS_RADPS = 0.35
LARGEST_GRAVITY_ERROR_MPS2 = 2.0
RENEWAL = 0.3
"""Weight of a new still block: bias wanders with temperature, within minutes."""


class SensorAtRest:
    """Learns from still blocks only, and only from what came before.

    Attributes:
        bias_radps: (3,) gyroscope bias; zero until the first still block.
        gravity_mps2: length of the specific force at rest; the standard's until then.
    """

    def __init__(self) -> None:
        self.bias_radps = np.zeros(3)
        self.gravity_mps2 = STANDARD_GRAVITY_MPS2
        self._known = False

    def look(self, samples: Float64Array) -> None:
        """Take one block of (n, 6) raw samples into account if it is still."""
        mean, spread = samples.mean(axis=0), samples.std(axis=0)
        if spread[3:].max() > STILL_GYR_RADPS or spread[:3].max() > STILL_ACC_MPS2:
            return
        gravity = float(np.linalg.norm(mean[:3]))
        if (
            np.abs(mean[3:]).max() > LARGEST_BIAS_RADPS
            or abs(gravity - STANDARD_GRAVITY_MPS2) > LARGEST_GRAVITY_ERROR_MPS2
        ):
            return
        weight = RENEWAL if self._known else 1.0
        self.bias_radps = self.bias_radps + weight * (mean[3:] - self.bias_radps)
        self.gravity_mps2 += weight * (gravity - self.gravity_mps2)
        self._known = True

    def corrected(self, samples: Float64Array) -> Float64Array:
        """Return (n, 6) samples without gyroscope bias."""
        return np.asarray(samples - np.concatenate([np.zeros(3), self.bias_radps]))
