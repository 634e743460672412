"""How steady, how quick and how right the rolling facial expression is, by its time constants.

    python benchmarks/expression_stream.py [--bundle exports/emotion] [--data ../shared/data]

SYNTHETIC streams: no labelled video is at hand, so runs of 2 to 5 s, one FER-2013 PublicTest
picture a run (none that is also in Training), are set one after the other. Each frame is shifted,
turned, zoomed, brightened and noised anew, as a detector's box and a camera might; in one run of
five a patch covers a part for half a second, in one of ten nobody is seen for half a second. Every
run shows another expression than the one before, which is far livelier than a person in bed, and
another face, at which a camera would start anew. What counts is the difference between the rows,
not the level: that is the model's on PublicTest.

Columns: flips, changes of the label a minute of usable face (the true ones are in the title); stray
ones, to a label that is neither true nor the model's answer to the whole run, so mere flicker;
delay, from a true change to the first right label, over runs whose picture the model reads rightly
on the whole, and the share of those runs that get one; covered, share of usable time with a label;
right, share of that time in which it is right; and both together, share of usable time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.rolling import Hysteresis, LogSmoother, normalised
from trainer.datasets.fer2013 import read_faces

Floats = npt.NDArray[np.float64]
RUN_S = (2.0, 5.0)
SHIFT_PX, TURN_DEG, ZOOM, BRIGHTER, NOISE_SD = 2.0, 4.0, 0.06, 0.1, 3.0
COVERED_SHARE, AWAY_SHARE, SHORT_S = 0.2, 0.1, 0.5
PATCH_PX = 16
TIME_CONSTANTS_S = (None, 0.25, 0.5, 1.0, 1.5)
LEVELS = ((0.4, 0.3), (0.5, 0.35), (0.6, 0.45))
DWELLS_S = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Run:
    """One picture shown for a while.

    Args:
        truth: its label.
        probabilities: (n_frames, n_labels) of each frame; NaN where nobody is seen.
    """

    truth: int
    probabilities: Floats

    @property
    def answer(self) -> int:
        """What the model says of it on the whole."""
        seen = self.probabilities[np.isfinite(self.probabilities[:, 0])]
        return int(np.log(np.maximum(seen, 1e-9)).mean(0).argmax())


def jittered(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return a picture as another frame of a camera might show it."""
    size = picture.shape[0]
    turn_deg, zoom = rng.uniform(-TURN_DEG, TURN_DEG), 1.0 + rng.uniform(-ZOOM, ZOOM)
    move = cv2.getRotationMatrix2D((size / 2, size / 2), turn_deg, zoom)
    move[:, 2] += rng.uniform(-SHIFT_PX, SHIFT_PX, 2)
    moved = cv2.warpAffine(picture, move, (size, size), borderMode=cv2.BORDER_REPLICATE)
    frame = (1.0 + rng.uniform(-BRIGHTER, BRIGHTER)) * moved
    return np.clip(frame + rng.normal(0.0, NOISE_SD, frame.shape), 0, 255).astype(np.uint8)


def show(
    bundle: Bundle, picture: npt.NDArray[np.uint8], rate_hz: float, rng: np.random.Generator
) -> Floats:
    """Return the model's answers on one run."""
    n, short = round(rng.uniform(*RUN_S) * rate_hz), round(SHORT_S * rate_hz)
    fate, first = rng.uniform(), int(rng.integers(0, n - short))
    patch = rng.integers(0, picture.shape[0] - PATCH_PX, 2)
    answers = np.empty((n, len(bundle.manifest.labels)))
    for k in range(n):
        frame = jittered(picture, rng)
        struck = first <= k < first + short
        if struck and fate < COVERED_SHARE:
            frame[patch[0] : patch[0] + PATCH_PX, patch[1] : patch[1] + PATCH_PX] = 128
        if struck and COVERED_SHARE <= fate < COVERED_SHARE + AWAY_SHARE:
            answers[k] = np.nan
        else:
            outputs = bundle.runners["model"].run({"face": frame[None, None]})
            answers[k] = outputs["probabilities"][0]
    return answers


def compose(bundle: Bundle, data: Path, n_runs: int, rate_hz: float, seed: int) -> list[Run]:
    """Return a synthetic stream."""
    faces = read_faces(data)
    public = faces["PublicTest"]
    fresh = public.take(~np.isin(public.groups, faces["Training"].groups) & ~public.blank)
    rng = np.random.default_rng(seed)
    runs: list[Run] = []
    for k in rng.permutation(len(fresh.labels)):
        truth = int(fresh.labels[k])
        if runs and runs[-1].truth == truth:
            continue
        runs.append(Run(truth, show(bundle, fresh.pixels[k], rate_hz, rng)))
        if len(runs) == n_runs:
            break
    return runs


def smoothed(runs: list[Run], time_constant_s: float | None, rate_hz: float) -> list[Floats]:
    """Return the smoothed answers, NaN where nobody is seen."""
    smoother, frame, told = LogSmoother(time_constant_s), 0, []
    for run in runs:
        rows = np.full_like(run.probabilities, np.nan)
        for k, p in enumerate(run.probabilities):
            if np.isfinite(p[0]):
                rows[k] = smoother.update(frame / rate_hz, normalised(np.log(np.maximum(p, 1e-9))))
            frame += 1
        told.append(rows)
    return told


def labels(told: list[Floats], hysteresis: Hysteresis, rate_hz: float) -> Iterator[list[int]]:
    """Yield the label of each frame of each run; -1 not sure, -2 nobody seen."""
    frame = 0
    for rows in told:
        said = []
        for p in rows:
            if np.isfinite(p[0]):
                label = hysteresis.update(frame / rate_hz, p)
                said.append(-1 if label is None else int(label))
            else:
                hysteresis.reset()
                said.append(-2)
            frame += 1
        yield said


def figures(runs: list[Run], said: list[list[int]], rate_hz: float) -> list[str]:
    """Return the cells of one row."""
    flat = np.concatenate([np.array(one) for one in said])
    truth = np.concatenate([np.full(len(run.probabilities), run.truth) for run in runs])
    usable, labelled = flat > -2, flat >= 0
    shown = flat[labelled]
    minutes = usable.sum() / rate_hz / 60.0
    answers = np.concatenate([np.full(len(run.probabilities), run.answer) for run in runs])
    changed = np.concatenate([[False], shown[1:] != shown[:-1]])
    stray = changed & (shown != truth[labelled]) & (shown != answers[labelled])
    readable = [k for k, run in enumerate(runs) if run.answer == run.truth]
    reached = [k for k in readable if runs[k].truth in said[k]]
    delays = [said[k].index(runs[k].truth) / rate_hz for k in reached]
    covered, right = labelled[usable].mean(), (flat == truth)[labelled].mean()
    return [
        f"{changed.sum() / minutes:.1f}",
        f"{stray.sum() / minutes:.1f}",
        f"{np.median(delays):.2f}",
        f"{np.quantile(delays, 0.9):.2f}",
        f"{100 * len(reached) / len(readable):.0f}",
        f"{100 * covered:.1f}",
        f"{100 * right:.1f}",
        f"{100 * covered * right:.1f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("exports/emotion"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bundle, rate_hz = load_bundle(options.bundle), options.rate_hz
    runs = compose(bundle, options.data, options.runs, rate_hz, options.seed)
    minutes = sum(len(run.probabilities) for run in runs) / rate_hz / 60.0
    table = Table(
        *("tau, s", "enter", "leave", "dwell, s", "flips/min", "stray", "delay p50, s", "p90, s"),
        *("reached %", "covered %", "right %", "both %"),
        title=f"SYNTHETIC stream of {len(runs)} runs, {minutes:.1f} min at {rate_hz:g} Hz,"
        f" {(len(runs) - 1) / minutes:.1f} true changes/min; the model reads"
        f" {100 * np.mean([run.answer == run.truth for run in runs]):.1f} % of the pictures"
        f" rightly; {bundle.model_id}",
    )
    names = tuple(str(k) for k in range(len(bundle.manifest.labels)))
    for tau_s in TIME_CONSTANTS_S:
        told = smoothed(runs, tau_s, rate_hz)
        for (enter, leave), dwell_s in product(LEVELS, DWELLS_S):
            hysteresis = Hysteresis(
                names, enter_probability=enter, leave_probability=leave, min_dwell_s=dwell_s
            )
            said = list(labels(told, hysteresis, rate_hz))
            settings = ("none" if tau_s is None else f"{tau_s:g}", f"{enter:g}", f"{leave:g}")
            table.add_row(*settings, f"{dwell_s:g}", *figures(runs, said, rate_hz))
        table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
