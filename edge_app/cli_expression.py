"""What `edge-app report` prints of facial expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from edge_app.cli_show import OUT, say
from edge_app.expression_picture import draw_expressions
from edge_app.expression_record import PICTURE_FILE, SUMMARY_FILE, ExpressionRecord
from edge_app.expression_report import (
    SHOWN_EPISODES,
    episode_table,
    in_short,
    lines,
    time_table,
    unusable_table,
    write_report,
)
from edge_app.sinks.episodes import EPISODES_FILE


def show_expressions(folder: Path, records: Sequence[ExpressionRecord]) -> None:
    """Print each recording, write its ``expression.json`` and draw its ``expression.png``.

    With several cameras in one folder, their names are added to the names of the files.

    Args:
        folder: where the files go.
        records: of ``expression_record.read_expressions``.

    Raises:
        ConfigError: matplotlib is not installed.
        SinkError: a file cannot be written.
    """
    for record in records:
        mark = "" if len(records) == 1 else "_" + re.sub(r"\W+", "-", record.stream)
        _show(record)
        say(f"figures: {write_report(record, folder, SUMMARY_FILE.replace('.', mark + '.'))}")
        picture = draw_expressions(record, folder, PICTURE_FILE.replace(".", mark + "."))
        say(f"picture: {picture}")


def _show(record: ExpressionRecord) -> None:
    simulated = "SIMULATED, " if record.simulated else ""
    say(f"{simulated}{record.stream}: {in_short(record)}", "bold")
    if record.labels:
        _print(time_table(record), "facial expression", "time", "of covered time", "from rest")
    _print(unusable_table(record), "no usable face", "time", "times")
    episodes = episode_table(record)
    _print(episodes[:SHOWN_EPISODES], "episode of", "start", "lasts", "peak", "peak at")
    if len(episodes) > SHOWN_EPISODES:
        say(f"{len(episodes) - SHOWN_EPISODES} more in {EPISODES_FILE}")
    for line in lines(record):
        say(line)


def _print(rows: Sequence[Sequence[str]], *headings: str) -> None:
    if not rows:
        return
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    OUT.print(table)
