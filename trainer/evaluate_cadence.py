"""How well the cadence of a lower-back sensor agrees with the labelled steps of both feet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edge_app.contracts import Float32Array, Float64Array
from edge_app.preprocess.gait.lower_back import step_rhythm
from trainer.datasets.imu_walks import Imu, Trial

WINDOW_S, HOP_S = 5.0, 1.0
LEAST_STEPS = 7
LONGEST_STEP_S = 1.0
WALKS_TO_THE_ENDS_S = 0.8
CLOSE = 0.05


def evaluate_cadence(trials: Sequence[Trial]) -> dict[str, Any]:
    """Compare windows of straight walking by the labels, and count answers while people stand.

    Args:
        trials: those without a lower-back sensor or without steps of both feet are passed over.

    Returns:
        Plain values for JSON: windows, answered share, median absolute and share of errors within
        5 % (relative); None where there is nothing to compare.
    """
    errors: list[float] = []
    n_walking = n_standing = n_wrong = 0
    for trial in trials:
        if trial.lower_back is None or len(trial.feet) < 2:
            continue
        if not all(len(foot.swings_s) for foot in trial.feet):
            continue
        strikes_s = np.sort(np.concatenate([foot.swings_s[:, 1] for foot in trial.feet]))
        first_s = min(float(foot.swings_s[0, 0]) for foot in trial.feet)
        for start_s, samples in _windows(trial.lower_back):
            rhythm = step_rhythm(samples, trial.lower_back.rate_hz)
            if start_s + WINDOW_S <= first_s or start_s >= strikes_s[-1]:
                n_standing += 1
                n_wrong += rhythm is not None
            step_time_s = _labelled_step_s(strikes_s, trial.turn_s, start_s)
            if step_time_s is None:
                continue
            n_walking += 1
            if rhythm is not None:
                errors.append(abs(rhythm.step_time_s / step_time_s - 1.0))
    return {
        "windows": n_walking,
        "answered": len(errors),
        "median_absolute_error": float(np.median(errors)) if errors else None,
        "within_5_percent": float(np.mean(np.array(errors) < CLOSE)) if errors else None,
        "standing_windows": n_standing,
        "standing_answered": n_wrong,
    }


def _windows(imu: Imu) -> Iterator[tuple[float, Float32Array]]:
    """Yield start and acceleration of windows of the recording, losses on a line."""
    rate_hz = imu.rate_hz
    slots_s = np.arange(round(imu.times_s[0] * rate_hz), round(imu.times_s[-1] * rate_hz) + 1)
    slots_s = slots_s / rate_hz
    acc = np.column_stack([np.interp(slots_s, imu.times_s, axis) for axis in imu.samples[:, :3].T])
    for start_s in np.arange(0.0, slots_s[-1] - WINDOW_S, HOP_S).tolist():
        inside = (slots_s >= start_s) & (slots_s < start_s + WINDOW_S)
        if inside.sum() >= 0.9 * WINDOW_S * rate_hz:
            yield start_s, acc[inside].astype(np.float32)


def _labelled_step_s(
    strikes_s: Float64Array, turn_s: tuple[float, float], start_s: float
) -> float | None:
    """Return the mean step of a window that is straight walking throughout, None for others."""
    end_s = start_s + WINDOW_S
    inside = strikes_s[(strikes_s >= start_s) & (strikes_s <= end_s)]
    if (start_s < turn_s[1] and end_s > turn_s[0]) or len(inside) < LEAST_STEPS:
        return None
    steps_s = np.diff(inside)
    early = inside[0] > start_s + WALKS_TO_THE_ENDS_S
    if steps_s.max() > LONGEST_STEP_S or early or inside[-1] < end_s - WALKS_TO_THE_ENDS_S:
        return None
    return float(steps_s.mean())
