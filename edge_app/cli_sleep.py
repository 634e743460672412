"""What `edge-app report` prints of a night."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from edge_app.cli_show import OUT, say
from edge_app.sleep_picture import PICTURE_FILE, draw_night
from edge_app.sleep_record import Night
from edge_app.sleep_report import SURE_ABOVE, SleepReport, in_short, lines, report_on
from edge_app.sleep_summary import SUMMARY_FILE, write_report


def show_nights(folder: Path, nights: Sequence[Night], off: str | None, on: str | None) -> None:
    """Print each night, write its ``sleep.json`` and draw its ``sleep.png``.

    With several sleep streams in one folder, their names are added to the names of the files.

    Args:
        folder: where the files go.
        nights: of ``sleep_record.read_nights``.
        off: lights off, a time of day or seconds from the start; None: not known.
        on: lights on, likewise.

    Raises:
        ConfigError: lights that cannot be used, or matplotlib is not installed.
        SinkError: a file cannot be written.
    """
    for night in nights:
        report = report_on(night, off=off, on=on)
        mark = "" if len(nights) == 1 else "_" + re.sub(r"\W+", "-", night.stream)
        _show(report)
        say(f"epochs: {write_report(report, folder, SUMMARY_FILE.replace('.', mark + '.'))}")
        say(f"picture: {draw_night(report, folder, PICTURE_FILE.replace('.', mark + '.'))}")


def _show(report: SleepReport) -> None:
    say(f"{report.night.stream}: {in_short(report)}", "bold")
    table = Table("statistic", "unit", "estimated", "smoothed")
    for row in report.table():
        table.add_row(*row)
    OUT.print(table)
    sure = (f"at least {100 * limit:.0f} % sure, %" for limit in SURE_ABOVE)
    stages = Table("stage", "min", "% of TST", *sure)
    for stage in report.stage_table():
        stages.add_row(*stage)
    OUT.print(stages)
    for line in lines(report):
        say(line)
