"""How long calls take on one thread, in turns, so that what slows one slows the others too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt


def cpu_times_s(
    calls: Sequence[Callable[[], object]], repeats: int = 200, warm_up: int = 20
) -> npt.NDArray[np.float64]:
    """Return the CPU time of the calling thread for each call, in turns.

    What other programs take away is not in it, so that figures of a busy machine can be compared;
    a session of ONNX Runtime with one thread computes in the thread that calls it.

    Args:
        calls: what to time.
        repeats: turns.
        warm_up: turns before, not counted.

    Returns:
        (n_calls, repeats) seconds.
    """
    return _turns(calls, repeats, warm_up, time.thread_time)


def wall_times_s(
    calls: Sequence[Callable[[], object]], repeats: int = 200, warm_up: int = 20
) -> npt.NDArray[np.float64]:
    """Return the time that passes on the wall for each call, in turns.

    Args:
        calls: what to time.
        repeats: turns.
        warm_up: turns before, not counted.

    Returns:
        (n_calls, repeats) seconds.
    """
    return _turns(calls, repeats, warm_up, time.perf_counter)


def _turns(
    calls: Sequence[Callable[[], object]], repeats: int, warm_up: int, clock: Callable[[], float]
) -> npt.NDArray[np.float64]:
    took_s = np.empty((len(calls), repeats + warm_up))
    for turn in range(repeats + warm_up):
        for i, call in enumerate(calls):
            started_s = clock()
            call()
            took_s[i, turn] = clock() - started_s
    return took_s[:, warm_up:]
