"""``edge-app``: run, record, demo, replay, report, check, build-engines, install-detector, devices.

It parses and shows only.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from edge_app.cli_show import (
    ERR,
    OUT,
    finish_run,
    say,
    show_error,
    show_findings,
    show_found,
    show_replay,
)
from edge_app.errors import ConfigError, EdgeAppError

if TYPE_CHECKING:
    from edge_app.devices import Found

BASELINE_HELP = (
    "Emotion: take the first so many seconds of usable face as the person's own resting face, and"
    " tell the change from it."
)

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
    baseline: Annotated[float | None, typer.Option(min=1.0, help=BASELINE_HELP)] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Classify nothing; say what CONFIG lacks here.")
    ] = False,
) -> None:
    """Run a device live: every sensor of CONFIG at once.

    A sensor that fails is reported and tried again; the others go on. Ctrl-C or SIGTERM ends it
    within a second with all results written. Under systemd (Type=notify) it answers the watchdog.

    Example: edge-app run device_configs/demo.yaml
    """
    from edge_app.build import with_baseline
    from edge_app.check import check_device
    from edge_app.config import load_config
    from edge_app.run import run_device

    if check_only:
        with ERR.status("checking, some seconds a sensor ..."):
            passed = show_findings(check_device(config))
        raise typer.Exit(0 if passed else 1)
    device = load_config(config)
    if baseline is not None:
        device = with_baseline(device, baseline)
    finish_run(run_device(device, duration_s=duration))


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
    from edge_app.build_source import build_markers
    from edge_app.config import load_config
    from edge_app.recorder import Recorder
    from edge_app.run import run_device

    device = load_config(config)
    recorder = Recorder(out, video=video, markers=build_markers(device))
    try:
        result = run_device(device, duration_s=duration, recorder=recorder)
    finally:
        recorder.close()
    say(f"recorded in {out}")
    finish_run(result)


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

    finish_run(run_device(demo_config(seed, out), duration_s=duration, speed=speed))


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
        Path | None,
        typer.Option(help="YuNet ONNX file; without it the installed one, else OpenCV's Haar."),
    ] = None,
    baseline: Annotated[float | None, typer.Option(min=1.0, help=BASELINE_HELP)] = None,
) -> None:
    """Estimate from a recording what would have been said live.

    Writes OUT/predictions.jsonl, one answer a line, and of a face OUT/episodes.jsonl. The same
    recording and bundle give the same bytes, whatever the speed or chunk size.

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
        baseline,
    )
    columns = ("[progress.description]{task.description}", "{task.percentage:>3.0f} %")
    with Progress(
        TextColumn(columns[0]),
        BarColumn(),
        TextColumn(columns[1]),
        TimeRemainingColumn(),
        console=ERR,
        transient=True,
        disable=not ERR.is_terminal,
    ) as bar:
        shown = bar.add_task(recording.name, total=None)
        result = run_replay(
            request, lambda done_s, total_s: bar.update(shown, completed=done_s, total=total_s)
        )
    show_replay(result)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="--out of a replay, or a live run's directory.")],
    lights_off: Annotated[
        str | None, typer.Option(help="Sleep: 22:45 (the last one), or seconds from the start.")
    ] = None,
    lights_on: Annotated[str | None, typer.Option(help="Sleep: likewise.")] = None,
) -> None:
    """Show what a replay or a run has found of night, gait or face, at any time, also meanwhile.

    Sleep: statistics, stages, what is unknown and why; writes FOLDER/sleep.json and sleep.png.
    Gait: a table, and a picture of every stride, FOLDER/gait.png. Facial expression: time and
    episodes by expression, coverage; writes FOLDER/expression.json and expression.png. Pictures
    need matplotlib: pip install 'bedside[report]'.

    Example: edge-app report results --lights-off 22:45 --lights-on 06:30
    """
    from edge_app.cli_expression import show_expressions
    from edge_app.cli_sleep import show_nights
    from edge_app.expression_record import read_expressions
    from edge_app.gait_picture import draw
    from edge_app.gait_record import SUMMARY_FILE
    from edge_app.gait_report import lines, read_report
    from edge_app.sleep_record import read_nights

    nights = read_nights(folder)
    if nights:
        show_nights(folder, nights, lights_off, lights_on)
    expressions = read_expressions(folder)
    show_expressions(folder, expressions)
    if (nights or expressions) and not (folder / SUMMARY_FILE).is_file():
        return
    found = read_report(folder)
    table = Table("parameter", "unit", "mean", "SD", "strides")
    for row in found.table():
        table.add_row(*row)
    OUT.print(table)
    for line in lines(found):
        say(line)
    say(f"picture: {draw(found, folder)}")


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="A picture: PNG, JPEG, TIFF and the like.")],
    out: Annotated[Path, typer.Option(help="PNG to write; it may show a person: owner only.")],
    method: Annotated[
        str | None, typer.Option(help="One of those below; without it all on one sheet.")
    ] = None,
    window: Annotated[int, typer.Option(min=2, help="adaptive: side of its window, px.")] = 16,
    clusters: Annotated[int, typer.Option(min=1, max=16, help="kmeans-*: how many.")] = 3,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="kmeans-*: another seed, another start.")
    ] = 0,
) -> None:
    """Show what classical segmentation makes of a picture: one method, or all side by side.

    Methods: basic-global, otsu, adaptive, kmeans-colour, kmeans-colour-place; on Otsu's mask
    erosion, dilation, opening, closing, hit-or-miss (upper edges), thinning, thickening; and
    equalised, clahe. Pictures above 1024 px are made smaller first. The sheet, thinning and
    thickening need: pip install 'bedside[report]'.

    Example: edge-app segment picture.png --out sheet.png
    """
    from edge_app.segment import SegmentOptions, check_request, read_picture, write_png
    from edge_app.segment import segment as run_segment
    from edge_app.segment_picture import draw_sheet

    check_request(image, method, out)
    picture, options = read_picture(image), SegmentOptions(window, clusters, seed)
    if method is None:
        draw_sheet(picture, options, out, image.name)
    else:
        write_png(out, run_segment(picture, method, options))
    say(f"picture: {out}")


@app.command()
def check(
    config: Annotated[
        Path | None,
        typer.Argument(help="Device YAML, or a bundle folder; without it the machine alone."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object.")] = False,
) -> None:
    """Say what of a device works, what does not, and what to do.

    The machine first: JetPack, GPU, TensorRT, ONNX Runtime, OpenCV, liblsl, Bluetooth, cameras,
    groups, clock, power, heat, disk; each ok, degraded or missing, with the command that mends it.
    Then loads the configuration, verifies every bundle's hashes and golden outputs on this machine,
    opens every sensor for a moment, and tries the output directory. Exit code 1 when anything
    fails, 2 when the configuration does not load; what only some devices need does not fail.

    Example: edge-app check device_configs/demo.yaml
    """
    from edge_app.check import check_all
    from edge_app.cli_doctor import show_json, show_machine

    machine, findings = check_all(config)
    with ERR.status("checking, some seconds a sensor ..."):
        if as_json:
            passed = show_json(machine or (), findings or ())
        else:
            passed = machine is None or show_machine(machine)
            passed = (findings is None or show_findings(findings)) and passed
    if not passed:
        raise typer.Exit(1)


@app.command("build-engines")
def build_engines(
    config: Annotated[Path, typer.Argument(help="Device YAML, or a bundle folder.")],
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build also what is there already.")
    ] = False,
) -> None:
    """Build TensorRT engines for CONFIG's bundles on this very device, verify and time them.

    An engine fits one GPU, TensorRT and JetPack, so none is shipped. Once built, `run`, `replay`
    and `check` use them, and build anew what is damaged or of another system. An engine that
    misses its golden outputs is never used. Kept in BEDSIDE_ENGINES or ~/.cache/bedside/engines.
    Exit code 1 when a bundle is left without an engine, 3 where there is no TensorRT: ONNX Runtime
    runs it.

    Example: edge-app build-engines device_configs/demo.yaml
    """
    from edge_app.build_engines import build_engines as build
    from edge_app.cli_engines import show_engines

    with ERR.status("asking TensorRT ...") as status:
        results = list(build(config, status.update, rebuild=rebuild))
    if not show_engines(results):
        raise typer.Exit(1)


@app.command("install-detector")
def install_detector(
    source: Annotated[str, typer.Argument(help="YuNet ONNX file, or its https:// address.")],
    sha256: Annotated[
        str | None, typer.Option(help="Of a file of your own that you vouch for.")
    ] = None,
) -> None:
    """Install a better face detector than OpenCV's own: YuNet, found by every command from then on.

    Takes yunet_n_320_320.onnx of github.com/ShiqiYu/libfacedetection.train, folder onnx, and
    verifies its SHA-256; another file only with --sha256. Goes into the user's data folder,
    XDG_DATA_HOME or ~/.local/share. A wrong file changes nothing.

    Example: edge-app install-detector yunet_n_320_320.onnx
    """
    from edge_app.face_detector_install import install_detector as install

    with Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        shown = bar.add_task("detector", total=None)
        path = install(
            source,
            sha256=sha256,
            progress=lambda done, total: bar.update(shown, completed=done, total=total),
        )
    say(f"installed: {path}")


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
    from edge_app.build_source import lsl_network
    from edge_app.config import load_config
    from edge_app.devices import find_ble_devices, find_cameras, find_lsl_streams

    network = None if config is None else lsl_network(load_config(config).lsl)
    searches: dict[str, Callable[[], list[Found]]] = {
        "Cameras": find_cameras,
        "Lab Streaming Layer streams": partial(find_lsl_streams, seconds, network),
        "Bluetooth LE devices": partial(find_ble_devices, seconds),
    }
    entries: list[str] = []
    with ERR.status(f"listening for {seconds:g} s ..."), ThreadPoolExecutor() as together:
        if not ERR.is_terminal:
            logging.getLogger(__name__).warning("listening for %g s ...", seconds)
        running = {title: together.submit(search) for title, search in searches.items()}
    for title, search in running.items():
        try:
            found = search.result()
        except EdgeAppError as error:
            OUT.print(f"[bold]{title}[/]: [yellow]{error}[/]", highlight=False)
            continue
        show_found(title, found)
        entries += [device.yaml for device in found if device.yaml]
    if entries:
        say("To use them, put the entries you want under `streams:`, each with a name of its own:")
        OUT.print(Text("\n".join(entries)), soft_wrap=True)


@app.callback()
def _prepare(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log changes of state too.")
    ] = False,
) -> None:
    level = os.environ.get("BEDSIDE_LOG", "INFO" if verbose else "WARNING").upper()
    handler: logging.Handler = logging.StreamHandler()
    if ERR.is_terminal:
        handler = RichHandler(console=ERR, show_path=False, markup=False)
    # In a terminal the handler writes the time itself.
    form = "%(message)s" if ERR.is_terminal else "%(asctime)s %(message)s"
    logging.basicConfig(level=level, format=form, handlers=[handler], force=True)
    if not verbose:
        logging.getLogger("bleak").setLevel(logging.ERROR)  # our errors say what matters


def run_command_line() -> int:
    """Run ``edge-app`` with the process's arguments.

    Returns:
        The exit code; errors have been shown without a traceback.
    """
    try:
        app()
    except EdgeAppError as error:
        show_error(error)
        return error.exit_code
    except SystemExit as end:  # wrong use, --help, Ctrl-C: already shown
        return end.code if isinstance(end.code, int) else 1
    return 0
