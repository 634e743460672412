"""The torch network of a run, or of a bundle: then rebuilt from the ONNX file and compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edge_app.errors import ConfigError, TrainingError
from edge_app.inference.bundle import Bundle, load_bundle
from trainer.evaluate import bundle_recipe
from trainer.experiment import Experiment
from trainer.explanation.onnx_weights import put_onnx_weights
from trainer.onnx_graph import TOLERANCE_FP32
from trainer.recipe import load_recipe
from trainer.run_dir import RunDir


@dataclass(frozen=True, slots=True)
class Explained:
    """A network to explain.

    Args:
        name: of its folder.
        model: (n, 1, P, P) grey levels to logits, ready for evaluation.
        experiment: whose network it is.
        temperature: divides its logits; 1 for a run, which is not calibrated yet.
        rebuilt_error: largest difference of a rebuilt network's golden logits; None for a run.
    """

    name: str
    model: nn.Module
    experiment: Experiment
    temperature: float
    rebuilt_error: float | None


def load_explained(path: Path) -> Explained:
    """Load the network of a run or of a bundle.

    Args:
        path: folder made by ``trainer fit`` or by ``trainer export``.

    Returns:
        The network.

    Raises:
        ConfigError: neither, or a task without pictures.
        TrainingError: no weights, or a bundle whose network cannot be rebuilt.
    """
    if (path / "manifest.json").is_file():
        return _of_bundle(load_bundle(path))
    if not (path / "run.json").is_file():
        raise ConfigError(
            "neither a run nor a bundle",
            source=str(path),
            expected="a folder made by `trainer fit` or by `trainer export`",
            next_step="Name one, such as exports/emotion",
        )
    run = RunDir(path)
    recipe = load_recipe(path / "recipe.yaml", name=run.provenance().recipe)
    refuse_other_task(recipe.experiment, path)
    model = recipe.experiment.build_model()
    run.load_weights(model, run.load_best().weights, "best.pt")
    return Explained(path.name, model.eval(), recipe.experiment, 1.0, None)


def refuse_other_task(experiment: Experiment, path: Path) -> None:
    """Refuse what has no pictures to explain.

    Args:
        experiment: whose model it is.
        path: where it lies.

    Raises:
        ConfigError: the task is another.
    """
    if experiment.task != "emotion":
        raise ConfigError(
            "only models of faces are explained",
            source=str(path),
            expected="emotion",
            got=experiment.task,
            next_step="Name a run or a bundle of the emotion task",
        )


def _of_bundle(bundle: Bundle) -> Explained:
    recipe = bundle_recipe(bundle)
    refuse_other_task(recipe.experiment, bundle.path)
    graph = bundle.manifest.graphs[0]
    model = recipe.experiment.build_model().eval()
    with np.load(bundle.path / bundle.manifest.golden.file, allow_pickle=False) as golden:
        examples = torch.from_numpy(golden[f"{graph.role}/{graph.inputs[0].name}"])
        expected = torch.from_numpy(golden[f"{graph.role}/logits"])
    put_onnx_weights(model, bundle.path / graph.file, examples[:1])
    with torch.no_grad():
        error = float((model(examples) - expected).abs().max())
    if not error <= TOLERANCE_FP32:
        raise TrainingError(
            "the network rebuilt from the ONNX file answers otherwise than the bundle",
            source=str(bundle.path / graph.file),
            expected=f"at most {TOLERANCE_FP32:g}",
            got=f"{error:g}",
            next_step="Explain the run that it was exported from, a folder made by `trainer fit`",
        )
    temperature = bundle.manifest.calibration.temperature
    return Explained(bundle.manifest.name, model, recipe.experiment, temperature, error)
