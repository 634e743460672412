"""Figures that were measured after the export join a bundle's metrics and card.

Neither file is under the seal: graphs, manifest and answers stay what they were.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_app.errors import ConfigError, SinkError
from edge_app.inference.bundle import Bundle
from trainer.evaluate import bundle_recipe, shipped_figures
from trainer.export_facts import export_section
from trainer.model_card import MEASURED, measured_part

LATER = ("mcnemar", "by", "robustness", "through_detector", "explanation", "risk_coverage")
"""What an evaluation may add; scores themselves stay those of the export."""
SAME = ("data", "n", "accuracy", "macro_f1")


def put_into_card(bundle: Bundle, figures: dict[str, Any], explanation: Path | None = None) -> None:
    """Add to a bundle's metrics and card what was measured after its export.

    Args:
        bundle: of facial expressions.
        figures: as ``evaluate_data`` gave them on the pictures that the bundle was exported on.
        explanation: figures that ``trainer explain`` wrote.

    Raises:
        ConfigError: other pictures, a bundle whose task is not examined, or no such figures.
        SinkError: the bundle cannot be written.
    """
    if explanation is not None:
        figures = {**figures, "explanation": read_explanation(explanation)}
    metrics = joined(bundle, shipped_figures(bundle), figures)
    write(bundle, metrics, bundle_recipe(bundle).experiment.measured(metrics))


def joined(bundle: Bundle, shipped: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    """Return the bundle's metrics with what was measured later.

    Args:
        bundle: of facial expressions.
        shipped: its ``metrics.json``.
        figures: as ``evaluate`` gave them.

    Returns:
        The new metrics; what was measured before and not now stays.

    Raises:
        ConfigError: these are figures of other pictures, or of a bundle that is not examined.
    """
    if "design" not in shipped or any(shipped[name] != figures.get(name) for name in SAME):
        raise ConfigError(
            "these figures do not belong into this card",
            source=str(bundle.path),
            expected={name: shipped.get(name) for name in SAME},
            got={name: figures.get(name) for name in SAME},
            next_step="Score the bundle on the validation data that it was exported on, by the"
            " version that exported it; or leave --into-card out",
        )
    later = {name: figures[name] for name in LATER if figures.get(name)}
    if "robustness" in later:
        later["robustness"] = {**shipped["robustness"], **later["robustness"]}
    return shipped | later


def read_explanation(path: Path) -> dict[str, Any]:
    """Return what ``trainer explain`` measured.

    Args:
        path: its JSON file.

    Returns:
        Its deletion test and completeness.

    Raises:
        ConfigError: no JSON object.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot be read: {error}",
            source=str(path),
            next_step="Name the JSON file that `trainer explain` wrote",
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(
            "no JSON object",
            source=str(path),
            next_step="Name the JSON file that `trainer explain` wrote",
        )
    return {name: found[name] for name in ("data", "deletion", "completeness") if name in found}


def write(bundle: Bundle, metrics: dict[str, Any], measured: str | None) -> None:
    """Write ``metrics.json`` and the end of ``README.md`` anew, each as a whole.

    Args:
        bundle: gets them.
        metrics: as ``joined`` gave them.
        measured: the card's section on figures.

    Raises:
        ConfigError: the card has no such part.
        SinkError: they cannot be written.
    """
    card = bundle.path / "README.md"
    try:
        head, heading, _ = card.read_text(encoding="utf-8").partition(f"\n{MEASURED}\n")
        if not heading:
            raise ConfigError(
                "the card has no measured part",
                source=str(card),
                expected=MEASURED,
                next_step="Export the bundle again",
            )
        part = measured_part(bundle.manifest, metrics, measured)
        texts = {
            "README.md": f"{head}\n{part}\n{export_section(metrics)}",
            "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False)
            + "\n",
        }
        for name, text in texts.items():
            beside = bundle.path / f".{name}.part"
            beside.write_text(text, encoding="utf-8")
            beside.replace(bundle.path / name)
    except OSError as error:
        raise SinkError(
            f"cannot write the card: {error}",
            source=str(bundle.path),
            next_step="Free space or make the bundle's folder writable",
        ) from error
