"""What the commands of ``edge-app`` print."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from edge_app.counted import counted
from edge_app.errors import EdgeAppError
from edge_app.sinks.steady_console import SteadyConsole

if TYPE_CHECKING:
    from edge_app.check import Finding
    from edge_app.devices import Found
    from edge_app.health import StreamHealth
    from edge_app.replay import ReplayResult
    from edge_app.run import RunResult
    from edge_app.sinks.console import Seen

OUT = SteadyConsole()
ERR = SteadyConsole(stderr=True)


def say(text: str, style: str = "") -> None:
    """Print a sentence: wrapped at words in a terminal, one line elsewhere."""
    shown = Text(text, style=style)
    OUT.print(shown, soft_wrap=not OUT.is_terminal)


def finish_run(result: RunResult) -> None:
    """Show how every stream ended, and end the process with the run's exit code.

    Args:
        result: of the run.

    Raises:
        Exit: the run has failed.
    """
    for health in result.health:
        _show_health(health, result.console.seen.get(health.stream) if result.console else None)
    if result.error is not None:
        show_error(result.error)
    if result.stuck:  # threads that hang in native code: the interpreter would wait for them
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(result.exit_code)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _show_health(health: StreamHealth, seen: Seen | None) -> None:
    beside = f"; model on {health.backend}" if health.backend else ""
    say(f"{health.stream}: {health.state}{beside}", "bold")
    if health.nothing_came:
        say("  nothing ever came from it", "red")
    if seen is not None and (seen.labels or seen.reasons):
        answers = [f"{label} {n}" for label, n in seen.labels.most_common()]
        unknown = [f"unknown ({why}) {n}" for why, n in seen.reasons.most_common()]
        say(f"  final answers: {', '.join(answers + unknown)}")
        if seen.compared:
            say(f"  agrees with the simulation's truth: {seen.agreed} of {seen.compared}")
    age_s = health.max_latency_s
    away = f" after {health.away_s:.0f} s without data" if health.restarts else ""
    age = "" if age_s is None else f"; data at most {1000 * age_s:.0f} ms old"
    say(
        f"  {counted(health.samples, 'sample')}, {counted(health.windowing.gaps, 'gap')}, "
        f"{counted(health.dropped, 'frame')} dropped, "
        f"{counted(health.restarts, 'restart')}{away}{age}"
    )
    if health.last_error and health.broken:
        say(f"  last error: {health.last_error}", "red")
    elif health.last_error:
        say(f"  last error, got over: {health.last_error}", "yellow")


def show_replay(result: ReplayResult) -> None:
    """Show the answers of a replay, their shares, and what was assumed.

    Args:
        result: of the replay.

    Raises:
        Exit: a signal has stopped it.
    """
    for assumption in result.assumptions:
        ERR.print(Text(f"assumed: {assumption}", style="yellow"), soft_wrap=not ERR.is_terminal)
    shares = [(name, n, "") for name, n in result.labels.most_common()]
    for name, n in result.reasons.most_common():
        shares.append((f"unknown: {name.replace('_', ' ')}", n, "yellow"))
    total = sum(n for _, n, _ in shares)
    table = Table("final answer", "count", "share")
    for name, n, style in shares:
        table.add_row(name, str(n), f"{100 * n / total:.1f} %", style=style)
    if shares:
        OUT.print(table)
    health, met = result.health, result.health.windowing
    say(
        f"{result.recorded_s:.1f} s of recording in {result.wall_s:.2f} s; "
        f"{counted(met.windows, 'window')}, {counted(met.gaps, 'gap')}, "
        f"{counted(met.missing_samples, 'sample')} missing"
    )
    if not met.windows and result.stopped_by is None:
        say("no answer: the recording ended before its first window was complete", "yellow")
    if result.sleep is not None:
        from edge_app.sleep_report import in_short

        say(in_short(result.sleep))
    if result.stopped_by is None:
        say(f"{counted(health.predictions, 'prediction')} in {result.path}")
    elif health.predictions:
        say(f"stopped; what was estimated so far is in {result.path}", "yellow")
    else:
        say("stopped before the first answer", "yellow")
    if result.stopped_by is not None:
        raise typer.Exit(128 + result.stopped_by)


def show_findings(findings: Iterable[Finding]) -> bool:
    """Show what a check finds, as soon as it is found, and the next step of what failed.

    Args:
        findings: in the order looked at.

    Returns:
        Whether all is well.
    """
    n = failed = 0
    for finding in findings:
        n, failed = n + 1, failed + (not finding.passed)
        mark, style = ("ok    ", "green") if finding.passed else ("FAILED", "bold red")
        line = Text(f"{mark}  ", style=style)
        line.append(f"{finding.subject}: ", style="bold")
        line.append(finding.detail, style="default")
        OUT.print(line, soft_wrap=True)
        if finding.next_step:
            OUT.print(Text(f"        {finding.next_step}", style="yellow"), soft_wrap=True)
    say(f"{n - failed} ok, {failed} failed")
    return not failed


def show_found(title: str, found: list[Found]) -> None:
    """Show what is in reach as a table.

    Args:
        title: what was looked for.
        found: devices or streams.
    """
    if not found:
        OUT.print(f"[bold]{title}[/]: none found", highlight=False)
        return
    table = Table("name", "address", "details", title=title, title_justify="left")
    for device in found:
        table.add_row(device.name, device.address, device.details)
    OUT.print(table)


def show_error(error: EdgeAppError) -> None:
    """Show an error in one sentence and its next step.

    Args:
        error: what a command has met.
    """
    told = Text("Error: ", style="bold red").append(str(error), style="default")
    ERR.print(told, soft_wrap=True)
