"""What a stager says when it is started in the middle of sleep, or when the signal was away.

    python benchmarks/sleep_cold_start.py [--bundle exports/sleep] [--data ../shared/data]

Feeds the nights of the band-power archive to ``sequence.onnx``: from zeros at random moments of
sleep, and over gaps, stepping on with "not known" as the bedside does, or from zeros. The shipped
model has learnt from these people, so all figures flatter; the difference between rows counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_app.inference.bundle import load_bundle
from edge_app.inference.runner import Runner
from trainer.datasets.sleepedf_bandpower import load_nights

SPANS = ((0, 10), (10, 20), (20, 40), (40, 120))
"""Epochs since the start: first five minutes, next five, next ten, up to an hour."""
MISSING = np.full((1, 7), np.nan, np.float32)


def answers(step: Runner, features: np.ndarray, state: np.ndarray) -> Iterator[tuple]:
    """Yield stage, confidence and state of each epoch."""
    for epoch in features:
        out = step.run({"features": epoch[None], "state": state})
        state = out["next_state"]
        yield int(out["probabilities"].argmax()), float(out["probabilities"].max()), state


def row(said: np.ndarray, truth: np.ndarray, sure: np.ndarray) -> list[str]:
    """Return the cells of one row."""
    figures = ((said == truth).mean(), (said == 0).mean(), (truth == 0).mean(), sure.mean())
    return [f"{value:.3f}" for value in figures] + [str(len(truth))]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("exports/sleep"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--starts", type=int, default=12, help="Random moments a night.")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    step = bundle.runners["sequence"]
    shape = next(t.shape for t in bundle.manifest.graphs[-1].inputs if t.name == "state")
    zeros = np.zeros(shape, np.float32)
    draws = np.random.default_rng(1)
    cold: list[tuple[np.ndarray, ...]] = []
    gaps: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for night in load_nights(options.data):
        through = list(answers(step, night.features, zeros))
        asleep = np.flatnonzero(night.stages[:-160] != 0)
        for start in draws.choice(asleep[asleep > 60], options.starts):
            part = slice(start, start + SPANS[-1][1])
            fresh = list(answers(step, night.features[part], zeros))
            cold.append(
                (
                    np.array([a[0] for a in fresh]),
                    np.array([a[0] for a in through[part]]),
                    night.stages[part],
                    np.array([a[1] for a in fresh]),
                )
            )
        for minutes in (10, 30):
            lost = 2 * minutes
            possible = asleep[(asleep > 120) & (asleep < len(night.stages) - 200)]
            if not len(possible):  # a night that ends early
                continue
            start = int(draws.choice(possible))
            after = slice(start + lost, start + lost + 20)
            state = through[start - 1][2]
            for _ in range(lost):
                state = step.run({"features": MISSING, "state": state})["next_state"]
            for way, begin in (("stepping on", state), ("from zeros", zeros)):
                found = list(answers(step, night.features[after], begin))
                gaps.setdefault(f"{minutes} min away, {way}", []).append(
                    (
                        np.array([a[0] for a in found]),
                        night.stages[after],
                        np.array([a[1] for a in found]),
                    )
                )
    table = Table(title=f"{bundle.model_id}: started from zeros in the middle of sleep")
    heads = ("", "accuracy", "said W", "truly W", "mean confidence", "epochs")
    for head in ("since the start", *heads[1:], "accuracy of the night's own state"):
        table.add_column(head, justify="right")
    for low, high in SPANS:
        said, other, truth, sure = (
            np.concatenate([c[i][low:high] for c in cold]) for i in range(4)
        )
        own = f"{(other == truth).mean():.3f}"
        table.add_row(f"{low / 2:g} to {high / 2:g} min", *row(said, truth, sure), own)
    console = Console()
    console.print(table)
    table = Table(title="The first ten minutes after the signal was away")
    for head in heads:
        table.add_column(head, justify="right")
    for name, parts in gaps.items():
        table.add_row(name, *row(*(np.concatenate([p[i] for p in parts]) for i in range(3))))
    console.print(table)


if __name__ == "__main__":
    main()
