"""What ``examine_faces`` found beyond the usual scores, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from trainer.emotion_evaluation.card import told, widest
from trainer.emotion_evaluation.style import number, with_ends
from trainer.metrics import FEW


def face_tables(figures: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield classes, groups, corruptions and comparison, those that there are.

    Args:
        figures: as ``evaluate`` gave them.

    Yields:
        Tables and sentences.
    """
    yield _classes(figures)
    at = figures["risk_coverage"]["at_accuracy"]
    before, after = figures["calibration_before"], figures["calibration_after"]
    yield (
        f"ECE {number(before['ece'])} before the temperature, {number(after['ece'])} after; Brier"
        f" {number(before['brier'])}, {number(after['brier'])}. AURC"
        f" {number(figures['risk_coverage']['aurc'])}; {at['wanted']:.0%} right from a confidence"
        f" of {number(at['threshold'])} on, coverage {number(at['coverage'])}."
    )
    for name, found in figures["by"].items():
        yield _groups(f"by {name}", found)
    for name, found in figures["robustness"]["groups"].items():
        yield _groups(f"{name} of the picture: robustness, not fairness", found)
    if "corruptions" in figures["robustness"]:
        yield _corruptions(figures["robustness"]["corruptions"])
    if "through_detector" in figures:
        through = figures["through_detector"]
        yield (
            f"Through {through['detector']}, in made-up frames: {through['found']:.1%} found,"
            f" accuracy {number(through['accuracy']['through'])}, on the bare pictures"
            f" {number(through['accuracy']['bare'])}."
        )
    if "mcnemar" in figures:
        found = figures["mcnemar"]
        gain = found["gain"]["accuracy"]
        yield (
            f"Against {found['name']}: accuracy {gain['value']:+.3f}"
            f" [{gain['low']:+.3f}, {gain['high']:+.3f}], right alone {found['only_model']} times,"
            f" the baseline {found['only_baseline']} times, exact McNemar p {found['p']:.2g}."
        )


def _classes(figures: dict[str, Any]) -> Table:
    """Return what fits a narrow screen; specificity, F1 and other prevalences are in the JSON."""
    rows = figures["per_class"]
    table = Table(title="each class against all others")
    table.add_column("class", no_wrap=True)
    for name in ("n", "recall", "PPV", "[Wilson]", "of", "NPV"):
        table.add_column(name, justify="right", no_wrap=True)
    for label, row in rows.items():
        low, high = row["precision_wilson"]
        table.add_row(
            label,
            f"{row['support']}{'!' if row['support'] < FEW else ''}",
            number(row["recall"] if row["support"] else None),
            number(told(row)),
            f"{low:.3f}-{high:.3f}",
            str(row["answered"]),
            number(row["npv"]),
        )
    if any(row["support"] < FEW for row in rows.values()):
        table.caption = f"! fewer than {FEW}: says little."
    return table


def _groups(title: str, found: dict[str, Any]) -> Table:
    table = Table(title=title)
    for name in ("group", "n", "accuracy [Wilson]", "precision", "recall", "macro-F1"):
        table.add_column(name, justify="left" if name == "group" else "right")
    for value, row in found["groups"].items():
        table.add_row(
            value,
            f"{row['n']}{'!' if row['few'] else ''}",
            with_ends(row["accuracy"], row["accuracy_wilson"]),
            number(row["macro_precision"]),
            number(row["macro_recall"]),
            number(row["macro_f1"]),
        )
    tested = found["tests"].get("accuracy", {})
    few = any(row["few"] for row in found["groups"].values())
    table.caption = (
        f"accuracy gap {number(found['gaps']['accuracy'])} (Holm p"
        f" {number(tested.get('p_holm'))}), largest recall gap of a class"
        f" {number(found['gaps']['equal_opportunity'])} ({widest(found['gaps'])})"
        + (f". ! fewer than {FEW} {found['shuffled']}s: says little." if few else "")
    )
    return table


def _corruptions(found: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="the same pictures, spoilt: robustness, not fairness")
    for name in ("", "accuracy", "points", "macro-F1", "ECE", "answers kept"):
        table.add_column(name, justify="right" if name else "left")
    for name, row in found.items():
        table.add_row(
            name,
            number(row["accuracy"]),
            f"{-100 * row['lost']:+.1f}",
            number(row["macro_f1"]),
            number(row["ece"]),
            f"{row['unchanged']:.0%}",
        )
    return table
