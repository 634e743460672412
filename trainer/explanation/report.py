"""What ``trainer explain`` says: the deletion test as a table, completeness in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from edge_app.counted import counted
from trainer.explanation.maps import TITLES


def deletion_table(deletion: dict[str, Any]) -> Table:
    """Return areas under the deletion curves, a row a method and way of hiding.

    Args:
        deletion: as ``explain_pictures`` gave it.

    Returns:
        A table that fits a console of 80 columns.
    """
    first = next(iter(deletion.values()))
    drawn = "pictures" if first["groups"] == first["n"] else "people"
    table = Table(
        title=f"deletion test, {counted(first['n'], 'picture')}: area under the probability of the "
        f"answer, 95 % intervals over {drawn}; less is better",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("hidden by, map")
    for heading in ("area", "random maps", "less by, p", "less than own\nmaps moved, p"):
        table.add_column(heading, no_wrap=True)
    for fill, found in deletion.items():
        table.add_row(fill.replace("_", " "), style="bold")
        for name, method in found["methods"].items():
            random, moved = method["against_random"], method["against_moved"]
            table.add_row(
                TITLES[name],
                _interval(random["area"]),
                _interval(random["other"]),
                f"{_interval(_turned(random['difference']))}\np {random['p']:.1g}",
                f"{_interval(_turned(moved['difference']))}\np {moved['p']:.1g}",
            )
        table.add_section()
    return table


def said(found: dict[str, Any], out: Path, json_file: Path | None) -> list[str]:
    """Return the sentences after the table.

    Args:
        found: as ``explain_pictures`` gave it.
        out: the sheet.
        json_file: where the figures are, if anywhere.

    Returns:
        A line each.
    """
    lines = []
    for name, missed in found.get("completeness", {}).items():
        lines.append(
            f"{TITLES[name]}".replace("\n", " ")
            + f": the sum misses the difference of logits by {missed['median_missed']:.1%}"
            f" (median), by at most {missed['within']:.0%} on {missed['share_within']:.0%} of"
            f" {counted(missed['n'], 'picture')}; {missed['median_points']:.0f} gradients a picture"
            f" (median), {missed['most_points']} at most"
        )
    if found["rebuilt_from_onnx_error"] is not None:
        lines.append(
            "network rebuilt from the ONNX file; its golden logits differ by at most"
            f" {found['rebuilt_from_onnx_error']:.1e}"
        )
    lines.append(f"sheet: {out} (it shows faces)")
    if "deletion_picture" in found:
        lines.append(f"deletion curves: {found['deletion_picture']}")
    if json_file is not None:
        lines.append(f"all figures: {json_file}")
    return lines


def _turned(interval: dict[str, float]) -> dict[str, float]:
    return {"value": -interval["value"], "low": -interval["high"], "high": -interval["low"]}


def _interval(interval: dict[str, float]) -> str:
    return f"{interval['value']:.3f}\n[{interval['low']:.3f}, {interval['high']:.3f}]"
