"""Stamps of an IMU file's rows: from its time, its packet counter, or a nominal rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.counted import counted
from edge_app.sources.recording.protocol import refuse

_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PLAUSIBLE_STEP_S = (1 / 2000, 1 / 10)
"""An IMU sends 10 to 2000 samples a second; no step fits two of the units above."""
_MIN_STEP_S, _MAX_STEP_S = 1e-5, 100.0
"""Beyond them a stated unit cannot be right either."""
_COUNTER_ENDS = (256, 65_536)


@dataclass(frozen=True, slots=True)
class Stamps:
    """Stamps and rate.

    Args:
        times_s: 0 for the first row.
        rate_hz: nominal rate.
        assumptions: what had to be assumed.
    """

    times_s: Float64Array
    rate_hz: float
    assumptions: tuple[str, ...]


def from_time(path: Path, time: Float64Array, written: str, rate_hz: float | None) -> Stamps:
    """Return stamps from a time column.

    Args:
        path: the file, for errors.
        time: as in the file, finite.
        written: its unit in the file, maybe empty.
        rate_hz: the rate as stated by the user or the file, None: found from the steps.

    Raises:
        SourceError: a time that stands still, an unclear unit, a rate that contradicts it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(time)
    usual = float(np.median(steps)) if steps.size else 0.0
    if not 0 < usual < np.inf:
        refuse(
            path,
            "the time column does not run forward",
            "Remove the column and give --rate-hz, if the rows are evenly spaced",
            got=f"median step {usual:g}",
        )
    # Whole milliseconds spoil the median (7, 8, 8), not the mean of steps that are no gaps.
    usual = float(steps[(steps > 0.5 * usual) & (steps < 1.5 * usual)].mean())
    unit = written or _unit_by_step(usual, rate_hz)
    if unit not in _SECONDS or not _MIN_STEP_S < usual * _SECONDS[unit] < _MAX_STEP_S:
        refuse(
            path,
            "the unit of the time column is not clear",
            "Name the column time_s, time_ms or time_us, or give --rate-hz",
            expected="steps that mean 10 to 2000 samples a second",
            got=f"{unit or 'no unit'}, a step of {usual:g}",
        )
    measured_hz = 1.0 / (usual * _SECONDS[unit])
    whole_hz = max(1.0, round(measured_hz))
    if abs(measured_hz - whole_hz) < 0.005 * whole_hz:
        measured_hz = whole_hz
    if rate_hz is not None and abs(rate_hz / measured_hz - 1) > 0.1:
        refuse(
            path,
            "the stated rate contradicts the time column",
            "Correct --rate-hz, or the line of the file that states it",
            expected=f"about {measured_hz:.4g} Hz",
            got=f"{rate_hz:g} Hz",
        )
    _refuse_going_back(path, "time column", steps)
    times_s = (time - time[0]) * _SECONDS[unit]
    said: tuple[str, ...] = () if written else (f"time column taken as {unit}",)
    if rate_hz is None:
        said += (f"rate {measured_hz:.6g} Hz found from the time column",)
    return Stamps(times_s, rate_hz or measured_hz, said)


def _unit_by_step(step: float, rate_hz: float | None) -> str:
    low, high = _PLAUSIBLE_STEP_S
    if rate_hz is not None:
        low, high = 0.8 / rate_hz, 1.25 / rate_hz
    fitting = [unit for unit in ("s", "ms", "us", "ns") if low <= step * _SECONDS[unit] <= high]
    return fitting[0] if fitting else ""


def from_counter(path: Path, counter: Float64Array, rate_hz: float) -> Stamps:
    """Return stamps from a packet counter: a step of 3 is two lost packets and shows as a jump.

    Args:
        path: the file, for errors.
        counter: as in the file, finite.
        rate_hz: packets a second.

    Raises:
        SourceError: a counter that does not count single packets.
    """
    counter, said = _unwrapped(counter)
    steps = np.diff(counter)
    if steps.size and float(np.median(steps)) != 1:
        refuse(
            path,
            "the packet counter does not count single packets",
            "Remove the column, or give one that goes up by 1 a row",
            got=f"median step {float(np.median(steps)):g}",
        )
    _refuse_going_back(path, "packet counter", steps)
    lost = int((steps[steps > 1] - 1).sum())
    if lost:
        said += (f"{counted(lost, 'packet')} lost, by the counter; left out as gaps",)
    return Stamps((counter - counter[0]) / rate_hz, rate_hz, said)


def _refuse_going_back(path: Path, what: str, steps: Float64Array) -> None:
    back = np.flatnonzero(steps < 0)
    if back.size:
        refuse(
            path,
            f"the {what} goes back at row {int(back[0]) + 2} of numbers: the sensor was restarted, "
            "or two recordings are in one file",
            "Split the file there",
            got=f"{counted(back.size, 'step')} back",
        )


def _unwrapped(counter: Float64Array) -> tuple[Float64Array, tuple[str, ...]]:
    """Undo the overflow of an 8-bit or 16-bit counter."""
    steps = np.diff(counter)
    back = steps[steps < 0]
    for end in _COUNTER_ENDS:
        if back.size and counter.min() >= 0 and counter.max() < end and (back < -end / 2).all():
            turns = np.concatenate([[0.0], np.cumsum(steps < 0)])
            return counter + turns * end, (f"packet counter starts again after {end - 1}",)
    return counter, ()


def from_rate(n_rows: int, rate_hz: float) -> Stamps:
    """Return evenly spaced stamps.

    Args:
        n_rows: how many.
        rate_hz: rows a second.
    """
    said = "no time and no packet counter in the file: rows taken as evenly spaced, none lost"
    return Stamps(np.arange(n_rows) / rate_hz, rate_hz, (said,))
