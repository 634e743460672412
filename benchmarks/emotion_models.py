"""The papers' six face models and ours: size, speed, accuracy on PublicTest, and their training.

    python -m benchmarks.emotion_models exports/emotion out/emotion_baseline_cnn --runs runs

Prints a Markdown table. Accuracy is what `trainer export` measured through ONNX Runtime and left
in each bundle's metrics.json; passes and hardware come from the run that the bundle was made of,
looked for under --runs. Milliseconds are measured now, on one thread; where there is no bundle they
are those of untrained weights, and the row says by which command to train it.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from edge_app.errors import ConfigError
from edge_app.inference.bundle import Bundle, load_bundle
from trainer.calibrate import Calibrated
from trainer.evaluate import bundle_recipe, shipped_figures
from trainer.experiment import Graph
from trainer.experiments.emotion_models import build_face_model, pretrained_weights
from trainer.experiments.emotion_options import RESNETS, EmotionOptions
from trainer.learning_curve import Row, ended
from trainer.onnx_graph import export_graph
from trainer.recipe import RECIPES_DIR, load_recipe

PAPERS = ("clinical_cnn", "frozen_resnet50", "baseline_cnn", "resnet50", "attention_cnn")
RECIPES = tuple(f"emotion_{name}" for name in (*PAPERS, "cbam_resnet50"))
FOR_A_GPU = "Meant for a GPU."
"""What a recipe's comment says of a network that is too slow for two cores."""
HEAD = (
    *("bundle", "model", "parameters", "ms a face, p50", "PublicTest, all", "duplicate-free"),
    *("recipe", "passes done", "hardware"),
)


def milliseconds(graph: Path, size_px: int, repeats: int) -> str:
    """Return the median of one face through ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(graph), options)
    rng = np.random.default_rng(0)
    face = rng.integers(0, 256, (1, 1, size_px, size_px), dtype=np.uint8)
    took_ms = []
    for _ in range(repeats + 3):
        started_s = time.perf_counter()
        session.run(None, {"face": face})
        took_ms.append(1e3 * (time.perf_counter() - started_s))
    return f"{np.median(took_ms[3:]):.2f}"


def parameters(options: EmotionOptions) -> str:
    """Return how many numbers are learnt or, where frozen, were."""
    model = build_face_model(options, len(options.classes))
    return f"{sum(parameter.numel() for parameter in model.parameters()):,}"


def model_name(options: EmotionOptions) -> str:
    """Return the network, and what a ResNet-50 started from."""
    if options.model not in RESNETS:
        return options.model
    if options.pretrained is not None:
        return f"{options.model}, from {options.pretrained.name}"
    needs = options.model == "frozen_resnet50" and options.freeze
    return options.model if needs else f"{options.model}, from scratch"


def from_csv(text: str) -> list[Row]:
    """Return the rows of a run's log.csv."""
    rows = []
    for line in csv.DictReader(text.splitlines()):
        figures: dict[str, Any] = {
            name: float(said) if said else None for name, said in line.items()
        }
        rows.append(Row(**figures | {"index": int(line["index"])}))
    return rows


def run_of(bundle: Bundle, runs: Path | None) -> tuple[str, str]:
    """Return passes done and hardware of the run that a bundle was made of.

    Args:
        bundle: names the run's commit, command, date and recipe.
        runs: folder that holds run folders; None: nothing is looked for.

    Returns:
        As ``12 of 30`` with why it ended there, and the machine.
    """
    training = bundle.manifest.training
    wanted = {name: getattr(training, name) for name in ("commit", "command", "date", "recipe")}
    for file in sorted(runs.rglob("run.json")) if runs is not None else ():
        stored = json.loads(file.read_bytes())
        log = file.with_name("log.csv")
        if {name: stored.get(name) for name in wanted} == wanted and log.is_file():
            fit = load_recipe(file.with_name("recipe.yaml")).fit
            rows = from_csv(log.read_text(encoding="utf-8"))
            over = ended(rows, fit.passes, fit.patience, fit.select_by)
            early = "" if len(rows) >= fit.passes else ", no gain: stopped early"
            why = early if over else f", cut: `{stored['command']} --resume` goes on"
            return f"{len(rows)} of {fit.passes}{why}", stored["hardware"]
    return "run not found", "run not found"


def bundle_row(path: Path, runs: Path | None, repeats: int) -> list[str]:
    """Return the row of a bundle."""
    bundle = load_bundle(path)
    options = bundle_recipe(bundle).experiment.options
    figures = shipped_figures(bundle)
    free = figures["subsets"].get("duplicate_free", {}).get("accuracy")
    graph = bundle.manifest.graphs[0]
    passes, hardware = run_of(bundle, runs)
    return [
        path.name,
        model_name(options),
        parameters(options),
        milliseconds(path / graph.file, graph.inputs[0].shape[-1], repeats),
        f"{figures['accuracy']:.4f} ({figures['data']}, n {figures['n']})",
        "not measured" if free is None else f"{free:.4f}",
        bundle.manifest.training.recipe + changes(bundle.manifest.training.command),
        passes,
        hardware,
    ]


def untrained_row(recipe: str, repeats: int) -> list[str]:
    """Return the row of a recipe that there is no bundle of."""
    file = RECIPES_DIR / f"{recipe}.yaml"
    options = load_recipe(file).experiment.options
    text = file.read_text(encoding="utf-8")
    command = text.splitlines()[0].removeprefix("# ")
    model = Calibrated(build_face_model(options, len(options.classes)), 1.0)
    faces = np.zeros((1, 1, options.size_px, options.size_px), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        graph = Graph("model", model, {"face": faces}, ("logits", "probabilities"))
        export_graph(graph, Path(folder))
        took_ms = milliseconds(Path(folder) / "model.onnx", options.size_px, repeats)
    said = [f"not trained here{why_not(options, text)}: `{command}`", "", recipe, "0", ""]
    return ["", model_name(options), parameters(options), took_ms, *said]


def why_not(options: EmotionOptions, text: str) -> str:
    """Return why a recipe was not trained as it stands, in brackets; empty where it could be."""
    reasons = []
    if FOR_A_GPU in text and not torch.cuda.is_available():
        reasons.append("meant for a GPU, and there is none here")
    try:
        pretrained_weights(options)
    except ConfigError as error:
        reasons.append(error.problem)
    return f" ({'; '.join(reasons)})" if reasons else ""


def changes(command: str) -> str:
    """Return what a command sets over its recipe, such as `` --set fit.passes=15``."""
    words = shlex.split(command)
    said = [word for flag, word in pairwise(words) if flag == "--set"]
    return "".join(f" --set {shlex.quote(word)}" for word in said)


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="*", help="folders made by trainer export")
    parser.add_argument("--runs", type=Path, help="folder of the runs that they were made of")
    parser.add_argument("--repeats", type=int, default=100, help="faces timed a model")
    given = parser.parse_args()
    rows = [bundle_row(path, given.runs, given.repeats) for path in given.bundles]
    there = {row[HEAD.index("recipe")].partition(" ")[0] for row in rows}
    rows += [untrained_row(recipe, given.repeats) for recipe in RECIPES if recipe not in there]
    for line in (list(HEAD), ["---"] * len(HEAD), *rows):
        print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
