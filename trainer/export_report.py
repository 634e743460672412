"""What ``trainer export`` says when it is done."""

from __future__ import annotations

from pathlib import Path

from edge_app.errors import TrainingError
from edge_app.inference.bundle import Bundle
from trainer.evaluate import shipped_figures
from trainer.export_facts import quantised_sentence


def export_lines(bundle: Bundle, out: Path) -> list[str]:
    """Return the lines about a bundle that is in its place.

    Args:
        bundle: loaded from there.
        out: its folder.

    Returns:
        One line, two where 8-bit integers were tried.
    """
    shown = ", ".join(f"{m.name} {m.value:.4f}" for m in bundle.manifest.metrics)
    quantised = shipped_figures(bundle).get("quantised")
    lines = [f"{out} is {bundle.model_id}: {shown}"]
    return lines if quantised is None else [*lines, quantised_sentence(quantised)]


def refused_int8(bundle: Bundle, int8: Path) -> None:
    """Refuse with an error what was asked for and not shipped.

    Args:
        bundle: in float, in its place.
        int8: where the 8-bit variant was to go.

    Raises:
        TrainingError: it was not shipped.
    """
    quantised = shipped_figures(bundle).get("quantised", {})
    if quantised.get("shipped"):
        return
    left = "; what is there is of an earlier export" if int8.exists() else ""
    raise TrainingError(
        f"the 8-bit variant is not shipped: {quantised.get('why')}{left}",
        source=str(int8),
        next_step=f"Use {bundle.path}, which is in place and says so too; --force-int8 ships it",
    )
