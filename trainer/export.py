"""A run becomes a bundle: calibrate, export to ONNX, compare, score, describe; all or nothing.

Everything is written into a folder beside the bundle, read back the way the bedside reads it, and
only then renamed into place. A bundle that is there already stays until the new one has passed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_app.errors import TrainingError
from edge_app.inference.bundle import Bundle, load_bundle, require_golden
from edge_app.inference.manifest import (
    FORMAT_VERSION,
    Calibration,
    Golden,
    GraphSpec,
    Manifest,
    Training,
)
from trainer.bundle_files import (
    finish_bundle,
    fresh_folder_beside,
    refuse_other_folder,
    replace_folder,
    write_manifest,
)
from trainer.calibrate import fit_temperature
from trainer.direct_run import WEIGHTS, read_direct
from trainer.evaluate import BUNDLE_RECIPE, evaluate
from trainer.experiment import BundleParts, Split
from trainer.export_facts import exported_facts
from trainer.export_int8 import Int8, make_int8, refuse_unfit
from trainer.fit import predict_logits
from trainer.onnx_graph import export_graph, write_golden
from trainer.provenance import Provenance
from trainer.recipe import Recipe, load_recipe
from trainer.run_dir import RunDir


def export(
    run: RunDir,
    data_dir: Path,
    out: Path,
    *,
    int8: Path | None = None,
    int8_symmetric: bool = False,
    force_int8: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Export the best pass of a run, or what was fitted without passes.

    Args:
        run: a folder made by ``trainer fit``.
        data_dir: the data it was trained on; the temperature is fitted on its validation split.
            Where there were no passes, the folds' answers in the run fit the temperature.
        out: the bundle's folder; its name is the bundle's name.
        int8: folder of a variant in 8-bit integers; None: none is tried. One that loses too much
            or is not faster is not put there: ``metrics.json`` under ``quantised`` and the card
            say why.
        int8_symmetric: make it with the ranges that TensorRT takes.
        force_int8: put it there all the same.
        tell: told what is being done.

    Returns:
        The bundle in place, loaded and checked.

    Raises:
        TrainingError: no finished pass, weights of another model, a folder in the way, or a graph
            that cannot be shipped.
        InferenceError: ONNX Runtime strays from torch.
    """
    _refuse_folders(out, int8)
    provenance = run.provenance()
    recipe = load_recipe(run.path / "recipe.yaml", name=provenance.recipe)
    experiment = recipe.experiment
    load = load_direct if experiment.fits_directly else load_best_pass
    trained = load(run, recipe, data_dir)
    beside: list[Path] = []
    small: Int8 | None = None
    try:
        beside.append(fresh_folder_beside(out))
        bundle = _write_float(beside[0], out.name, recipe, provenance, trained)
        figures = trained.figures or evaluate(bundle, experiment, trained.split, data_dir)
        figures = {**figures, "bundle": out.name, "exported": exported_facts(bundle)}
        if provenance.leak is not None:
            figures["leak"] = provenance.leak
        if int8 is not None:
            refuse_unfit(experiment, bundle)
            beside.append(fresh_folder_beside(int8))
            splits, name = experiment.load(data_dir), int8.name
            small = make_int8(
                bundle,
                figures,
                experiment,
                splits,
                data_dir,
                beside[1],
                name,
                symmetric=int8_symmetric,
                force=force_int8,
                tell=tell,
            )
            figures["quantised"] = small.facts
            small.finish(experiment, provenance, trained.scored_on)
        finish_bundle(
            beside[0],
            bundle.manifest,
            figures,
            experiment,
            provenance,
            trained.scored_on,
            trained.story,
        )
        replace_folder(beside[0], out)
        if int8 is not None and small is not None and small.shipped:
            replace_folder(beside[1], int8)
    except OSError as error:
        raise TrainingError(
            f"cannot write the bundle: {error}",
            source=str(out),
            next_step="Free space or make the folder writable, then export again",
        ) from error
    finally:
        for folder in beside:
            shutil.rmtree(folder, ignore_errors=True)
    return load_bundle(out)


def _refuse_folders(out: Path, int8: Path | None) -> None:
    refuse_other_folder(out)
    if int8 is not None:
        refuse_other_folder(int8)
        if int8.resolve() == out.resolve():
            raise TrainingError(
                "the float bundle and its 8-bit variant need a folder each",
                source=str(out),
                next_step=f"Give --int8 another name, such as {out}_int8",
            )


def _write_float(
    folder: Path, name: str, recipe: Recipe, provenance: Provenance, trained: Trained
) -> Bundle:
    """Write graphs, golden cases, recipe and a manifest without metrics; load and compare."""
    graphs = recipe.experiment.graphs(
        trained.model.eval(), trained.calibration.temperature, trained.split
    )
    specs = tuple(export_graph(graph, folder) for graph in graphs)
    golden = write_golden(graphs, folder / "golden.npz")
    (folder / BUNDLE_RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
    write_manifest(folder, build_manifest(name, recipe, provenance, specs, golden, trained))
    bundle = load_bundle(folder)
    require_golden(bundle)
    return bundle


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run holds.

    Args:
        model: with its weights.
        calibration: its temperature.
        split: shows the graphs what to expect; scored unless ``figures`` are there.
        scored_on: what the figures come from, for the manifest.
        parts: what goes into the manifest, with what validation chose.
        story: how the weights came about, for the card.
        figures: of folds that had not seen whom they answered for.
    """

    model: nn.Module
    calibration: Calibration
    split: Split
    scored_on: str
    parts: BundleParts
    story: str
    figures: dict[str, Any] | None = None


def load_best_pass(run: RunDir, recipe: Recipe, data_dir: Path) -> Trained:
    """Return the best pass, its temperature fitted on validation.

    Args:
        run: trained by passes.
        recipe: its recipe.
        data_dir: the data it was trained on.

    Returns:
        What is exported.

    Raises:
        TrainingError: no finished pass, or weights of another model.
    """
    experiment = recipe.experiment
    best, story = run.load_best(), run.provenance().story
    if story is None:  # of a run begun before it was kept
        story = experiment.story()
    _, validation = experiment.load(data_dir)
    model = experiment.build_model()
    run.load_weights(model, best.weights, "best.pt")
    logits = predict_logits(model, validation, recipe.fit)
    temperature = fit_temperature(logits, validation.targets, balanced=experiment.equal_shares)
    return Trained(
        model,
        Calibration(temperature=temperature, fitted_on=validation.name),
        validation,
        "validation",
        experiment.settled_parts(
            torch.softmax(logits.double() / temperature, dim=-1).numpy(),
            validation.targets.numpy(),
        ),
        f"Exported: pass {best.row.index + 1}, the best on validation. {story}".strip(),
    )


def load_direct(run: RunDir, recipe: Recipe, data_dir: Path) -> Trained:
    """Return what was fitted without passes, its temperature fitted on answers out of fold.

    Args:
        run: fitted in one go.
        recipe: its recipe.
        data_dir: the data it was fitted on.

    Returns:
        What is exported.

    Raises:
        TrainingError: no such run, or weights of another model.
    """
    experiment = recipe.experiment
    stored = read_direct(run.path)
    model = experiment.build_model()
    run.load_weights(model, stored.weights, WEIGHTS)
    temperature = fit_temperature(stored.logits, stored.targets, balanced=experiment.equal_shares)
    return Trained(
        model,
        Calibration(temperature=temperature, fitted_on=stored.calibrated_on),
        experiment.load_evaluation(data_dir),
        f"out of fold: {stored.calibrated_on}",
        experiment.parts(),
        "Fitted in one go on everybody; nobody was held out of the weights that are shipped.",
        stored.figures,
    )


def build_manifest(
    name: str,
    recipe: Recipe,
    provenance: Provenance,
    graphs: tuple[GraphSpec, ...],
    golden: Golden,
    trained: Trained,
) -> Manifest:
    """Return the manifest before anything is measured."""
    parts = trained.parts
    training = Training(
        commit=provenance.commit,
        recipe=recipe.name,
        command=provenance.command,
        date=provenance.date,
        seed=recipe.seed,
        data=parts.data,
    )
    return Manifest.model_validate(
        {
            "format_version": FORMAT_VERSION,
            "name": name,
            "task": recipe.task,
            "labels": parts.labels,
            "stream": parts.stream,
            "window": parts.window,
            "conditioning": parts.conditioning,
            "graphs": graphs,
            "rolling": parts.rolling,
            "calibration": trained.calibration,
            "golden": golden,
            "training": training,
            "metrics": (),
            "intended_use": parts.intended_use,
            "limits": parts.limits,
        }
    )
