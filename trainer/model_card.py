"""The model card: what a bundle is, what it learnt from, what was measured, what it cannot do."""

from __future__ import annotations

from typing import Any

from edge_app.inference.manifest import Data, Manifest, StrideConditioning
from trainer.metrics import HEADINGS, HEADLINE
from trainer.provenance import Provenance

TITLES = {
    "emotion": "facial expression, not felt emotion",
    "sleep": "sleep stages from one EEG channel",
    "frailty": "frailty class from one foot IMU",
}

MEASURED = "## Measured"
"""Heading of the card's last part."""

STATEFUL = (
    "`eeg` is microvolts. `features` are, in this order, the mean Welch densities of 0.5-4, 4-8,"
    " 8-13, 13-30 and 30-50 Hz in uV^2/Hz, the variance, and the variance of the first difference"
    " in uV^2; NaN where one is not known, all NaN for a missing or spoilt epoch: time goes"
    " on. One call an epoch: `state` is zeros at the start of a recording, then the `next_state`"
    " of the call before. `logits` and `probabilities` are of the newest epoch, `revised` of those"
    " before it: `revised[0, 0]` of the last one, `revised[0, 1]` of the one before. Normalisation"
    " is inside; nothing looks ahead."
)


def model_card(
    manifest: Manifest,
    figures: dict[str, Any],
    provenance: Provenance,
    story: str,
    measured: str | None = None,
) -> str:
    """Return the card as Markdown.

    Args:
        manifest: the bundle's manifest with its metrics.
        figures: what ``evaluate`` gave on the validation split, or folds gave on people left out.
        provenance: where the run came from.
        story: a sentence on how the weights came about.
        measured: the section on figures; None: that of a validation split.

    Returns:
        The text of ``README.md``.
    """
    sections = [
        f"# {manifest.name}: {TITLES[manifest.task]}",
        "**Not a medical device.** No diagnosis or alarm may rest on it.",
        manifest.intended_use,
        "## What goes in and comes out\n\n" + _interface(manifest),
        "## Data\n\n" + _datatable(manifest.training.data),
        "## How it was trained\n\n" + _training(manifest, provenance, story),
        "## Limits\n\n" + manifest.limits,
        measured_part(manifest, {**figures, **_leak(provenance)}, measured),
    ]
    return "\n\n".join(sections) + "\n"


def measured_part(manifest: Manifest, figures: dict[str, Any], measured: str | None = None) -> str:
    """Return the end of the card: all that rests on figures.

    Args:
        manifest: the bundle's manifest.
        figures: its ``metrics.json``.
        measured: the section on figures; None: that of a validation split.

    Returns:
        Markdown that begins with ``MEASURED``; with the MI-CLAIM report where faces were examined.
    """
    sections = [MEASURED]
    if figures.get("leak"):
        sections.append(
            "**LEAK: these figures flatter.** What it learnt from and what it was scored on share"
            f" people or pictures, by `--allow-leak`: {figures['leak']}."
        )
    sections.append(measured or _figures(manifest, figures))
    if "design" in figures:
        from trainer.emotion_evaluation.mi_claim import mi_claim  # it uses tables of this file

        sections.append("## MI-CLAIM report\n\n" + mi_claim(manifest, figures))
    return "\n\n".join(sections)


def _leak(provenance: Provenance) -> dict[str, str]:
    return {} if provenance.leak is None else {"leak": provenance.leak}


def _interface(manifest: Manifest) -> str:
    rate = "any rate" if manifest.stream.rate_hz is None else f"{manifest.stream.rate_hz:g} Hz"
    rows = [
        [graph.role, way, tensor.name, tensor.dtype, " x ".join(map(str, tensor.shape))]
        for graph in manifest.graphs
        for way, tensors in (("in", graph.inputs), ("out", graph.outputs))
        for tensor in tensors
    ]
    window, hop = manifest.window.length_samples, manifest.window.hop_samples
    reads = ""
    if isinstance(manifest.conditioning, StrideConditioning):
        names = ", ".join(f"`{name}`" for name in manifest.conditioning.parameters)
        hop_s = hop / manifest.stream.rate_hz if manifest.stream.rate_hz else None
        every = "An answer a hop" if hop_s is None else f"An answer every {hop_s:g} s"
        evidence_s = manifest.rolling.min_evidence_s
        reads = (
            f"\n\nInput in order, NaN where not known: {names}.\n\n{every}, about the person, from"
            f" all strides so far and not from the window alone; none before"
            f" {manifest.conditioning.min_strides} strides"
            + (f" and {evidence_s:g} s of walking." if evidence_s else ".")
        )
    if any(tensor.name == "state" for tensor in manifest.graphs[-1].inputs):
        reads = "\n\n" + STATEFUL
    return (
        f"Sensor: {manifest.stream.kind}, {manifest.stream.placement}, {rate}, "
        f"{', '.join(manifest.stream.channels)}. Window {window} samples, hop {hop}. "
        f"Classes in order: {', '.join(manifest.labels)}.\n\n"
        + table(["graph", "", "tensor", "type", "shape"], rows)
        + reads
    )


def _datatable(data: tuple[Data, ...]) -> str:
    rows = [
        [
            item.name,
            "**simulated**" if item.simulated else "real",
            "not known" if item.people is None else str(item.people),
            item.source,
            item.licence,
        ]
        for item in data
    ]
    return table(["data", "kind", "people", "source", "licence"], rows)


def _training(manifest: Manifest, provenance: Provenance, story: str) -> str:
    return (
        f"    {provenance.command}\n\n"
        f"Commit {provenance.commit}, {provenance.date}, on {provenance.hardware}; "
        f"{provenance.versions}. Recipe {provenance.recipe}, written out in `recipe.yaml`; seed "
        f"{manifest.training.seed}. {story} "
        f"Temperature {manifest.calibration.temperature:.3f}, fitted on "
        f"{manifest.calibration.fitted_on}, is inside the graph."
    )


def _figures(manifest: Manifest, figures: dict[str, Any]) -> str:
    simulated = " These data are **simulated**." if manifest.simulated else ""
    head = (
        f"By `trainer evaluate` through ONNX Runtime on the validation split: {figures['data']}, "
        f"{figures['n']} labelled examples.{simulated} The split chose the best pass and the "
        "temperature, so these figures flatter a little; nothing was learnt from it."
    )
    rows = [_score_row("all", figures)]
    rows += [_score_row(name, scores) for name, scores in figures["subsets"].items()]
    per_class = [
        [
            label,
            f"{scores['precision']:.3f}",
            f"{scores['recall']:.3f}",
            f"{scores['f1']:.3f}",
            str(scores["support"]),
        ]
        for label, scores in figures["per_class"].items()
    ]
    weakest, worst = min(figures["per_class"].items(), key=lambda item: item[1]["f1"])
    labels = figures["labels"]
    confusion = [
        [f"**{label}**", *map(str, counts)]
        for label, counts in zip(labels, figures["confusion"], strict=True)
    ]
    return "\n\n".join(
        [
            head,
            table(["examples", "n", *HEADINGS], rows),
            table(["class", "precision", "recall", "F1", "n"], per_class),
            f"Weakest class: {weakest}, F1 {worst['f1']:.3f}; {worst['recall']:.1%} of its "
            f"{worst['support']} examples are found.",
            "Confusion, row = true class, column = answer:",
            table(["", *labels], confusion),
        ]
    )


def _score_row(name: str, scores: dict[str, Any]) -> list[str]:
    figures = [f"{scores[key]:.4f}" for key in HEADLINE]
    return [name.replace("_", "-"), str(scores["n"]), *figures]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
