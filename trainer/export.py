"""A run becomes a bundle: calibrate, export to ONNX, compare, score, describe; all or nothing.

Everything is written into a folder beside the bundle, read back the way the bedside reads it, and
only then renamed into place. A bundle that is there already stays until the new one has passed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from edge_app.errors import TrainingError
from edge_app.inference.bundle import Bundle, load_bundle, require_golden, seal
from edge_app.inference.manifest import (
    FORMAT_VERSION,
    Calibration,
    Golden,
    GraphSpec,
    Manifest,
    Metric,
    Training,
)
from trainer.calibrate import fit_temperature
from trainer.direct_run import WEIGHTS, read_direct
from trainer.evaluate import BUNDLE_RECIPE, evaluate
from trainer.experiment import Experiment, Split
from trainer.fit import predict_logits
from trainer.model_card import model_card
from trainer.onnx_graph import export_graph, write_golden
from trainer.provenance import Provenance
from trainer.recipe import Recipe, load_recipe
from trainer.run_dir import RunDir


def export(run: RunDir, data_dir: Path, out: Path) -> Bundle:
    """Export the best pass of a run, or what was fitted without passes.

    Args:
        run: a folder made by ``trainer fit``.
        data_dir: the data it was trained on; the temperature is fitted on its validation split.
            Where there were no passes, the folds' answers in the run fit the temperature.
        out: the bundle's folder; its name is the bundle's name.

    Returns:
        The bundle in place, loaded and checked.

    Raises:
        TrainingError: no finished pass, weights of another model, a folder in the way, or a graph
            that cannot be shipped.
        InferenceError: ONNX Runtime strays from torch.
    """
    refuse_other_folder(out)
    provenance = run.provenance()
    recipe = load_recipe(run.path / "recipe.yaml", name=provenance.recipe)
    experiment = recipe.experiment
    load = load_direct if experiment.fits_directly else load_best_pass
    trained = load(run, recipe, data_dir)
    calibration, split = trained.calibration, trained.split
    graphs = experiment.graphs(trained.model.eval(), calibration.temperature, split)

    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        specs = tuple(export_graph(graph, beside) for graph in graphs)
        golden = write_golden(graphs, beside / "golden.npz")
        (beside / BUNDLE_RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
        manifest = build_manifest(out.name, recipe, provenance, specs, golden, calibration)
        write_json(beside / "manifest.json", manifest.model_dump(mode="json"))
        seal(beside)
        bundle = load_bundle(beside)
        require_golden(bundle)
        figures = trained.figures or evaluate(bundle, experiment, split, data_dir)
        figures = {**figures, "bundle": out.name}
        metrics = headline(figures, experiment, trained.scored_on)
        manifest = manifest.model_copy(update={"metrics": metrics})
        write_json(beside / "manifest.json", manifest.model_dump(mode="json"))
        seal(beside)
        write_json(beside / "metrics.json", figures)
        measured = experiment.measured(figures)
        card = model_card(manifest, figures, provenance, trained.story, measured)
        (beside / "README.md").write_text(card, encoding="utf-8")
        load_bundle(beside)
        replace_folder(beside, out)
    except OSError as error:
        raise TrainingError(
            f"cannot write the bundle: {error}",
            source=str(out),
            next_step="Free space or make the folder writable, then export again",
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return load_bundle(out)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run holds.

    Args:
        model: with its weights.
        calibration: its temperature.
        split: shows the graphs what to expect; scored unless ``figures`` are there.
        scored_on: what the figures come from, for the manifest.
        story: how the weights came about, for the card.
        figures: of folds that had not seen whom they answered for.
    """

    model: nn.Module
    calibration: Calibration
    split: Split
    scored_on: str
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
    _, validation = experiment.load(data_dir)
    best = run.load_best()
    model = experiment.build_model()
    run.load_weights(model, best.weights, "best.pt")
    logits = predict_logits(model, validation, recipe.fit)
    temperature = fit_temperature(logits, validation.targets, balanced=experiment.equal_shares)
    return Trained(
        model,
        Calibration(temperature=temperature, fitted_on=validation.name),
        validation,
        "validation",
        " ".join(
            [f"Exported: pass {best.row.index + 1}, the best on validation.", experiment.story()]
        ).strip(),
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
        "Fitted in one go on everybody; nobody was held out of the weights that are shipped.",
        stored.figures,
    )


def build_manifest(
    name: str,
    recipe: Recipe,
    provenance: Provenance,
    graphs: tuple[GraphSpec, ...],
    golden: Golden,
    calibration: Calibration,
) -> Manifest:
    """Return the manifest before anything is measured."""
    parts = recipe.experiment.parts()
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
            "calibration": calibration,
            "golden": golden,
            "training": training,
            "metrics": (),
            "intended_use": parts.intended_use,
            "limits": parts.limits,
        }
    )


def headline(figures: dict[str, Any], experiment: Experiment, scored_on: str) -> tuple[Metric, ...]:
    """Return the figures that the manifest repeats; those that do not exist are left out."""
    chosen = experiment.headline_subsets
    rows = {name: figures[name] for name in experiment.headline}
    for subset, scores in figures["subsets"].items():
        if chosen is None or subset in chosen:
            rows |= {f"{name}_{subset}": scores[name] for name in experiment.headline}
    return tuple(
        Metric(
            name=name,
            value=value,
            data=figures["data"],
            split=scored_on,
            simulated=figures["trained_on_simulated_data"],
        )
        for name, value in rows.items()
        if value is not None
    )


def refuse_other_folder(out: Path) -> None:
    """Refuse to replace a folder that is no bundle.

    Args:
        out: where the bundle is to go.

    Raises:
        TrainingError: something else is there.
    """
    if out.exists() and not (out / "manifest.json").is_file():
        raise TrainingError(
            "there is something here that is no bundle",
            source=str(out),
            next_step="Give --out a new name, such as exports/emotion",
        )


def replace_folder(new: Path, old: Path) -> None:
    """Put ``new`` in the place of ``old``; the old one goes only when the new one is in place."""
    aside = old.with_name(f".{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        if aside.exists():
            aside.rename(old)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write JSON for people: indented, with a last line end."""
    path.write_text(
        json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        encoding="utf-8",
    )
