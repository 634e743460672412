"""What ``evaluate_strides`` found, as a table for people."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def strides_table(figures: dict[str, Any]) -> Table:
    """Return what ``evaluate_strides`` found as a table: all, by foot, by person.

    Args:
        figures: as it returned them.

    Returns:
        The table, ready to be printed.
    """
    people, feet = figures["people"], figures["feet"]
    table = Table(
        title=f"strides of {people} {'person' if people == 1 else 'people'}, "
        f"{feet} {'recording' if feet == 1 else 'recordings'}"
    )
    heads = ("", "swings", "F1", "F1 walking", "F1 straight", "stride time, ms", "length gain")
    for head in heads:
        table.add_column(head)
    rows = {"all": figures}
    rows |= {f"{side} feet": part for side, part in figures["by_foot"].items()}
    rows |= {f"person {person}": part for person, part in figures["by_person"].items()}
    for name, part in rows.items():
        found = part["detection"]["toe_off_0.2s"]
        time_s = part["errors"]["stride_time_toe_off_to_toe_off_s"].get("median_absolute")
        gain = part["lengths"]["outward"].get("gain")
        table.add_row(
            name,
            str(found["all"]["hits"] + found["all"]["missed"]),
            *(_known(found[scope]["f1"]) for scope in ("all", "walking", "straight")),
            "-" if time_s is None else f"{1000.0 * time_s:.1f}",
            _known(gain),
        )
    caption = (
        "Toe-offs within 0.2 s of the labels. Stride time: median absolute error, toe-off to "
        "toe-off. Length gain: outward leg against its known length."
    )
    back = figures["lower_back_cadence"]
    if back["median_absolute_error"] is not None:
        caption += (
            f" Cadence from the lower back: {back['answered']} of {back['windows']} windows, "
            f"median error {100.0 * back['median_absolute_error']:.1f} %."
        )
    table.caption = caption
    return table


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
