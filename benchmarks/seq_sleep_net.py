"""What must hold of a SeqSleepNet bundle, counted and timed on a SIMULATED night.

    python -m benchmarks.seq_sleep_net

Trains both kinds of net for a few steps on SIMULATED nights, exports them, and prints a table: how
far streamed answers are from offline ones, how far ONNX Runtime is from torch, encoder runs with
cached encodings and without, and milliseconds an epoch on one thread. Nothing here says how well
anybody's sleep is staged.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

from edge_app.contracts import Chunk, Prediction, StreamInfo
from edge_app.inference.bundle import Bundle
from edge_app.tasks.protocol import build_windower, fit_stream
from edge_app.tasks.sleep import SleepTask
from tests.sleep_edf_files import simulated_eeg, write_night
from trainer import provenance
from trainer.datasets.raw_night import RawNight
from trainer.experiment import Graph, Split
from trainer.experiments.seq_sleep_net_nights import join_nights, streamed_sequences
from trainer.experiments.seq_sleep_net_scoring import answered_nights, decisions_of
from trainer.export import export
from trainer.fit import fit
from trainer.onnx_graph import one_case, run_torch
from trainer.recipe import RECIPES_DIR, Recipe, load_recipe
from trainer.run_dir import RunDir

RECIPES = {"recurrent_batch": "seq_sleep_net", "layer": "seq_sleep_net_bedside"}
LETTERS = "W" * 8 + ("1" * 2 + "2" * 8 + "3" * 4 + "4" * 4 + "R" * 6) * 2 + "W" * 4
INFO = StreamInfo("eeg", "eeg", 100.0, ("Fpz-Cz",), ("uV",), "simulation", simulated=True)


@dataclass(slots=True)
class Counted:
    """A runner that counts."""

    runner: Any
    role: str
    counts: Counter[str]

    def run(self, inputs: Any) -> Any:
        """Run and count."""
        self.counts[self.role] += 1
        return self.runner.run(inputs)


def make_bundle(kind: str, folder: Path, steps: int) -> tuple[Bundle, Recipe, Path]:
    """Train on SIMULATED nights and export."""
    data = folder / "sleep_edf"
    if not data.is_dir():
        for person in range(3):
            write_night(data, f"SC4{person:02}1E0", LETTERS, seed=person)
    changes = (
        "experiment.subjects=null",
        'experiment.validation_subjects=["02"]',
        f"fit.steps_per_pass={steps}",
        "fit.passes=1",
        "fit.learning_rate=0.001",
    )
    recipe = load_recipe(RECIPES_DIR / f"{RECIPES[kind]}.yaml", changes)
    run = RunDir(folder / f"run_{kind}")
    train, validation = recipe.experiment.load(data)
    run.create(recipe.to_yaml(), provenance.collect(recipe.name), resume=False)
    fit(recipe, train, validation, run, Console(quiet=True))
    return export(run, data, folder / f"simulated_{kind}"), recipe, data


def made_night(hours: float) -> RawNight:
    """Return a SIMULATED night, staged by how it was made."""
    n = round(hours * 120)
    letters = (LETTERS * (n // len(LETTERS) + 1))[:n]
    epochs = simulated_eeg(letters, seed=99).reshape(n, 3000).astype(np.float32)
    return RawNight(
        name="SIMULATED",
        subject="nobody",
        night=None,
        channel="simulated",
        rate_hz=100.0,
        epochs=epochs,
        stages=np.array(["W1234R".index(letter) for letter in letters]).clip(0, 4),
        reasons=(None,) * n,
        start_epoch=0,
        simulated=True,
    )


def stream(bundle: Bundle, signal: np.ndarray) -> list[Prediction]:
    """Return what the bedside says of a signal, passing estimates left out."""
    conditioning = bundle.manifest.conditioning.model_copy(update={"estimate_every_s": None})
    still = bundle.manifest.model_copy(update={"conditioning": conditioning})
    bundle = replace(bundle, manifest=still)
    task = SleepTask(bundle, INFO)
    windower = build_windower(fit_stream(still, INFO), INFO)
    said = []
    for start in range(0, len(signal), 3000):
        part = slice(start, start + 3000)
        times_s = np.arange(start, min(start + 3000, len(signal))) / 100.0
        for window in windower.push(Chunk(times_s, signal[part, None])):
            said += task.push(window)
    return said + task.finish()


def streamed_gap(bundle: Bundle, night: RawNight, counts: Counter[str]) -> float:
    """Return the largest difference of first and final answers, streamed and offline."""
    length = bundle.manifest.rolling.lookahead_windows + 1
    split: Split = streamed_sequences(join_nights([night]), length, "simulated")
    offline = answered_nights(
        split, decisions_of(lambda role, inputs: bundle.runners[role].run(inputs), split)
    )
    runners = {role: Counted(runner, role, counts) for role, runner in bundle.runners.items()}
    said = stream(replace(bundle, runners=runners), night.epochs.reshape(-1))
    worst = 0.0
    for delay, mine in ((0, [p for p in said if p.revision == 0]), (length - 1, said)):
        heard = {round(p.start_s / 30.0): p for p in mine if p.revision == 0 or p.final}
        answers = np.array([[p for _, p in heard[i].probabilities] for i in sorted(heard)])
        worst = max(worst, float(np.abs(answers - offline[delay][0].probabilities).max()))
    return worst


def parity_gap(bundle: Bundle, graphs: tuple[Graph, ...]) -> float:
    """Return the largest difference between ONNX Runtime and torch over the golden cases."""
    worst = 0.0
    for graph in graphs:
        for case in range(len(next(iter(graph.inputs.values())))):
            fed = {name: array[case : case + 1] for name, array in graph.inputs.items()}
            answers = bundle.runners[graph.role].run(fed)
            for name, wanted in zip(
                graph.outputs, run_torch(graph.module, one_case(graph, case)), strict=True
            ):
                worst = max(worst, float(np.abs(answers[name] - wanted).max()))
    return worst


def milliseconds(bundle: Bundle, night: RawNight, encodings: int) -> np.ndarray:
    """Time some encoder runs and a sequence run an epoch, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = {
        graph.role: onnxruntime.InferenceSession(str(bundle.path / graph.file), options)
        for graph in bundle.manifest.graphs
    }
    length = bundle.manifest.rolling.lookahead_windows + 1
    features = np.zeros((1, length, 128), np.float32)
    mask = np.ones((1, length), np.float32)
    took_ms = []
    for epoch in night.epochs[:100]:
        started_s = time.perf_counter()
        for _ in range(encodings):
            (encoded,) = sessions["encoder"].run(None, {"eeg": epoch[None, None]})
        features = np.concatenate((features[:, 1:], encoded[:, None]), axis=1)
        sessions["sequence"].run(None, {"features": features, "mask": mask})
        took_ms.append(1000 * (time.perf_counter() - started_s))
    return np.array(took_ms[5:])


def main() -> None:
    """Parse the command line, measure both kinds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0, help="of the SIMULATED night")
    parser.add_argument("--steps", type=int, default=20, help="of training, on SIMULATED nights")
    given = parser.parse_args()
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    night = made_night(given.hours)
    n = len(night.epochs)
    table = Table(title=f"SeqSleepNet, {given.steps} steps on SIMULATED nights; {n} epochs")
    table.add_column("what")
    columns = []
    for kind in RECIPES:
        table.add_column(kind, justify="right")
        with tempfile.TemporaryDirectory() as folder:
            bundle, recipe, data = make_bundle(kind, Path(folder), given.steps)
            counts: Counter[str] = Counter()
            gap = streamed_gap(bundle, night, counts)
            columns.append(figures(bundle, recipe, data, night, counts, gap))
    for row in zip(*(column.items() for column in columns), strict=True):
        table.add_row(row[0][0], *(text for _, text in row))
    Console().print(table)


def figures(
    bundle: Bundle, recipe: Recipe, data: Path, night: RawNight, counts: Counter[str], gap: float
) -> dict[str, str]:
    """Return a column of the table."""
    length = bundle.manifest.rolling.lookahead_windows + 1
    n = len(night.epochs)
    naive = sum(min(i + 1, length) for i in range(n))
    run = RunDir(bundle.path.parent / f"run_{bundle.manifest.name.removeprefix('simulated_')}")
    split = recipe.experiment.load(data)[1]
    model = recipe.experiment.build_model()
    run.load_weights(model, run.load_best().weights, "best.pt")
    graphs = recipe.experiment.graphs(model.eval(), bundle.manifest.calibration.temperature, split)
    cached_ms, naive_ms = (milliseconds(bundle, night, runs) for runs in (1, length))
    sizes = [(bundle.path / graph.file).stat().st_size / 1e6 for graph in bundle.manifest.graphs]
    return {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "streamed against offline, largest difference": f"{gap:.1e}",
        "ONNX Runtime against torch, largest difference": f"{parity_gap(bundle, graphs):.1e}",
        "encoder runs, each epoch of each sequence": f"{naive:,}",
        "encoder runs at the bedside, counted": f"{counts['encoder']:,}",
        "times fewer": f"{naive / counts['encoder']:.1f}",
        "sequence runs at the bedside, counted": f"{counts['sequence']:,}",
        "ms an epoch, one thread (median)": f"{np.median(cached_ms):.2f}",
        "ms an epoch, one thread (95 %)": f"{np.percentile(cached_ms, 95):.2f}",
        f"ms an epoch with {length} encoder runs (median)": f"{np.median(naive_ms):.2f}",
        "MB, encoder + sequence": " + ".join(f"{size:.2f}" for size in sizes),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
