"""Score what is shipped: a bundle's ONNX graphs through ONNX Runtime, not the model in torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_app.errors import ConfigError
from edge_app.inference.bundle import Bundle
from trainer.baseline import baseline_bundle, in_order, refuse_other_pictures
from trainer.examination import (
    NO_WISHES,
    Baseline,
    Examination,
    Examiner,
    Wishes,
    refuse_what_cannot_be,
)
from trainer.experiment import Experiment, RunGraph, Split
from trainer.path_checks import make_folder
from trainer.recipe import Recipe, load_recipe
from trainer.sleep_evaluation.expert import SignalOptions, is_recording

SplitName = Literal["evaluation", "validation", "all"]
BUNDLE_RECIPE = "recipe.yaml"
Count = Callable[[int, int], None]
"""Told how many examples of how many are scored."""


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
            ``validation``: what chose the best pass and the temperature; ``all``: nothing there was
            learnt from, so nothing is held back.

    Returns:
        The split.

    Raises:
        DatasetError: data missing or damaged.
    """
    if split == "validation":
        return experiment.load(path)[1]
    return experiment.load_all(path) if split == "all" else experiment.load_evaluation(path)


def shipped_figures(bundle: Bundle) -> dict[str, Any]:
    """Return the bundle's ``metrics.json``; nothing where it has none yet or none that is JSON."""
    try:
        stored = json.loads((bundle.path / "metrics.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def evaluate_data(
    bundle: Bundle,
    data: Path,
    *,
    split: SplitName = "evaluation",
    hypnogram: Path | None = None,
    signal: SignalOptions | None = None,
    pictures: Path | None = None,
    wishes: Wishes = NO_WISHES,
    tell: Callable[[str], None] = lambda _: None,
    count: Count = lambda *_: None,
) -> dict[str, Any]:
    """Score a bundle on what ``--data`` names.

    Args:
        bundle: what is shipped.
        data: labelled data of the bundle's experiment; for a sleep bundle also an EEG recording, or
            a folder of Sleep-EDF pairs: those are played as at the bedside.
        split: which part of the experiment's data.
        hypnogram: the expert's stages of a single recording.
        signal: what the user says about recordings; None: as the files say.
        pictures: folder for PNG files; None: none are drawn.
        wishes: what is asked beyond scores, of tasks that are examined.
        tell: told what is being done.
        count: told how far it is.

    Returns:
        As ``evaluate``, or as ``evaluate_recordings`` of ``trainer.sleep_evaluation``.

    Raises:
        ConfigError: options that do not fit the data.
        DatasetError: data missing or damaged.
        SourceError: a recording that cannot be read.
    """
    sleep = bundle.manifest.task == "sleep"
    if hypnogram is not None or (sleep and split != "validation" and is_recording(data)):
        from trainer.sleep_evaluation.pictures import write_pictures
        from trainer.sleep_evaluation.recordings import evaluate_recordings

        _refuse_of_recordings(wishes, data)
        found, nights = evaluate_recordings(
            bundle, shipped_figures(bundle), data, hypnogram, signal or SignalOptions(), tell
        )
        if pictures is not None:
            drawn = write_pictures(pictures, found, nights, name=found["data"])
            found["pictures"] = [path.name for path in drawn]
        return found
    if signal not in (None, SignalOptions()):
        raise ConfigError(
            "channel, unit, rate and coding are said of recordings only",
            source=str(data),
            got=signal,
            next_step="Leave --channel, --unit, --rate-hz and --coding out",
        )
    experiment = bundle_recipe(bundle).experiment
    tell(f"reading {data}")
    chosen = choose_split(experiment, data, split)
    return evaluate(
        bundle,
        experiment,
        chosen,
        data,
        pictures=pictures,
        wishes=wishes,
        tell=tell,
        count=count,
    )


def evaluate(
    bundle: Bundle,
    experiment: Experiment,
    split: Split,
    path: Path,
    *,
    pictures: Path | None = None,
    wishes: Wishes = NO_WISHES,
    tell: Callable[[str], None] = lambda _: None,
    count: Count = lambda *_: None,
) -> dict[str, Any]:
    """Score a bundle on a split of its experiment.

    Args:
        bundle: what is shipped.
        experiment: the one that the bundle was made by.
        split: labelled data that was not learnt from.
        path: where ``split`` came from, for its subsets.
        pictures: folder for the pictures of tasks that have any; None: none are drawn.
        wishes: what is asked beyond scores, of experiments that are examiners.
        tell: told what is being done.
        count: told how far it is.

    Returns:
        Plain JSON values: n, accuracy, macro_f1, kappa, ece, per_class, confusion; ``subsets``;
        what the experiment adds and remarks; ``pictures``, names of the files, where asked for.

    Raises:
        ConfigError: the data's classes are not the bundle's, or wishes that cannot be fulfilled.
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
    refuse_what_cannot_be(experiment, split, wishes)
    other = None if wishes.baseline is None else baseline_bundle(wishes.baseline, labels)

    def score(scored: Split, what: str) -> npt.NDArray[np.float32]:
        tell(f"scoring {what}")
        return experiment.score(_counting(bundle, len(scored.targets), count), scored)

    probabilities = score(split, split.name)
    if isinstance(experiment, Examiner):
        baseline = None if other is None else _answers(other, bundle, split, path, tell, count)
        masks = experiment.subsets(path, split, wishes.duplicates_of)
        tell("drawing bootstraps and permutations")
        found = experiment.examine(
            Examination(bundle, split, probabilities, path, wishes, masks, score, baseline)
        )
    else:
        found = _scored(experiment, split, probabilities, path)
    shipped = shipped_figures(bundle)
    remarks = experiment.remarks(shipped, split)
    leak = {"leak": shipped["leak"]} if shipped.get("leak") else {}
    notes = [*remarks.get("notes", ()), *found.get("notes", ())]
    notes += [f"WARNING trained with --allow-leak: {said}" for said in leak.values()]
    figures = {
        "task": experiment.task,
        "bundle": bundle.manifest.name,
        "data": split.name,
        "groups": len(np.unique(split.groups)),
        "trained_on_simulated_data": bundle.manifest.simulated,
        **found,
        **remarks,
        **leak,
        **({"notes": notes} if notes or "notes" in remarks else {}),
    }
    if pictures is not None:
        drawn = experiment.pictures(figures, split, probabilities, make_folder(pictures))
        figures["pictures"] = [file.name for file in drawn]
    return figures


def _scored(
    experiment: Experiment, split: Split, probabilities: npt.NDArray[np.float32], path: Path
) -> dict[str, Any]:
    targets = split.targets.numpy()
    return {
        **experiment.split_figures(split, probabilities, path),
        "subsets": {
            name: experiment.figures(targets[mask], probabilities[mask])
            for name, mask in experiment.subsets(path, split).items()
        }
        | {
            name: scores.as_dict(experiment.parts().labels)
            for name, scores in experiment.grouped_scores(split, probabilities).items()
        },
    }


def _counting(bundle: Bundle, total: int, count: Count) -> RunGraph:
    """Return a bundle's graphs; every run of ``model`` counts as one example."""
    done = 0

    def run(role: str, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        nonlocal done
        outputs = bundle.runners[role].run(inputs)
        if role == "model":
            done += 1
            count(done, total)
        return outputs

    return run


def _answers(
    other: Bundle,
    bundle: Bundle,
    split: Split,
    path: Path,
    tell: Callable[[str], None],
    count: Count,
) -> Baseline:
    """Return what another bundle says of the same examples, at its own input size."""
    experiment, theirs = bundle_recipe(other).experiment, split
    if other.manifest.graphs[-1].inputs != bundle.manifest.graphs[-1].inputs:
        tell(f"reading {path} for {other.manifest.name}")
        theirs = experiment.load_evaluation(path)
        refuse_other_pictures(split, theirs, other.manifest.name)
    tell(f"scoring {other.manifest.name}")
    said = experiment.score(_counting(other, len(theirs.targets), count), theirs)
    ours = bundle.manifest.labels
    return Baseline(other.manifest.name, in_order(said, other.manifest.labels, ours))


def _refuse_of_recordings(wishes: Wishes, data: Path) -> None:
    if wishes != NO_WISHES:
        raise ConfigError(
            "recordings are not examined this way",
            source=str(data),
            got=wishes,
            next_step="Leave --by, --baseline, --duplicates-of and --corruptions out",
        )
