"""What every export does with a bundle's folder: describe, seal, put into place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from edge_app.errors import TrainingError
from edge_app.inference.bundle import load_bundle, seal
from edge_app.inference.manifest import Manifest, Metric
from trainer.experiment import Experiment
from trainer.export_facts import export_section
from trainer.model_card import model_card
from trainer.provenance import Provenance


def finish_bundle(
    folder: Path,
    manifest: Manifest,
    figures: dict[str, Any],
    experiment: Experiment,
    provenance: Provenance,
    scored_on: str,
    story: str,
) -> None:
    """Write manifest with metrics, seal, figures and card, and load what became of it.

    Args:
        folder: holds graphs, golden file and recipe.
        manifest: what they are.
        figures: of the bundle, as ``metrics.json`` is to hold them.
        experiment: whose bundle it is.
        provenance: where the weights come from.
        scored_on: what the figures come from, for the manifest.
        story: how the weights came about, for the card.

    Raises:
        ManifestError: the bundle cannot be loaded.
    """
    metrics = headline(figures, experiment, scored_on)
    manifest = manifest.model_copy(update={"metrics": metrics})
    write_manifest(folder, manifest)
    write_json(folder / "metrics.json", figures)
    card = model_card(manifest, figures, provenance, story, experiment.measured(figures))
    (folder / "README.md").write_text(card + export_section(figures), encoding="utf-8")
    load_bundle(folder)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest and its seal."""
    write_json(folder / "manifest.json", manifest.model_dump(mode="json"))
    seal(folder)


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


def fresh_folder_beside(out: Path) -> Path:
    """Return an empty folder beside a bundle's, in which a new one is made."""
    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    return beside


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
