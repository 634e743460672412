"""What an export finds out about the files it made: size, parity, speed; and how a card says it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from edge_app.inference.bundle import Bundle, replay_golden
from trainer.latency import cpu_times_s

LARGEST_FACE_MB = 6.0
"""A network for faces that is shipped is no larger, so that it also fits small devices."""


def exported_facts(bundle: Bundle, repeats: int = 50) -> dict[str, Any]:
    """Return size, parity and speed of a bundle.

    Args:
        bundle: a loaded bundle.
        repeats: calls that are timed.

    Returns:
        Plain JSON values: ``files_mb`` and ``ms_p50`` (thread CPU time, one thread, one example) by
        graph, ``parity_max_error`` over all golden cases and outputs, ``parity_tolerance``,
        ``parity_cases``; for faces ``within_6_mb``.
    """
    parities = replay_golden(bundle)
    megabytes = {
        graph.file: round((bundle.path / graph.file).stat().st_size / 1e6, 3)
        for graph in bundle.manifest.graphs
    }
    facts: dict[str, Any] = {
        "files_mb": megabytes,
        "parity_max_error": max(parity.max_abs_error for parity in parities),
        "parity_tolerance": parities[0].tolerance,
        "parity_cases": bundle.manifest.golden.cases,
        "ms_p50": {
            role: round(ms, 3) for role, ms in graph_ms_p50(bundle, repeats=repeats).items()
        },
    }
    if bundle.manifest.task == "emotion":
        facts["within_6_mb"] = sum(megabytes.values()) <= LARGEST_FACE_MB
    return facts


def graph_ms_p50(bundle: Bundle, repeats: int = 50) -> dict[str, float]:
    """Return the median thread CPU time of each graph on its first golden case.

    Args:
        bundle: a loaded bundle.
        repeats: calls that are timed.

    Returns:
        Role to milliseconds.
    """
    with np.load(bundle.path / bundle.manifest.golden.file, allow_pickle=False) as golden:
        fed = {
            graph.role: {t.name: golden[f"{graph.role}/{t.name}"][:1] for t in graph.inputs}
            for graph in bundle.manifest.graphs
        }
    result: dict[str, float] = {}
    for role, inputs in fed.items():
        runner = bundle.runners[role]
        times_s = cpu_times_s([partial(runner.run, inputs)], repeats, warm_up=5)
        result[role] = 1e3 * float(np.median(times_s))
    return result


def export_section(figures: dict[str, Any]) -> str:
    """Return the card's section on the files.

    Args:
        figures: with what ``exported_facts`` found, and ``quantised`` where int8 was tried.

    Returns:
        Markdown, nothing where there are no such facts.
    """
    facts, quantised = figures.get("exported"), figures.get("quantised")
    lines = [] if facts is None else [_files(facts)]
    if quantised is not None:
        lines.append(quantised_sentence(quantised))
    return "\n## Files\n\n" + "\n\n".join(lines) + "\n" if lines else ""


def _files(facts: dict[str, Any]) -> str:
    sizes = ", ".join(f"`{name}` {mb:.2f} MB" for name, mb in facts["files_mb"].items())
    speeds = ", ".join(f"{role} {ms:.2f} ms" for role, ms in facts["ms_p50"].items())
    kept = ""
    if "within_6_mb" in facts:
        kept = " (at most 6 MB: kept)" if facts["within_6_mb"] else " (**above 6 MB**)"
    return (
        f"{sizes}{kept}. Largest error on {facts['parity_cases']} golden cases"
        f" {facts['parity_max_error']:.1e}, tolerance {facts['parity_tolerance']:g}."
        f" One call, median CPU time of one thread where it was exported: {speeds}."
    )


_NO_ENGINE = "; its time as an engine is told by `edge-app build-engines` on the device"


def quantised_sentence(quantised: dict[str, Any]) -> str:
    """Return what became of the 8-bit variant, for the cards of both bundles."""
    symmetric = quantised.get("symmetric", False)  # absent in bundles made before it was there
    head = "8-bit variant (static QDQ, weights by channel)"
    if symmetric:
        head = "8-bit variant for TensorRT (static QDQ, symmetric, weights by channel)"
    if quantised["shipped"]:
        head += (
            ": shipped"
            if quantised["why"] is None
            else ": shipped although " + str(quantised["why"])
        )
    else:
        head += f": **not shipped**, because {quantised['why']}"
    return (
        f"{head}. On {quantised['data']}, n {quantised['n']}: accuracy {quantised['accuracy']:.4f}"
        f" against {quantised['accuracy_fp32']:.4f} in float, {quantised['loss_points']:+.2f}"
        f" points lost; the same label in {quantised['agreement']:.1%}; ECE {quantised['ece']:.4f}"
        f" against {quantised['ece_fp32']:.4f}. {quantised['ms_p50']:.2f} ms against"
        f" {quantised['ms_p50_fp32']:.2f} ms (median CPU time of one thread, in turns"
        f"{_NO_ENGINE if symmetric else ''}),"
        f" {quantised['file_mb']:.2f} MB against {quantised['file_mb_fp32']:.2f} MB. Settings:"
        f" {quantised['setting']}; ranges from {quantised['calibration_examples']} examples of"
        f" {quantised['calibrated_on']}, settings compared on {quantised['comparison_examples']}"
        f" others of them. Temperature {quantised['temperature']:.3f}, its own."
    )
