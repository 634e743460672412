"""The model card's figures of the streamed stager: people left out, by delay, stage and night."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.model_card import table
from trainer.sleep_evaluation.agreement import SHORT

COMPARISON = "trainer cross-validate sleep_stream --data ../shared/data --out runs/sleep_cv"


def measured(figures: dict[str, Any]) -> str:
    """Return the section on figures as Markdown.

    Args:
        figures: ``metrics.json`` of the bundle.

    Returns:
        The text under the heading.
    """
    changes = figures["changes_per_hour"]
    parts = [
        f"{figures['data']}: {figures['n']} labelled epochs of {figures['groups']} people, each"
        " answered for by a net that learnt from the others; one seed. The net that is shipped"
        f" learnt from all of them. Baselines, seeds and their spread: `{COMPARISON}`. At once,"
        f" 95 % over people: {_intervals(figures)}.",
        table(["answered", *SHORT, "ECE", "answers revised"], _delays(figures)),
        f"Stage changes an hour: {_number(changes['model'], 1)}, by the expert"
        f" {_number(changes['expert'], 1)}.",
        table(["stage", "precision", "recall", "F1", "n"], _stages(figures)),
        table(["night", *SHORT, "n"], _nights(figures)),
    ]
    return "\n\n".join(parts)


def _intervals(figures: Mapping[str, Any]) -> str:
    ends = figures["intervals"]
    return ", ".join(f"{name} {ends[name][0]:.3f} to {ends[name][1]:.3f}" for name in SHORT)


def _delays(figures: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for delay in figures["delays"].values():
        when = f"{delay['delay_s']:.0f} s later" if delay["delay_epochs"] else "at once"
        values = (_number(delay[name]) for name in (*SHORT, "ece", "revision_rate"))
        rows.append([when, *values])
    return rows


def _stages(figures: Mapping[str, Any]) -> list[list[str]]:
    shares = ("precision", "recall", "f1")
    return [
        [stage, *(_number(row[name]) for name in shares), str(row["support"])]
        for stage, row in figures["per_class"].items()
    ]


def _nights(figures: Mapping[str, Any]) -> list[list[str]]:
    return [
        [row["night"], *(_number(row[name]) for name in SHORT), str(row["n"])]
        for row in figures["per_night"]
    ]


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
