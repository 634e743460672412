"""Samples as they come onto an even grid: short losses bridged, long ones told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float32Array, Float64Array

BRIDGE_S = 0.05
"""Losses up to this are bridged in silence: a foot's swing has no content faster than 10 Hz."""
LONGEST_GAP_S = 1.0
"""Longer losses end the run of samples: a whole step may be lost in them."""
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """Samples without a long gap.

    Args:
        times_s: (n,) stamps.
        samples: (n, 6) float64, finite.
        lost: (n,) True where samples were bridged although too many were lost.
        restart: True when the run does not go on from the one before.
    """

    times_s: Float64Array
    samples: Float64Array
    lost: BoolArray
    restart: bool


class SampleGrid:
    """Bridges losses; what it gives does not depend on the chunks.

    A sample with a NaN counts as lost. A step of more than 1.5 intervals is a loss; time that runs
    backwards, or a loss of more than a second, starts a new run.

    Args:
        rate_hz: nominal rate.
        jitter_s: how far a stamp may stray.
    """

    def __init__(self, rate_hz: float, jitter_s: float = 0.0) -> None:
        self._rate_hz = rate_hz
        self._loss_step_s = 1.5 / rate_hz + jitter_s
        self._back_step_s = -(0.5 / rate_hz + jitter_s)
        self._last_s = np.nan
        self._last = np.zeros(6)

    def push(self, times_s: Float64Array, samples: Float32Array) -> list[Run]:
        """Take some samples.

        Args:
            times_s: (n,) seconds.
            samples: (n, 6), NaN where missing.

        Returns:
            Runs in order, none empty.
        """
        good = np.isfinite(samples).all(axis=1) & np.isfinite(times_s)
        if not good.all():
            times_s, samples = times_s[good], samples[good]
        if times_s.shape[0] == 0:
            return []
        values = samples.astype(np.float64)
        first = np.isnan(self._last_s)
        before_s = times_s[0] - 1.0 / self._rate_hz if first else self._last_s
        steps_s = np.diff(times_s, prepend=before_s)
        odd = (steps_s > self._loss_step_s) | (steps_s < self._back_step_s)
        restarts = first
        runs: list[Run] = []
        start = 0
        for position in np.flatnonzero(odd).tolist():
            if position > start:
                runs.append(_run(times_s[start:position], values[start:position], restarts))
                restarts = False
            start = position
            if self._back_step_s <= steps_s[position] <= LONGEST_GAP_S:
                previous = values[position - 1] if position else self._last
                runs.append(
                    self._bridge(times_s[position], steps_s[position], previous, values[position])
                )
            else:
                restarts = True
        runs.append(_run(times_s[start:], values[start:], restarts))
        self._last_s, self._last = float(times_s[-1]), values[-1].copy()
        return runs

    def reset(self) -> None:
        """Forget the last sample: the next one starts a new run."""
        self._last_s = np.nan

    def _bridge(
        self, resumed_s: float, step_s: float, before: Float64Array, after: Float64Array
    ) -> Run:
        """Return the line between the samples around a loss, both left out."""
        n = max(1, round(step_s * self._rate_hz) - 1)
        share = np.arange(1, n + 1) / (n + 1)
        line = before + share[:, None] * (after - before)
        lost = np.full(n, n / self._rate_hz > BRIDGE_S)
        return Run(resumed_s - step_s * (1.0 - share), line, lost, restart=False)


def _run(times_s: Float64Array, values: Float64Array, restart: bool) -> Run:
    return Run(times_s, values, np.zeros(times_s.shape[0], np.bool_), restart)
