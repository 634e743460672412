"""How well the strides found in real walks agree with those labelled by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.contracts import Float64Array
from edge_app.preprocess.gait.analyser import GaitAnalyser
from edge_app.preprocess.gait.bouts import LEAST_STRIDES, LONGEST_PAUSE_S
from edge_app.preprocess.gait.stride import Stride
from trainer.datasets.imu_walks import WALK_M, Foot, Trial, left_out, read_trials
from trainer.evaluate_cadence import evaluate_cadence
from trainer.walk_parameters import gait_parameters, labelled_swing

TOLERANCES_S = (0.2, 0.1)
MATCHING = (
    "one to one, nearest pairs first, within the tolerance; toe-off by toe-off, heel strike by "
    "heel strike. all: every labelled swing that lies in the recording. walking: those with no "
    "pause over 3 s in a row of five or more, the analyser's own idea of walking. straight: "
    "walking outside the turn. A find that belongs to a label left out is left out too."
)
BoolArray = npt.NDArray[np.bool_]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Walk:
    """One foot of one trial, labelled and analysed."""

    trial: Trial
    foot: Foot
    swings_s: Float64Array
    strides: list[Stride]
    walking: BoolArray

    @property
    def straight(self) -> BoolArray:
        start_s, end_s = self.trial.turn_s
        in_turn = (self.swings_s[:, 0] < end_s) & (self.swings_s[:, 1] > start_s)
        return self.walking & ~in_turn


def evaluate_strides(folder: Path) -> dict[str, Any]:
    """Analyse both feet of every trial and compare with the labels.

    Args:
        folder: walks in the layout of ``trainer.datasets.imu_walks``; nothing is fitted to them.

    Returns:
        Plain values for JSON: detection (precision, recall, F1 by set, event and tolerance),
        errors of events and stride times in seconds, lengths against the course, each also by
        person and by foot, the numbers they rest on, and what was ``left_out``.

    Raises:
        DatasetError: no such walks, or damaged ones.
    """
    trials = read_trials(folder)
    walks = [_analysed(trial, foot) for trial in trials for foot in trial.feet]
    rejected = Counter(
        "accepted" if stride.rejected is None else stride.rejected.value
        for walk in walks
        for stride in walk.strides
    )
    figures = _figures(walks)
    headline = figures["detection"]["toe_off_0.2s"]["all"]
    errors = figures["errors"]
    return {
        "matching": MATCHING,
        "people": len({walk.trial.person for walk in walks}),
        "feet": len(walks),
        "left_out": left_out(folder),
        "n": headline["hits"] + headline["missed"],
        "precision": headline["precision"],
        "recall": headline["recall"],
        "f1": headline["f1"],
        "stride_time_median_absolute_error_s": errors["stride_time_toe_off_to_toe_off_s"].get(
            "median_absolute"
        ),
        "labelled_swings": sum(len(walk.foot.swings_s) for walk in walks),
        "labelled_beyond_recording": sum(
            len(walk.foot.swings_s) - len(walk.swings_s) for walk in walks
        ),
        "strides": dict(rejected),
        **figures,
        "lower_back_cadence": evaluate_cadence(trials),
        "by_person": _grouped(walks, lambda walk: walk.trial.person),
        "by_foot": _grouped(walks, lambda walk: walk.foot.side),
    }


def match_events(found_s: Sequence[float], labelled_s: Sequence[float], within_s: float) -> Pairs:
    """Return pairs of indices (label, find): one to one, nearest pairs first.

    Args:
        found_s: moments found.
        labelled_s: moments labelled.
        within_s: largest distance of a pair.

    Returns:
        Pairs by label.
    """
    apart = np.abs(np.subtract.outer(np.asarray(labelled_s), np.asarray(found_s)))
    pairs: Pairs = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for flat in np.argsort(apart, axis=None, kind="stable").tolist():
        label, find = divmod(flat, apart.shape[1])
        if apart[label, find] > within_s:
            break
        if label not in taken[0] and find not in taken[1]:
            pairs.append((label, find))
            taken[0].add(label)
            taken[1].add(find)
    return sorted(pairs)


def in_bouts(swings_s: Float64Array) -> BoolArray:
    """Return which labelled swings (k, 2) are walking: five in a row or more, pauses up to 3 s."""
    if len(swings_s) == 0:
        return np.zeros(0, np.bool_)
    pauses_s = swings_s[1:, 0] - swings_s[:-1, 1]
    bout = np.concatenate([[0], np.cumsum(pauses_s > LONGEST_PAUSE_S)])
    return np.asarray(np.bincount(bout)[bout] >= LEAST_STRIDES)


def _analysed(trial: Trial, foot: Foot) -> _Walk:
    imu = foot.imu
    analyser = GaitAnalyser(imu.rate_hz)
    strides = analyser.push(imu.times_s, imu.samples) + analyser.finish()
    swings_s = foot.swings_s[foot.swings_s[:, 1] <= imu.times_s[-1]]
    return _Walk(trial, foot, swings_s, strides, in_bouts(swings_s))


def _grouped(walks: list[_Walk], key: Callable[[_Walk], str]) -> dict[str, Any]:
    names = list(dict.fromkeys(key(walk) for walk in walks))
    return {name: _figures([walk for walk in walks if key(walk) == name]) for name in names}


def _figures(walks: list[_Walk]) -> dict[str, Any]:
    return {
        "detection": {
            f"{event}_{tolerance_s:g}s": {
                part: _detection(walks, event, part, tolerance_s)
                for part in ("all", "walking", "straight")
            }
            for event in ("toe_off", "heel_strike")
            for tolerance_s in TOLERANCES_S
        },
        "errors": _errors(walks),
        "lengths": _lengths(walks),
        "parameters": gait_parameters([walk.strides for walk in walks]),
        "labelled_swing_fraction": labelled_swing([(w.swings_s, w.straight) for w in walks]),
    }


def _moments(walk: _Walk, event: str) -> tuple[list[float], list[float]]:
    """Return found and labelled moments of an event."""
    if event == "toe_off":
        return [stride.toe_off_s for stride in walk.strides], walk.swings_s[:, 0].tolist()
    return [stride.next_heel_strike_s for stride in walk.strides], walk.swings_s[:, 1].tolist()


def _detection(
    walks: list[_Walk], event: str, part: str, tolerance_s: float
) -> dict[str, float | int | None]:
    hits = missed = false = 0
    for walk in walks:
        found_s, labelled_s = _moments(walk, event)
        pairs = match_events(found_s, labelled_s, tolerance_s)
        counts = np.ones(len(labelled_s), np.bool_)
        if part != "all":
            counts = walk.walking if part == "walking" else walk.straight
        hit = sum(bool(counts[label]) for label, _ in pairs)
        alone = set(range(len(found_s))) - {find for _, find in pairs}
        if part == "straight":
            start_s, end_s = walk.trial.turn_s
            alone = {find for find in alone if not start_s <= found_s[find] <= end_s}
        hits += hit
        missed += int(counts.sum()) - hit
        false += len(alone)
    return {
        "hits": hits,
        "missed": missed,
        "false": false,
        "precision": hits / (hits + false) if hits + false else None,
        "recall": hits / (hits + missed) if hits + missed else None,
        "f1": 2 * hits / (2 * hits + missed + false) if hits + missed + false else None,
    }


def _errors(walks: list[_Walk]) -> dict[str, Any]:
    """Return errors over strides matched by toe-off within 0.2 s, and over accepted ones alone."""
    toe_off: list[float] = []
    strike: list[float] = []
    by_toe_off: list[float] = []
    by_strike: list[float] = []
    accepted: list[float] = []
    for walk in walks:
        found_s, labelled_s = _moments(walk, "toe_off")
        before: tuple[int, int] | None = None
        for label, find in match_events(found_s, labelled_s, TOLERANCES_S[0]):
            stride = walk.strides[find]
            toe_off.append(stride.toe_off_s - walk.swings_s[label, 0])
            strike.append(stride.next_heel_strike_s - walk.swings_s[label, 1])
            if before == (label - 1, find - 1):
                by_toe_off.append(toe_off[-1] - toe_off[-2])
                by_strike.append(strike[-1] - strike[-2])
                if stride.accepted:
                    accepted.append(strike[-1] - strike[-2])
            before = (label, find)
    return {
        "toe_off_s": _spread(toe_off),
        "heel_strike_s": _spread(strike),
        "stride_time_toe_off_to_toe_off_s": _spread(by_toe_off),
        "stride_time_s": _spread(by_strike),
        "stride_time_accepted_s": _spread(accepted),
    }


def _spread(errors: list[float]) -> dict[str, float | int]:
    if not errors:
        return {"n": 0}
    low, median, high = np.percentile(errors, [25, 50, 75]).tolist()
    return {
        "n": len(errors),
        "median": median,
        "iqr": high - low,
        "median_absolute": float(np.median(np.abs(errors))),
        "p95_absolute": float(np.percentile(np.abs(errors), 95)),
    }


def _lengths(walks: list[_Walk]) -> dict[str, Any]:
    """Return the sum of stride lengths up to the middle of the turn: the course is 10 m long.

    A walk with a stride of unknown length (samples lost) is left out.
    """
    outward_m, whole_m = [], []
    for walk in walks:
        middle_s = sum(walk.trial.turn_s) / 2.0
        outward = [s.stride_length_m for s in walk.strides if s.toe_off_s < middle_s]
        whole = [s.stride_length_m for s in walk.strides]
        if outward and np.isfinite(outward).all():
            outward_m.append(sum(outward))
        if whole and np.isfinite(whole).all():
            whole_m.append(sum(whole))
    return {
        "course_m": WALK_M,
        "outward": _sums(outward_m, WALK_M),
        "there_and_back": _sums(whole_m, 2.0 * WALK_M),
    }


def _sums(sums_m: list[float], course_m: float) -> dict[str, float | int]:
    if not sums_m:
        return {"n": 0}
    mean_m = float(np.mean(sums_m))
    return {
        "n": len(sums_m),
        "mean_m": mean_m,
        "sd_m": float(np.std(sums_m)),
        "gain": mean_m / course_m,
    }
