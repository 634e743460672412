"""The command ``trainer``: prepare, fit, cross-validate, evaluate, evaluate-strides, export."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.logging import RichHandler

from trainer.path_checks import make_folder, prove_writable, refuse_missing

INTERRUPTED = 130
SplitName = Literal["evaluation", "validation"]
Coding = Literal["aasm", "rk", "dreams"]

app = typer.Typer(
    name="trainer",
    help="Train the models of the bedside and export them.\n\n"
    "trainer fit RECIPE, then trainer export RUN, then trainer evaluate BUNDLE.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
prepare = typer.Typer(
    no_args_is_help=True,
    help="Look through data, and make the small files that the project ships.",
)
app.add_typer(prepare, name="prepare")

DataDir = Annotated[Path, typer.Option("--data", help="Folder of the training data.")]


@app.callback()
def _start() -> None:
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(show_path=False, show_time=False, console=Console(stderr=True))],
    )
    logging.getLogger("trainer").setLevel(logging.INFO)


@app.command()
def fit(
    recipe: Annotated[Path, typer.Argument(help="YAML file, or the name of one we ship.")],
    data: DataDir,
    out: Annotated[Path, typer.Option(help="Folder of this run: checkpoints, log, curve.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the recipe, repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was cut.")] = False,
) -> None:
    """Train a model by a recipe.

    Example: `trainer fit emotion_vgg_small --data ../shared/data --out runs/emotion`

    A short one on a small folder of nights, by changes to the recipe; lists are written in
    brackets: `trainer fit seq_sleep_net --data FOLDER --out runs/small --set fit.passes=1
    --set experiment.subjects=null --set 'experiment.validation_subjects=["01"]'`
    """
    from trainer import provenance
    from trainer.direct_run import write_direct
    from trainer.fit import fit as run_fit
    from trainer.learning_curve import best_row
    from trainer.recipe import load_recipe
    from trainer.run_dir import RunDir
    from trainer.splits import refuse_leak

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # set to info when imported
    console = Console()
    loaded = load_recipe(recipe, tuple(changes or ()))
    run = RunDir(out)
    run.refuse_other_run(loaded.to_yaml(), resume=resume)
    if loaded.experiment.fits_directly:
        try:
            fitted = loaded.experiment.fit_directly(loaded, data, out, console)
        except KeyboardInterrupt:
            console.print(_stopped(out), highlight=False, soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None
        run.create(loaded.to_yaml(), provenance.collect(loaded.name), resume=resume)
        write_direct(out, fitted)
        next_step = export_command(out, loaded.name, data)
        console.print(f"fitted. Next: {next_step}", highlight=False, soft_wrap=True)
        return
    train, validation = loaded.experiment.load(data)
    refuse_leak(train, validation)
    run.create(loaded.to_yaml(), provenance.collect(loaded.name), resume=resume)
    try:
        rows = run_fit(loaded, train, validation, run, console)
    except KeyboardInterrupt:
        console.print("stopped; the last whole pass is kept: add --resume to continue")
        raise typer.Exit(INTERRUPTED) from None
    best = best_row(rows, loaded.fit.select_by)
    console.print(
        f"best pass {best.index + 1} by {loaded.fit.select_by}: accuracy {best.accuracy:.4f}, "
        f"macro-F1 {best.macro_f1:.4f} on {validation.name}."
        f" Next: {export_command(out, loaded.name, data)}",
        highlight=False,
        soft_wrap=True,
    )


@app.command("cross-validate")
def cross_validate(
    recipe: Annotated[Path, typer.Argument(help="YAML file, or the name of one we ship.")],
    data: DataDir,
    out: Annotated[Path, typer.Option(help="Folder of the folds, figures and pictures.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the recipe, repeatable.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Folds trained at a time, a process each, where the method can."),
    ] = 1,
) -> None:
    """Train and score on folds of people: the figures to believe where people are few.

    Nothing that is scored was learnt from, nor did it choose anything. Of models trained by passes
    every finished fold is kept: a run that was stopped goes on when the command is given again.
    frailty_register, fitted in one go, starts anew. Figures: OUT/cross_validation.json.

    Example: `trainer cross-validate frailty_register --data ../shared/data --out runs/register_cv`

    A short one on a small folder of nights, by changes to the recipe: `trainer cross-validate
    seq_sleep_net --data FOLDER --out runs/small_cv --set experiment.subjects=null
    --set experiment.cross_validation.choose=0 --set experiment.cross_validation.repeats=1
    --set fit.passes=1`
    """
    from trainer.export import write_json
    from trainer.recipe import load_recipe

    console = Console()
    loaded = load_recipe(recipe, tuple(changes or ()))
    try:
        figures = loaded.experiment.cross_validate(loaded, data, make_folder(out), console, workers)
    except KeyboardInterrupt:
        console.print(_stopped(out), highlight=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    write_json(out / "cross_validation.json", figures)
    console.print(f"all figures: {out / 'cross_validation.json'}", highlight=False, soft_wrap=True)


@app.command("evaluate-strides")
def evaluate_strides(
    walks: Annotated[
        Path, typer.Argument(help="Folder of walks: S-T_lf.txt, S-T_rf.txt, S-T.json.")
    ],
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
) -> None:
    """Hold the bedside's stride detection against labelled foot events, both feet.

    The layout is that of the IPOL walking set: 100-Hz text files with a PacketCounter, and swings
    as [toe-off, heel strike] in slots of that counter.

    Example: `trainer evaluate-strides ../shared/data/gait/imu_walks --json out/strides.json`
    """
    console = Console()
    prove_writable(json_file)
    refuse_missing(walks)
    from trainer.evaluate_strides import evaluate_strides as run_evaluate
    from trainer.export import write_json
    from trainer.strides_table import strides_table

    with console.status(f"walking through {walks}"):
        figures = run_evaluate(walks)
    write_json(json_file, figures)
    console.print(strides_table(figures))
    if figures["left_out"]:
        console.print(
            f"WARNING left out: {'; '.join(figures['left_out'])}",
            highlight=False,
            soft_wrap=True,
            style="yellow",
        )
    console.print(f"all figures: {json_file}", highlight=False, soft_wrap=True)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle, such as exports/emotion.")],
    data: Annotated[Path, typer.Option("--data", help="Labelled data to score on.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    split: Annotated[
        SplitName,
        typer.Option(help="evaluation: all that was not learnt from; validation: what chose it."),
    ] = "evaluation",
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for PNG pictures, where the task has any.")
    ] = None,
    hypnogram: Annotated[
        Path | None, typer.Option(help="The expert's stages, where --data is one EEG recording.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="EEG channel of a recording; default: the best there is.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of a recording's samples, where it does not say.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option(help="Its samples a second, where it does not say.")
    ] = None,
    coding: Annotated[
        Coding | None, typer.Option(help="What digits in a text hypnogram mean.")
    ] = None,
) -> None:
    """Score a bundle as it is shipped, through ONNX Runtime.

    Example: `trainer evaluate exports/emotion --data ../shared/data --json out/emotion.json`

    Sleep is streamed. It also takes a recording with its expert's stages, which goes through the
    very code of the bedside, and folders of Sleep-EDF; a recording that carries its own stages as
    annotations is named twice:
    `trainer evaluate exports/sleep --data PSG.edf --hypnogram H.edf --json out/night.json
    --pictures out/night`
    """
    from edge_app.inference.bundle import load_bundle

    console = Console()
    prove_writable(json_file)
    refuse_missing(data)
    if hypnogram is not None:
        refuse_missing(hypnogram)
    if pictures is not None:
        make_folder(pictures)
    with console.status(f"loading {bundle}") as status:
        loaded = load_bundle(bundle)
        from trainer import evaluate as scoring  # torch: slow, so after what can be refused at once
        from trainer.export import write_json
        from trainer.scores_table import scores_table
        from trainer.sleep_evaluation.expert import SignalOptions

        figures = scoring.evaluate_data(
            loaded,
            data,
            split=split,
            hypnogram=hypnogram,
            signal=SignalOptions(channel, unit, rate_hz, coding),
            pictures=pictures,
            tell=status.update,
        )
    write_json(json_file, figures)
    console.print(scores_table(figures))
    for note in figures.get("notes", ()):
        console.print(note, highlight=False, soft_wrap=True)
    if pictures is not None:
        said = f"pictures: {pictures}" if figures.get("pictures") else "this task draws no pictures"
        console.print(said, highlight=False, soft_wrap=True)
    console.print(f"all figures: {json_file}", highlight=False, soft_wrap=True)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder made by `trainer fit`.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle, such as exports/emotion.")],
    data: DataDir,
) -> None:
    """Calibrate the best pass, export it, and replace the bundle once everything passed.

    Example: `trainer export runs/emotion --out exports/emotion --data ../shared/data`
    """
    from trainer.export import export as run_export
    from trainer.run_dir import RunDir

    console = Console()
    with console.status("calibrating, exporting, comparing and scoring"):
        bundle = run_export(RunDir(run), data, out)
    shown = ", ".join(f"{m.name} {m.value:.4f}" for m in bundle.manifest.metrics)
    console.print(f"{out} is {bundle.model_id}: {shown}", highlight=False, soft_wrap=True)


@prepare.command("simulation")
def prepare_simulation(
    data: DataDir,
    out: Annotated[Path, typer.Option(help="Folder for the statistics.")] = Path(
        "edge_app/simulation"
    ),
) -> None:
    """Draw the statistics of the simulated sensors from real data: no recording is copied.

    Example: `trainer prepare simulation --data ../shared/data`
    """
    from trainer.simulation_statistics import write_all

    for path in write_all(data, out):
        Console().print(f"wrote {path}", highlight=False)


@prepare.command("sleep")
def prepare_sleep(data: DataDir) -> None:
    """Look through a folder of nights: what is there, counts by stage, what is missing or wrong.

    It fails only where nothing there can be used.

    Example: `trainer prepare sleep --data ~/sleep-edf/sleep-cassette`
    """
    from edge_app.errors import DatasetError
    from trainer.datasets.sleep_overview import describe_nights

    refuse_missing(data)
    if not describe_nights(data, Console()):
        raise typer.Exit(DatasetError.exit_code)


def _stopped(out: Path) -> str:
    """Return what to say after Ctrl-C between folds."""
    if any(out.rglob("answers.npz")) or any(out.rglob("last.pt")):
        return f"stopped; finished folds are kept in {out}: give the same command to go on"
    return "stopped; nothing was kept: give the same command again to start anew"


def export_command(run: Path, name: str, data: Path) -> str:
    """Return the command that makes a bundle of a run; it replaces none of those shipped."""
    out = Path("out") / name
    return shlex.join(["trainer", "export", str(run), "--out", str(out), "--data", str(data)])
