"""``edge-app``: run, record, demo, replay, report, check, devices. It parses and shows only."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from edge_app.errors import ConfigError, EdgeAppError
from edge_app.sinks.steady_console import SteadyConsole

if TYPE_CHECKING:
    from edge_app.check import Finding
    from edge_app.devices import Found
    from edge_app.health import StreamHealth
    from edge_app.replay import ReplayResult
    from edge_app.run import RunResult
    from edge_app.sinks.console import Seen

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # joins the lines of a paragraph and wraps it anew
    help="""Rolling facial-expression, sleep-stage and frailty classification beside one patient.

    Start without hardware: edge-app demo --duration 60

    Try a recording: edge-app replay night.edf --task sleep --out results

    Set a device up: edge-app devices, then check CONFIG, then run CONFIG

    Not a medical device: answers are estimates, for trend and research.

    Exit codes: 0 done; 1 failed, or check not passed; 2 wrong use or configuration; 3 bundle;
    4 sensor or recording; 5 results cannot be written; 130 or 143 replay stopped by a signal.""",
)
_out = SteadyConsole()
_err = SteadyConsole(stderr=True)


class TaskName(str, Enum):
    """Tasks on the command line."""

    EMOTION = "emotion"
    SLEEP = "sleep"
    FRAILTY = "frailty"


def _speed(text: str) -> float | None:
    """Parse ``max`` or a factor."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise ConfigError(
            "--speed cannot be used",
            expected="max, or a factor above 0 such as 1 or 20",
            got=text,
            next_step="Correct --speed",
        )
    return speed


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="Device YAML, such as device_configs/demo.yaml.")],
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds to run; without it until Ctrl-C.")
    ] = None,
) -> None:
    """Run a device live: every sensor of CONFIG at once.

    A sensor that fails is reported and tried again; the others go on. Ctrl-C or SIGTERM ends it
    within a second with all results written.

    Example: edge-app run device_configs/demo.yaml
    """
    from edge_app.config import load_config
    from edge_app.run import run_device

    _finish_run(run_device(load_config(config), duration_s=duration))


@app.command()
def record(
    config: Annotated[Path, typer.Argument(help="Device YAML.")],
    out: Annotated[Path, typer.Option(help="Directory for one NAME.stream a sensor.")],
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds to run; without it until Ctrl-C.")
    ] = None,
    video: Annotated[
        bool, typer.Option("--video", help="Keep the camera's pictures too, losslessly.")
    ] = False,
) -> None:
    """Run a device as `run` does, and keep everything its sensors deliver.

    Each OUT/NAME.stream holds samples, stamps, gaps, failures and returns of one sensor;
    `edge-app replay OUT/NAME.stream` makes the same predictions of it. Nothing is written over.
    Pictures show a person and need megabytes a second: without --video they are not kept.

    Example: edge-app record device_configs/demo.yaml --out night --duration 60
    """
    from edge_app.config import load_config
    from edge_app.recorder import Recorder
    from edge_app.run import run_device

    device = load_config(config)
    _finish_run(run_device(device, duration_s=duration, recorder=Recorder(out, video=video)))
    _say(f"recorded in {out}")


@app.command()
def demo(
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds of stream time; without it until Ctrl-C.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, max=100.0, help="Stream seconds a real second.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another simulated patient.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Also write predictions.jsonl and health.jsonl there.")
    ] = None,
) -> None:
    """All three tasks at once on simulated sensors, answer beside truth.

    The face is a drawing made of averages, the EEG and the foot sensor are synthetic: nothing
    here says anything about a real person. The EEG travels through a real Lab Streaming Layer
    outlet and inlet. The first sleep stage comes after 30 s of stream time; --speed 10 shows it
    after 3 s.

    Example: edge-app demo --speed 4 --duration 300
    """
    from edge_app.demo import demo_config
    from edge_app.run import run_device

    _finish_run(run_device(demo_config(seed, out), duration_s=duration, speed=speed))


@app.command()
def replay(
    recording: Annotated[
        Path,
        typer.Argument(help="EDF, BDF, XDF, IMU text, video, image folder, or recorded .stream."),
    ],
    task: Annotated[TaskName, typer.Option(help="What to estimate.")],
    out: Annotated[Path, typer.Option(help="Directory for predictions.jsonl and health.json.")],
    bundle: Annotated[
        Path | None, typer.Option(help="Exported model; without it the shipped one of the task.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="EEG channel by name; without it the most frontal one.")
    ] = None,
    speed: Annotated[str, typer.Option(help="max, or a factor; 1 is real time.")] = "max",
    unit: Annotated[
        str | None, typer.Option(help="Unit where the file does not say: uV, mV, V; g, m/s^2.")
    ] = None,
    gyr_unit: Annotated[
        str | None, typer.Option(help="Unit of the gyroscope where it is not clear: rad/s, deg/s.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option(min=0.01, help="Rate where the file does not say.")
    ] = None,
    chunk: Annotated[
        int | None, typer.Option(min=1, help="Samples delivered at a time. Same result.")
    ] = None,
    face_detector: Annotated[
        Path | None, typer.Option(help="YuNet ONNX file; without it OpenCV's own Haar cascade.")
    ] = None,
) -> None:
    """Estimate from a recording what would have been said live.

    Writes OUT/predictions.jsonl, one answer a line. The same recording and bundle give the same
    bytes, whatever the speed or chunk size.

    Ctrl-C stops it; what was estimated so far stays in OUT/predictions.jsonl.part.

    Example: edge-app replay night.edf --task sleep --out results
    """
    from edge_app.build import find_bundle
    from edge_app.replay import ReplayRequest
    from edge_app.replay import replay as run_replay

    request = ReplayRequest(
        recording,
        task.value,
        bundle or find_bundle(task.value),
        out,
        channel,
        unit,
        gyr_unit,
        rate_hz,
        _speed(speed),
        chunk,
        face_detector,
    )
    columns = ("[progress.description]{task.description}", "{task.percentage:>3.0f} %")
    with Progress(
        TextColumn(columns[0]),
        BarColumn(),
        TextColumn(columns[1]),
        TimeRemainingColumn(),
        console=_err,
        transient=True,
        disable=not _err.is_terminal,
    ) as bar:
        shown = bar.add_task(recording.name, total=None)
        result = run_replay(
            request, lambda done_s, total_s: bar.update(shown, completed=done_s, total=total_s)
        )
    _show_replay(result)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="--out of `edge-app replay WALK --task frailty`.")],
) -> None:
    """Show the gait that a replay found: a table, and a picture of every stride.

    Writes FOLDER/gait.png; needs matplotlib: pip install 'bedside[report]'.

    Example: edge-app report results
    """
    from edge_app.gait_picture import draw
    from edge_app.gait_report import lines, read_report

    found = read_report(folder)
    table = Table("parameter", "unit", "mean", "SD", "strides")
    for row in found.table():
        table.add_row(*row)
    _out.print(table)
    for line in lines(found):
        _say(line)
    _say(f"picture: {draw(found, folder)}")


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="Device YAML, or a bundle folder.")],
) -> None:
    """Say what of a device works, what does not, and what to do.

    Loads the configuration, verifies every bundle's hashes and golden outputs on this machine,
    opens every sensor for a moment, and tries the output directory. Exit code 1 when anything
    fails, 2 when the configuration does not load.

    Example: edge-app check device_configs/demo.yaml
    """
    from edge_app.check import check_bundle, check_device

    is_bundle = (config / "manifest.json").is_file()
    with _err.status("checking ..."):
        findings = list(check_bundle(config) if is_bundle else check_device(config))
    _show_findings(findings)
    if not all(finding.passed for finding in findings):
        raise typer.Exit(1)


@app.command()
def devices(
    seconds: Annotated[float, typer.Option(min=0.5, max=60.0, help="How long to listen.")] = 4.0,
    config: Annotated[
        Path | None, typer.Option(help="Device YAML whose LSL session and peers to use.")
    ] = None,
) -> None:
    """List cameras, Bluetooth sensors and LSL streams in reach, and the YAML that uses them.

    Paste the printed entries under `streams:` of a device YAML (device_configs/bedside.yaml shows
    a whole one); then `edge-app check` it. With --config only what that device may hear is
    listed: its LSL session and peers.

    Example: edge-app devices --seconds 10
    """
    from edge_app.build import lsl_network
    from edge_app.config import load_config
    from edge_app.devices import find_ble_devices, find_cameras, find_lsl_streams

    network = None if config is None else lsl_network(load_config(config).lsl)
    searches: dict[str, Callable[[], list[Found]]] = {
        "Cameras": find_cameras,
        "Lab Streaming Layer streams": partial(find_lsl_streams, seconds, network),
        "Bluetooth LE devices": partial(find_ble_devices, seconds),
    }
    entries: list[str] = []
    for title, search in searches.items():
        try:
            with _err.status(f"{title} ..."):
                found = search()
        except EdgeAppError as error:
            _out.print(f"[bold]{title}[/]: [yellow]{error}[/]", highlight=False)
            continue
        _show_found(title, found)
        entries += [device.yaml for device in found if device.yaml]
    if entries:
        _say("To use them, put the entries you want under `streams:`, each with a name of its own:")
        _out.print(Text("\n".join(entries)), soft_wrap=True)


def _say(text: str, style: str = "") -> None:
    """Print a sentence: wrapped at words in a terminal, one line elsewhere."""
    shown = Text(text, style=style)
    _out.print(shown, soft_wrap=not _out.is_terminal)


def _finish_run(result: RunResult) -> None:
    for health in result.health:
        _show_health(health, result.console.seen.get(health.stream) if result.console else None)
    if result.error is not None:
        _show_error(result.error)
    if result.stuck:  # threads that hang in native code: the interpreter would wait for them
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(result.exit_code)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _show_health(health: StreamHealth, seen: Seen | None) -> None:
    _say(f"{health.stream}: {health.state}", "bold")
    if health.nothing_came:
        _say("  nothing ever came from it", "red")
    if seen is not None and (seen.labels or seen.reasons):
        answers = [f"{label} {n}" for label, n in seen.labels.most_common()]
        unknown = [f"unknown ({why}) {n}" for why, n in seen.reasons.most_common()]
        _say(f"  final answers: {', '.join(answers + unknown)}")
        if seen.compared:
            _say(f"  agrees with the simulation's truth: {seen.agreed} of {seen.compared}")
    age_s = health.max_latency_s
    age = "" if age_s is None else f"; data at most {1000 * age_s:.0f} ms old"
    _say(
        f"  {health.samples} samples, {health.windowing.gaps} gaps, "
        f"{health.dropped} frames dropped, {health.restarts} restarts{age}"
    )
    if health.last_error:
        _say(f"  last error: {health.last_error}", "red")


def _show_replay(result: ReplayResult) -> None:
    for assumption in result.assumptions:
        _err.print(Text(f"assumed: {assumption}", style="yellow"), soft_wrap=not _err.is_terminal)
    shares = [(name, n, "") for name, n in result.labels.most_common()]
    for name, n in result.reasons.most_common():
        shares.append((f"unknown: {name.replace('_', ' ')}", n, "yellow"))
    total = sum(n for _, n, _ in shares)
    table = Table("final answer", "count", "share")
    for name, n, style in shares:
        table.add_row(name, str(n), f"{100 * n / total:.1f} %", style=style)
    if shares:
        _out.print(table)
    health, met = result.health, result.health.windowing
    _say(
        f"{result.recorded_s:.1f} s of recording in {result.wall_s:.2f} s; "
        f"{met.windows} windows, {met.gaps} gaps, {met.missing_samples} samples missing"
    )
    if result.stopped_by is None:
        _say(f"{health.predictions} predictions in {result.path}")
    elif health.predictions:
        _say(f"stopped; what was estimated so far is in {result.path}", "yellow")
    else:
        _say("stopped before the first answer", "yellow")
    if result.stopped_by is not None:
        raise typer.Exit(128 + result.stopped_by)


def _show_findings(findings: list[Finding]) -> None:
    for finding in findings:
        mark, style = ("ok    ", "green") if finding.passed else ("FAILED", "bold red")
        line = Text(f"{mark}  ", style=style)
        line.append(f"{finding.subject}: ", style="bold")
        line.append(finding.detail, style="default")
        _out.print(line, soft_wrap=True)
        if finding.next_step:
            _out.print(Text(f"        {finding.next_step}", style="yellow"), soft_wrap=True)
    failed = sum(not finding.passed for finding in findings)
    _say(f"{len(findings) - failed} ok, {failed} failed")


def _show_found(title: str, found: list[Found]) -> None:
    if not found:
        _out.print(f"[bold]{title}[/]: none found", highlight=False)
        return
    table = Table("name", "address", "details", title=title, title_justify="left")
    for device in found:
        table.add_row(device.name, device.address, device.details)
    _out.print(table)


@app.callback()
def _prepare(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log changes of state too.")
    ] = False,
) -> None:
    level = os.environ.get("BEDSIDE_LOG", "INFO" if verbose else "WARNING").upper()
    handler: logging.Handler = logging.StreamHandler()
    if _err.is_terminal:
        handler = RichHandler(console=_err, show_path=False, markup=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)


def run_command_line() -> int:
    """Run ``edge-app`` with the process's arguments.

    Returns:
        The exit code; errors have been shown without a traceback.
    """
    try:
        app()
    except EdgeAppError as error:
        _show_error(error)
        return error.exit_code
    except SystemExit as end:  # wrong use, --help, Ctrl-C: already shown
        return end.code if isinstance(end.code, int) else 1
    return 0


def _show_error(error: EdgeAppError) -> None:
    told = Text("Error: ", style="bold red").append(str(error), style="default")
    _err.print(told, soft_wrap=True)
