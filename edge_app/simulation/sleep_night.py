"""A simulated night in numbers: a stage and six log powers for each 30-s epoch.

Stages: the next one depends on the present one and on which fills the last minute and the last
five, so that
deep sleep, REM sleep and waking come in stretches as in 29 expert hypnograms. Powers (Sleep-EDF,
16 nights of 8 people): a level for the stage, bent by the stages before and after it (N2 nears N3
before it is called N3); an offset that the sleeper keeps all night; and chance, part of it slow.
No full sleep cycles: N3 does not fade nor REM grow towards the morning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float64Array

IntArray = npt.NDArray[np.integer[Any]]

STAGES = ("W", "N1", "N2", "N3", "R")
N_VALUES = 6
"""Log powers: delta, theta, alpha, beta, gamma in uV^2/Hz, variance in uV^2."""
MEMORIES_EPOCHS = (2.0, 10.0)
"""How fast a neighbour's weight falls; on people left out of the fit, a longer one adds nothing."""
REACH_EPOCHS = 60
"""Neighbours seen on either side; the last weighs a four-hundredth of the nearest."""
STATISTICS = Path(__file__).with_name("sleep_statistics.npz")


@dataclass(frozen=True, slots=True)
class SleepStatistics:
    """What a night is drawn from; made by ``trainer prepare simulation``.

    Args:
        transitions: (5, 5, 5, 5) by ``recent_stages`` (fast, slow), the stage and the next.
        level: (5, 6) log powers by stage when every neighbour is of that stage.
        bend: (5, 20, 6) by stage: what each share of ``surroundings`` adds.
        night_covariance: (6, 6) of the offset that a night keeps.
        epoch_covariance: (5, 6, 6) by stage, of what is left.
        slow_share: (5, 6, 6) by stage, covariance of its slow part, whitened by the Cholesky root.
        slow_persistence: () correlation of the slow part from one epoch to the next.
    """

    transitions: Float64Array
    level: Float64Array
    bend: Float64Array
    night_covariance: Float64Array
    epoch_covariance: Float64Array
    slow_share: Float64Array
    slow_persistence: Float64Array


@cache
def load_sleep_statistics() -> SleepStatistics:
    """Return the statistics that come with the package."""
    with np.load(STATISTICS) as archive:
        return SleepStatistics(**{key: archive[key] for key in archive.files})


def recent_stages(past: IntArray) -> IntArray:
    """Find the stage that fills the recent past most, by fast and by slow memory.

    Args:
        past: (..., n) stages in time order, the present one last; -1 counts as none.

    Returns:
        (..., 2) stages.
    """
    age = np.arange(past.shape[-1])[::-1]
    weights = np.exp(-age / np.array(MEMORIES_EPOCHS)[:, None])
    return np.asarray(np.einsum("kd,...ds->...ks", weights, _members(past)).argmax(axis=-1))


def surroundings(window: IntArray) -> Float64Array:
    """Weigh the other stages before and after.

    Args:
        window: (..., 121) stages, the present one in the middle.

    Returns:
        (..., 20) shares of the five stages: past by fast and slow memory, then future likewise.
    """
    distance = np.arange(REACH_EPOCHS)
    falls = np.exp(-distance / np.array(MEMORIES_EPOCHS)[:, None])
    falls /= falls.sum(axis=1, keepdims=True)
    weights = np.zeros((2 * len(falls), 2 * REACH_EPOCHS + 1))
    weights[: len(falls), :REACH_EPOCHS] = falls[:, ::-1]
    weights[len(falls) :, REACH_EPOCHS + 1 :] = falls
    members = _members(window)
    shares = np.einsum("kd,...ds->...ks", weights, members)
    shares *= 1.0 - members[..., REACH_EPOCHS, None, :]
    return np.asarray(shares.reshape(*window.shape[:-1], -1))


def simulate_stages(
    transitions: Float64Array, rng: np.random.Generator, first: int
) -> Iterator[int]:
    """Yield stage indices without end.

    Args:
        transitions: (5, 5, 5, 5) probabilities of the next by recent stages and stage.
        rng: where chance comes from.
        first: the first index; the time before counts as filled by it.

    Yields:
        Indices; the first is ``first``.
    """
    cumulative = np.cumsum(transitions, axis=3)
    past = deque([first] * REACH_EPOCHS, maxlen=REACH_EPOCHS)
    while True:
        stage = past[-1]
        yield stage
        fast, slow = recent_stages(np.array(past))
        row = cumulative[fast, slow, stage]
        reached = int(np.searchsorted(row, rng.random(), side="right"))
        past.append(min(reached, len(STAGES) - 1))


def simulate_powers(
    statistics: SleepStatistics, stages: Iterator[int], rng: np.random.Generator
) -> Iterator[tuple[int, Float64Array]]:
    """Yield a stage and its (6,) log powers, epoch by epoch; memory does not grow.

    Args:
        statistics: what to draw from.
        stages: endless; read ahead by ``REACH_EPOCHS``.
        rng: where chance comes from.

    Yields:
        Stage index and log powers.
    """
    root = np.linalg.cholesky
    mix = root(statistics.epoch_covariance)
    slow_mix = root(statistics.slow_share)
    fast_mix = root(np.eye(N_VALUES) - statistics.slow_share)
    rho = float(statistics.slow_persistence)
    night = root(statistics.night_covariance) @ rng.standard_normal(N_VALUES)
    slow = rng.standard_normal(N_VALUES)
    for window in _windows(stages):
        stage = int(window[REACH_EPOCHS])
        expected = statistics.level[stage] + surroundings(window) @ statistics.bend[stage]
        chance = slow_mix[stage] @ slow + fast_mix[stage] @ rng.standard_normal(N_VALUES)
        yield stage, expected + night + mix[stage] @ chance
        slow = rho * slow + np.sqrt(1.0 - rho**2) * rng.standard_normal(N_VALUES)


def _windows(stages: Iterator[int]) -> Iterator[IntArray]:
    """Yield (121,) stages around each; before the first there is more of the first."""
    first = next(stages)
    window = deque([first] * (REACH_EPOCHS + 1), maxlen=2 * REACH_EPOCHS + 1)
    for stage in stages:
        window.append(stage)
        if len(window) == window.maxlen:
            yield np.array(window)


def _members(stages: IntArray) -> Float64Array:
    """Return (..., 5) ones where the stage is; -1 is none."""
    return np.asarray(np.vstack([np.eye(len(STAGES)), np.zeros(len(STAGES))])[stages])
