"""Shows what `edge-app build-engines` has made."""

from __future__ import annotations

from rich.table import Table

from edge_app.build_engines import BuiltBundle
from edge_app.cli_show import OUT, say


def show_engines(results: list[BuiltBundle]) -> bool:
    """Print a table, parity and time beside ONNX Runtime.

    Args:
        results: in the order of building.

    Returns:
        Whether every bundle has usable engines.
    """
    table = Table("bundle", "engine", "golden error", "allowed", "ms", "CPU ms", "used")
    for one in results:
        error = "-" if one.worst is None else f"{one.worst.max_abs_error:.1e}"
        allowed = "-" if one.worst is None else f"{one.worst.tolerance:.0e}"
        spent = "-" if one.engine_ms is None else f"{one.engine_ms:.3f}"
        made = f"{one.precision}, {'was there' if one.cached else 'built'}"
        used = "yes" if one.usable else "NO"
        table.add_row(one.bundle, made, error, allowed, spent, f"{one.cpu_ms:.3f}", used)
    OUT.print(table)
    for one in results:
        if not one.usable:
            say(f"{one.bundle} {one.precision}: {one.problem}")
    return {one.bundle for one in results} == {one.bundle for one in results if one.usable}
