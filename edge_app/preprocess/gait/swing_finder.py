"""Steps of a foot from samples as they come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.preprocess.gait.frame_check import FrameCheck
from edge_app.preprocess.gait.grid import BoolArray
from edge_app.preprocess.gait.sensor_at_rest import SensorAtRest
from edge_app.preprocess.gait.signal_fault import is_saturated
from edge_app.preprocess.gait.stillness import half_window, restlessness
from edge_app.preprocess.gait.swing import (
    LONGEST_MOVE_S,
    SHORTEST_MOVE_S,
    FootAxes,
    Rest,
    Step,
    find_step,
)

BLOCK_S = 0.5
"""Work is done block by block, counted from the first sample: chunks cannot matter."""
SHORTEST_REST_S = 0.05
REST_EDGE_S = 0.3
"""The quietest moment is looked for this close to where a rest begins and ends."""
KEPT_S = LONGEST_MOVE_S + 2.0 * REST_EDGE_S + BLOCK_S + 0.4
MOST_RESTS = 6
"""Rests from which a move may have begun: some are a moment of calm within a swing."""


@dataclass(frozen=True, slots=True)
class TimedStep:
    """A step and when it was.

    Args:
        step: what it was.
        heel_off_s: the sole no longer lies flat.
        toe_off_s: toe-off.
        heel_strike_s: heel strike.
        flat_s: the sole lies flat again.
        restless_s: time since the step before in which the foot neither stepped nor stood.
        lost_before: samples lost up to its rest before, since the start.
        lost_at_strike: samples lost up to its heel strike.
        lost_after: samples lost up to its rest after.
        saturated: True when the sensor's range ended within it.
    """

    step: Step
    heel_off_s: float
    toe_off_s: float
    heel_strike_s: float
    flat_s: float
    restless_s: float
    lost_before: int
    lost_at_strike: int
    lost_after: int
    saturated: bool


class SwingFinder:
    """Finds the steps in one run of samples.

    Args:
        rate_hz: samples a second.
        sensor: what is known of the sensor; shared, so that a new run begins with it.
        frame: looks for a mirrored axis; shared alike.
        axes: the foot's axes so far.
    """

    def __init__(
        self, rate_hz: float, sensor: SensorAtRest, frame: FrameCheck, axes: FootAxes
    ) -> None:
        self._rate_hz = rate_hz
        self._half = half_window(rate_hz)
        self._block = max(2 * self._half + 1, round(BLOCK_S * rate_hz))
        self._kept = round(KEPT_S * rate_hz)
        self._edge = round(REST_EDGE_S * rate_hz)
        self._shortest = max(2, round(SHORTEST_REST_S * rate_hz))
        self._sensor = sensor
        self._frame = frame
        self.axes = axes
        self._waiting: list[tuple[Float64Array, Float64Array, BoolArray]] = []
        self._n_waiting = 0
        self._offset = 0  # number of the first sample held
        self._times_s = np.empty(0)
        self._samples = np.empty((0, 6))
        self._lost_before = np.zeros(1, np.int64)  # of every sample held, and of the next
        self._score = np.empty(0)  # shorter than the samples: its windows look ahead
        self._restless_before = np.zeros(1, np.int64)
        self._open: int | None = None
        self._looked_at = False
        self._rests: list[tuple[int, int]] = []
        self._restless_at_last = 0
        self.now_s = -np.inf

    def push(
        self, times_s: Float64Array, samples: Float64Array, lost: BoolArray
    ) -> list[TimedStep]:
        """Take samples of the run.

        Args:
            times_s: (n,).
            samples: (n, 6) finite.
            lost: (n,) True where a sample was made up across a loss.

        Returns:
            Steps completed, oldest first.
        """
        self._waiting.append((times_s, samples, lost))
        self._n_waiting += len(times_s)
        if self._n_waiting < self._block:
            return []
        times_s, samples, lost = (
            np.concatenate(parts) for parts in zip(*self._waiting, strict=True)
        )
        found: list[TimedStep] = []
        start = 0
        while start + self._block <= len(times_s):
            part = slice(start, start + self._block)
            found += self._take(times_s[part], samples[part], lost[part])
            start += self._block
        self._waiting = [(times_s[start:], samples[start:], lost[start:])]
        self._n_waiting = len(times_s) - start
        return found

    def finish(self) -> list[TimedStep]:
        """Return what the rest of the samples completes; the run has ended."""
        found: list[TimedStep] = []
        if self._n_waiting:
            times_s, samples, lost = (
                np.concatenate(parts) for parts in zip(*self._waiting, strict=True)
            )
            found += self._take(times_s, samples, lost)
            self._waiting, self._n_waiting = [], 0
        end = self._offset + len(self._score)
        if self._open is not None and end - self._open >= self._shortest and not self._looked_at:
            found += self._arrive(self._open, end)
        return found

    def _take(
        self, times_s: Float64Array, samples: Float64Array, lost: BoolArray
    ) -> list[TimedStep]:
        """Look at one block."""
        self._times_s = np.concatenate([self._times_s, times_s])
        self._samples = np.concatenate([self._samples, samples])
        self._lost_before = np.concatenate(
            [self._lost_before, self._lost_before[-1] + np.cumsum(lost)]
        )
        self.now_s = float(times_s[-1])
        if len(lost) == self._block and not lost.any():
            self._sensor.look(samples)
        first = self._offset + len(self._score)
        self._score = np.concatenate([self._score, self._new_score()])
        still = self._score[first - self._offset :] < 1.0
        self._restless_before = np.concatenate(
            [self._restless_before, self._restless_before[-1] + np.cumsum(~still)]
        )
        found: list[TimedStep] = []
        changes = np.flatnonzero(np.diff(still, prepend=self._open is not None))
        for index in (changes + first).tolist():
            if self._open is None:
                self._open, self._looked_at = index, False
                continue
            if index - self._open >= self._shortest:
                if not self._looked_at:
                    found += self._arrive(self._open, index)
                self._rests = [*self._rests[1 - MOST_RESTS :], (self._open, index)]
            self._open = None
        end = self._offset + len(self._score)
        if self._open is not None and not self._looked_at and end - self._open >= self._edge:
            found += self._arrive(self._open, end)
            self._looked_at = True
        self._forget()
        return found

    def _new_score(self) -> Float64Array:
        """Return the restlessness of samples that now have their whole window."""
        half, done = self._half, len(self._score)
        start = max(0, done - half)
        samples = self._sensor.corrected(self._samples[start:])
        if len(samples) < 2 * half + 1:
            return np.empty(0)
        score = restlessness(samples, self._rate_hz, self._sensor.gravity_mps2)
        lost = np.diff(self._lost_before[start : start + len(samples) + 1])
        score[lost[half : len(samples) - half] > 0] = np.inf
        missing_front = half - (done - start)  # the first samples of a run have no window
        return np.concatenate([np.full(missing_front, np.inf), score])

    def _forget(self) -> None:
        """Drop samples that no step can reach any more."""
        surplus = len(self._times_s) - self._kept
        if surplus <= 0:
            return
        self._offset += surplus
        self._times_s = self._times_s[surplus:]
        self._samples = self._samples[surplus:]
        self._lost_before = self._lost_before[surplus:]
        self._score = self._score[surplus:]
        self._restless_before = self._restless_before[surplus:]
        longest = round(LONGEST_MOVE_S * self._rate_hz)
        newest = self._offset + len(self._times_s)
        self._rests = [rest for rest in self._rests if newest - rest[1] <= longest + self._block]

    def _arrive(self, start: int, end: int) -> list[TimedStep]:
        """Look for the step that ends in the rest that begins here."""
        arrival = self._quietest(start, min(end, start + self._edge))
        samples = self._sensor.corrected(self._samples)
        for rest_start, rest_end in reversed(self._rests):
            leave = self._quietest(max(rest_start, rest_end - self._edge), rest_end)
            if arrival - leave > LONGEST_MOVE_S * self._rate_hz:
                break
            before, after = self._rest(samples, leave), self._rest(samples, arrival)
            span_s = self._times_s[after.index] - self._times_s[before.index]
            period_s = float(span_s) / (after.index - before.index)
            whole = bool(self._lost_before[after.index] == self._lost_before[before.index])
            if whole and rest_end == self._rests[-1][1] and span_s >= SHORTEST_MOVE_S:
                move = samples[before.index : after.index + 1]
                self._frame.look(move, period_s, before.force, after.force)
            found = find_step(samples, before, after, period_s, self.axes, whole=whole)
            if found is not None:
                self.axes = found[1]
                self._rests = []
                return [self._timed(found[0], before.index, after.index)]
        return []

    def _quietest(self, start: int, end: int) -> int:
        """Return the number of the quietest sample of a rest."""
        start = max(start, self._offset)
        return start + int(np.argmin(self._score[start - self._offset : end - self._offset]))

    def _rest(self, samples: Float64Array, number: int) -> Rest:
        index = number - self._offset
        around = samples[max(0, index - self._half) : index + self._half + 1, :3]
        return Rest(index, around.mean(axis=0))

    def _timed(self, step: Step, before: int, after: int) -> TimedStep:
        """Return a step with stamps instead of samples."""
        events = step.events
        grid = np.arange(before, after + 1)
        moments = np.array([events.heel_off, events.toe_off, events.heel_strike, events.flat])
        heel_off_s, toe_off_s, heel_strike_s, flat_s = np.interp(
            moments + before, grid, self._times_s[before : after + 1]
        ).tolist()
        restless = int(self._restless_before[before] - self._restless_at_last)
        self._restless_at_last = int(self._restless_before[after])
        strike = before + int(events.heel_strike)
        return TimedStep(
            step=step,
            heel_off_s=heel_off_s,
            toe_off_s=toe_off_s,
            heel_strike_s=heel_strike_s,
            flat_s=flat_s,
            restless_s=restless / self._rate_hz,
            lost_before=int(self._lost_before[before]),
            lost_at_strike=int(self._lost_before[strike]),
            lost_after=int(self._lost_before[after]),
            saturated=is_saturated(self._samples[before : after + 1], self._rate_hz),
        )
