"""What ``sleep_figures`` found, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table

from trainer.sleep_evaluation.agreement import SHORT
from trainer.sleep_evaluation.comparison import signed_interval
from trainer.sleep_evaluation.learnt import flatters
from trainer.sleep_evaluation.style import number

SHOWN_NIGHTS = 40
"""With more nights the table shows the worst ones; all are in the JSON."""
WORST = 10
_NAMES = dict(zip(SHORT, ("accuracy", "kappa", "macro-F1"), strict=True))


def sleep_tables(figures: dict[str, Any]) -> Group:
    """Return tables by delay, by stage and by night, with the human ceiling.

    Args:
        figures: of ``evaluate``, which hold those of ``sleep_figures``.

    Returns:
        Ready to be printed.
    """
    return Group(*_tables(figures))


def _tables(figures: dict[str, Any]) -> Iterator[Table]:
    yield _by_delay(figures)
    if len(figures["delays"]) > 1 or figures["changes_per_hour"]["model"] is not None:
        yield _in_time(figures)
    yield _by_class(figures)
    yield _by_night(figures)


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title)
    table.add_column(heads[0], overflow="fold", min_width=10)
    for head in heads[1:]:
        table.add_column(head, justify="right")
    return table


def _by_delay(figures: dict[str, Any]) -> Table:
    title = f"{figures['bundle']} on {figures['data']}{flatters(figures)}"
    table = _table(title, "said", "n", "accuracy", "kappa", "macro-F1", "ECE", "no answer")
    rows = {_when(row): row for row in figures["delays"].values()}
    rows |= {f"{name.replace('_', ' ')}": row for name, row in figures["subsets"].items()}
    for name, row in rows.items():
        silent = _percent(row["abstained"]["share"]) if "abstained" in row else ""
        heads = (number(row[key]) for key in (*SHORT, "ece"))
        table.add_row(name, str(row["n"]), *heads, silent)
    if figures["abstained"]["n"]:
        wrong = figures["with_abstentions_wrong"]
        heads = (number(wrong[key]) for key in SHORT)
        table.add_row("at once, no answer = wrong", str(wrong["n"]), *heads)
    captions = []
    ends = figures["intervals"]
    if ends["kappa"] is not None:
        said = (f"{name} {_ends(ends[key])}" for key, name in _NAMES.items())
        captions.append(f"At once, 95 % over {figures['subjects']} people: {', '.join(said)}.")
    ceiling = figures["human_ceiling"]
    if ceiling is not None:
        human = ceiling["one_against_others"]
        table.add_row("human scorer*", f"{human['n']:.0f}", *(number(human[key]) for key in SHORT))
        pair = ceiling["pairwise_kappa"]["mean"]
        captions.append(
            f"* one of five against the majority of the others; two of them agree by kappa"
            f" {pair:.3f}. {ceiling['population']}."
        )
    table.caption = " ".join(captions) or None
    return table


def _in_time(figures: dict[str, Any]) -> Table:
    rows = [_in_time_cells(row) for row in figures["delays"].values()]
    heads = ("said", "changes/h", "seen after", "90 %", "missed", "revised", "kappa gained")
    columns = list(zip(heads, *rows, strict=True))
    told = [column for column in columns if any(cell not in ("", "-") for cell in column[1:])]
    table = _table("in time", *(column[0] for column in told))
    for cells in zip(*(column[1:] for column in told), strict=True):
        table.add_row(*cells)
    expert = _rate(figures["changes_per_hour"]["expert"])
    table.caption = (
        f"Expert: {expert} changes/h. Seen after: from a true change to the first answer that names"
        " the new stage, median and 90 % of those seen; missed: none before that stage was over."
    )
    return table


def _in_time_cells(row: dict[str, Any]) -> tuple[str, ...]:
    seen = row["time_to_detect"]
    return (
        _when(row),
        _rate(row["changes_per_hour"]["model"]),
        *("-" if seen[key] is None else f"{seen[key]:.0f} s" for key in ("median_s", "p90_s")),
        _percent(seen["missed_share"]),
        _percent(row["revision_rate"]) if row["delay_epochs"] else "",
        "" if row["gain"] is None else signed_interval(row["gain"]["kappa"]),
    )


def _by_class(figures: dict[str, Any]) -> Table:
    ceiling = figures["human_ceiling"]
    heads = ("stage", "n", "F1", "sens.", "spec.", "prec.", "no answer")
    table = _table("by stage, said at once", *heads, *(["human F1*"] if ceiling else []))
    for stage, row in figures["per_class"].items():
        occurs = {"f1": row["support"], "precision": row["support"]}
        names = ("f1", "sensitivity", "specificity", "precision")
        shown = (row[name] if occurs.get(name, True) else None for name in names)
        table.add_row(
            stage,
            str(row["support"]),
            *(number(value) for value in shown),
            _percent(figures["abstained"]["per_class"][stage]),
            *([number(ceiling["one_against_others"]["f1"][stage])] if ceiling else []),
        )
    return table


def _by_night(figures: dict[str, Any]) -> Table:
    rows = figures["per_night"]
    title = "by night, said at once"
    if len(rows) > SHOWN_NIGHTS:
        rows = sorted(rows, key=lambda row: -1.0 if row["kappa"] is None else row["kappa"])[:WORST]
        title += f": the worst {len(rows)} of {len(figures['per_night'])} by kappa"
    table = _table(title, "night", "n", "accuracy", "kappa", "macro-F1", "no answer")
    for row in rows:
        heads = (number(row[key]) for key in SHORT)
        table.add_row(row["night"], str(row["n"]), *heads, str(row["abstained"]))
    over = figures["nights"]
    if over["n"] > 1:
        table.add_row("mean ± sd", "", *(_spread(over[key]) for key in SHORT))
    return table


def _when(row: dict[str, Any]) -> str:
    return "at once" if not row["delay_epochs"] else f"{row['delay_s']:g} s later"


def _spread(over: dict[str, float | None]) -> str:
    mean = number(over["mean"])
    return mean if over["sd"] is None else f"{mean} ± {number(over['sd'])}"


def _ends(ends: list[float]) -> str:
    return f"{ends[0]:.3f}-{ends[1]:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.1f} %"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
