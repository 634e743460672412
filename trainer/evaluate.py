"""Score what is shipped: a bundle's ONNX graphs through ONNX Runtime, not the model in torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError
from edge_app.inference.bundle import Bundle
from trainer.experiment import Experiment, Split
from trainer.recipe import Recipe, load_recipe

SplitName = Literal["evaluation", "validation"]
BUNDLE_RECIPE = "recipe.yaml"


def bundle_recipe(bundle: Bundle) -> Recipe:
    """Return the recipe that a bundle was trained by; it lies in the bundle.

    Args:
        bundle: a loaded bundle.

    Returns:
        The recipe with its experiment built.

    Raises:
        ConfigError: missing or altered beyond use.
    """
    return load_recipe(bundle.path / BUNDLE_RECIPE, name=bundle.manifest.training.recipe)


def choose_split(experiment: Experiment, path: Path, split: SplitName) -> Split:
    """Return the data to score.

    Args:
        experiment: whose data it is.
        path: the data.
        split: ``evaluation``: what is at ``path``, without what was learnt from;
            ``validation``: what chose the best pass and the temperature.

    Returns:
        The split.

    Raises:
        DatasetError: data missing or damaged.
    """
    return experiment.load(path)[1] if split == "validation" else experiment.load_evaluation(path)


def shipped_figures(bundle: Bundle) -> dict[str, Any]:
    """Return the bundle's ``metrics.json``; nothing where it has none yet or none that is JSON."""
    try:
        stored = json.loads((bundle.path / "metrics.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def evaluate(bundle: Bundle, experiment: Experiment, split: Split, path: Path) -> dict[str, Any]:
    """Score a bundle.

    Args:
        bundle: what is shipped.
        experiment: the one that the bundle was made by.
        split: labelled data that was not learnt from.
        path: where ``split`` came from, for its subsets.

    Returns:
        Plain JSON values: n, accuracy, macro_f1, kappa, ece, per_class, confusion; ``subsets``; and
        what the experiment remarks.

    Raises:
        ConfigError: the data's classes are not the bundle's.
        DatasetError: nothing there has a label.
    """
    labels = bundle.manifest.labels
    if labels != experiment.parts().labels:
        raise ConfigError(
            "the bundle's labels are not those of this code",
            source=str(bundle.path),
            expected=experiment.parts().labels,
            got=labels,
            next_step="Evaluate with the version that exported it, or export again",
        )

    def run(role: str, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return bundle.runners[role].run(inputs)

    probabilities = experiment.score(run, split)
    targets = split.targets.numpy()
    return {
        "task": experiment.task,
        "bundle": bundle.manifest.name,
        "data": split.name,
        "groups": len(np.unique(split.groups)),
        "trained_on_simulated_data": bundle.manifest.simulated,
        **experiment.figures(targets, probabilities),
        **experiment.remarks(shipped_figures(bundle), split),
        "subsets": {
            name: experiment.figures(targets[mask], probabilities[mask])
            for name, mask in experiment.subsets(path, split).items()
        }
        | {
            name: scores.as_dict(labels)
            for name, scores in experiment.grouped_scores(split, probabilities).items()
        },
    }
