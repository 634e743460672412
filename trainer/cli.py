"""The command ``trainer``: prepare, fit, cross-validate, evaluate, explain, export and more."""

from __future__ import annotations

import json
import logging
import math
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.logging import RichHandler

from trainer.examination import PREVALENCE, SELECTIVE_ACCURACY
from trainer.path_checks import make_folder, prove_writable, refuse_missing

INTERRUPTED = 130
SplitName = Literal["evaluation", "validation", "all"]
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
    pretrained: Annotated[
        Path | None,
        typer.Option(help="State dict that a ResNet-50 starts from: experiment.pretrained."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was cut.")] = False,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak",
            help="Train though a person or picture is on both sides; figures and card will say so.",
        ),
    ] = False,
    devices: Annotated[
        int,
        typer.Option(min=1, help="GPUs, or processes where there is none, that share each batch."),
    ] = 1,
    max_minutes: Annotated[
        float,
        typer.Option(min=0.0, help="Begin no further pass after so long; --resume has it anew."),
    ] = math.inf,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log to OUT/tensorboard.")
    ] = False,
) -> None:
    """Train a model by a recipe.

    Example: `trainer fit emotion_teacher --data ../shared/data --out runs/emotion`

    A short one on a small folder of nights, by changes to the recipe; lists are written in
    brackets: `trainer fit seq_sleep_net --data FOLDER --out runs/small --set fit.passes=1
    --set experiment.subjects=null --set 'experiment.validation_subjects=["01"]'`
    """
    from trainer import provenance
    from trainer.devices import is_first_process, start
    from trainer.direct_run import write_direct
    from trainer.fit import fit as run_fit
    from trainer.learning_curve import best_row, next_step
    from trainer.recipe import load_recipe
    from trainer.run_dir import RunDir
    from trainer.splits import refuse_leak
    from trainer.tensorboard_log import TensorBoardLog

    for part in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(part).setLevel(logging.WARNING)  # set to info when imported
    first = is_first_process()
    console = Console(quiet=not first)
    named = () if pretrained is None else (f"experiment.pretrained={json.dumps(str(pretrained))}",)
    loaded = load_recipe(recipe, (*(changes or ()), *named))
    board = TensorBoardLog(out / "tensorboard") if tensorboard and first else None
    run = RunDir(out, board)
    if first:
        run.refuse_other_run(loaded.to_yaml(), resume=resume)
    if resume and not run.has_checkpoint():
        console.print(f"nothing to resume in {out}: begun anew", highlight=False, soft_wrap=True)
    if loaded.experiment.fits_directly:
        try:
            fitted = loaded.experiment.fit_directly(loaded, data, out, console)
        except KeyboardInterrupt:
            console.print(_stopped(out), highlight=False, soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None
        run.create(loaded.to_yaml(), provenance.collect(loaded.name), resume=resume)
        write_direct(out, fitted)
        exporting = export_command(out, loaded.name, data)
        console.print(f"fitted. Next: {exporting}", highlight=False, soft_wrap=True)
        return
    begun = run.has_checkpoint()
    origin = None if begun else loaded.experiment.pretrained()
    story = None if begun else loaded.experiment.story()
    train, validation = loaded.experiment.load(data)
    leak = refuse_leak(train, validation, allow=allow_leak)
    if leak is not None:
        console.print(f"WARNING leak: {leak}", highlight=False, soft_wrap=True, style="yellow")
    fabric = start(devices, loaded.fit.precision)
    if first:
        whence = provenance.collect(loaded.name, leak, origin, story, devices)
        run.create(loaded.to_yaml(), whence, resume=resume)
    try:
        rows = run_fit(
            loaded, train, validation, run, console, fabric=fabric, max_minutes=max_minutes
        )
    except KeyboardInterrupt:
        console.print("stopped; the last whole pass is kept: add --resume to continue")
        raise typer.Exit(INTERRUPTED) from None
    best = best_row(rows, loaded.fit.select_by)
    console.print(
        f"best pass {best.index + 1} by {loaded.fit.select_by}: accuracy {best.accuracy:.4f}, "
        f"macro-F1 {best.macro_f1:.4f} on {validation.name}.",
        next_step(best, validation, out, export_command(out, loaded.name, data)),
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
    from trainer.bundle_files import write_json
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
    from trainer.bundle_files import write_json
    from trainer.evaluate_strides import evaluate_strides as run_evaluate
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
        typer.Option(
            help="evaluation: all that was not learnt from; validation: what chose it; all: faces"
            " of a place that an own split has not learnt from, undivided."
        ),
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
    by: Annotated[
        list[str] | None,
        typer.Option(help="Compare groups: age_group, gender, country ... Repeatable."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Another bundle: McNemar's test on the same pictures.")
    ] = None,
    duplicates_of: Annotated[
        Path | None,
        typer.Option(help="Folder whose pictures count as copies; figures without them as well."),
    ] = None,
    corruptions: Annotated[
        bool,
        typer.Option("--corruptions", help="Score spoilt pictures too; takes ten times as long."),
    ] = False,
    through_detector: Annotated[
        bool,
        typer.Option("--through-detector", help="Also through the bedside's detector and crop."),
    ] = False,
    detector: Annotated[
        Path | None,
        typer.Option(help="YuNet file for --through-detector; default: as the bedside finds one."),
    ] = None,
    explanation: Annotated[
        Path | None, typer.Option(help="JSON of `trainer explain`, to go --into-card as well.")
    ] = None,
    prevalence: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of a class that PPV and NPV are restated for."),
    ] = PREVALENCE,
    selective_accuracy: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Wanted among answers; gives the threshold for it."),
    ] = SELECTIVE_ACCURACY,
    into_card: Annotated[
        bool,
        typer.Option("--into-card", help="Put what was found into the bundle's card and metrics."),
    ] = False,
) -> None:
    """Score a bundle as it is shipped, through ONNX Runtime.

    Example: `trainer evaluate exports/emotion --data ../shared/data --json out/emotion.json`

    Faces: any folder of pictures in folders named by class, or a table of them; who is shown, where
    the data say so, is compared by --by. Another bundle on the same pictures:
    `trainer evaluate exports/emotion --data ../shared/data --json out/e.json --baseline OTHER`

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
    for path in (baseline, duplicates_of, detector, explanation):
        if path is not None:
            refuse_missing(path)
    from trainer.evaluation_progress import EvaluationProgress

    with EvaluationProgress(console) as progress:
        progress(f"loading {bundle}")
        loaded = load_bundle(bundle)
        from trainer import evaluate as scoring  # torch: slow, so after what can be refused at once
        from trainer.bundle_files import write_json
        from trainer.examination import Wishes
        from trainer.scores_table import scores_table
        from trainer.sleep_evaluation.expert import SignalOptions

        figures = scoring.evaluate_data(
            loaded,
            data,
            split=split,
            hypnogram=hypnogram,
            signal=SignalOptions(channel, unit, rate_hz, coding),
            pictures=pictures,
            wishes=Wishes(
                by=tuple(by or ()),
                baseline=baseline,
                duplicates_of=duplicates_of,
                corruptions=corruptions,
                through_detector=through_detector,
                detector=detector,
                prevalence=prevalence,
                selective_accuracy=selective_accuracy,
            ),
            tell=progress,
            count=progress.count,
        )
    write_json(json_file, figures)
    if into_card:
        from trainer.emotion_evaluation.into_card import put_into_card

        put_into_card(loaded, figures, explanation)
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
    int8: Annotated[
        Path | None, typer.Option(help="Folder of a variant in 8-bit integers, faces only.")
    ] = None,
    int8_symmetric: Annotated[
        bool, typer.Option("--int8-symmetric", help="Make it for TensorRT: zero points of 0.")
    ] = False,
    force_int8: Annotated[
        bool, typer.Option("--force-int8", help="Keep it even if it loses too much or is slower.")
    ] = False,
    tensorrt: Annotated[
        bool, typer.Option("--tensorrt", help="Say whether TensorRT can take it; writes nothing.")
    ] = False,
) -> None:
    """Calibrate the best pass, export it, and replace the bundle once everything passed.

    Example: `trainer export runs/emotion --out exports/emotion --data ../shared/data`

    With 8-bit integers beside it, kept only if faster and at most 0.5 points worse:
    `trainer export runs/emotion --out exports/emotion --int8 exports/emotion_int8 --data DATA`

    TensorRT takes symmetric ranges only: for its engines add --int8-symmetric. They are slow on a
    CPU, so that only the loss is judged; the float bundle becomes an FP16 engine without it.
    """
    from trainer.export import export as run_export
    from trainer.export_report import export_lines, refused_int8
    from trainer.run_dir import RunDir

    console = Console()
    with console.status("calibrating, exporting, comparing and scoring") as status:
        bundle = run_export(
            RunDir(run),
            data,
            out,
            int8=int8,
            int8_symmetric=int8_symmetric,
            force_int8=force_int8,
            tell=status.update,
        )
    for line in export_lines(bundle, out):
        console.print(line, highlight=False, soft_wrap=True)
    if int8 is not None:
        refused_int8(bundle, int8)
    if tensorrt:
        from trainer.tensorrt_check import tensorrt_lines

        for folder in (out, int8):
            if folder is not None and folder.is_dir():
                for line in tensorrt_lines(folder):
                    console.print(line, highlight=False, soft_wrap=True)


@app.command()
def explain(
    model: Annotated[Path, typer.Argument(help="Folder of a run or of a float bundle.")],
    data: Annotated[Path, typer.Option("--data", help="Labelled faces that it has not learnt.")],
    out: Annotated[Path, typer.Option(help="PNG sheet: it shows faces, so mind where it goes.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Where figures go.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Pictures on the sheet.")] = 8,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="That many pictures of every class.")
    ] = False,
    deletion_n: Annotated[
        int, typer.Option(min=0, help="Pictures of the deletion test; 0: no test.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Draws the pictures and the random maps.")] = 0,
) -> None:
    """Show where a model looks, by three methods, and test whether that is where it looks.

    Grad-CAM, Integrated Gradients and occlusion sensitivity side by side; the deletion test hides
    what a map marks and compares with random maps, in numbers and as OUT's name + _deletion.png.

    Example: `trainer explain exports/emotion --data ../shared/data --out out/explained.png`
    """
    from trainer.path_checks import prove_picture

    console = Console()
    refuse_missing(model)
    refuse_missing(data)
    prove_picture(out)
    if json_file is not None:
        prove_writable(json_file)
    from trainer.bundle_files import write_json
    from trainer.explanation.explain import Wanted, explain_pictures
    from trainer.explanation.report import deletion_table, said

    found = explain_pictures(model, data, out, Wanted(n, per_class, deletion_n, seed), console)
    if json_file is not None:
        write_json(json_file, found)
    if "deletion" in found:
        console.print(deletion_table(found["deletion"]))
    for line in said(found, out, json_file):
        console.print(line, highlight=False, soft_wrap=True)


@app.command("audit")
def audit_pictures(
    dataset: Annotated[
        Path, typer.Argument(help="Folder of pictures, tar archive of them, or FER-2013.")
    ],
    out: Annotated[Path, typer.Option(help="PNG to write; it shows the data set's pictures.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where names and figures of all go.")
    ] = None,
    near_bits: Annotated[
        int, typer.Option(min=0, max=64, help="Near duplicates differ in so many of 256 bits.")
    ] = 8,
    min_entropy: Annotated[
        float, typer.Option(min=0.0, max=8.0, help="Bits a pixel below which entropy is low.")
    ] = 5.0,
) -> None:
    """Find blank, unreadable, nearly identical, low-entropy and badly exposed pictures.

    The sheet shows the worst ten of each kind. Nothing is changed in the data set.

    Example: `trainer audit ../shared/data/fer2013 --out out/audit.png --json out/audit.json`
    """
    console = Console()
    refuse_missing(dataset)
    if json_file is not None:
        prove_writable(json_file)
    from edge_app.counted import counted
    from trainer.audit import AuditLimits, audit
    from trainer.audit_sheet import draw_sheet
    from trainer.bundle_files import write_json
    from trainer.evaluation_progress import EvaluationProgress

    limits = AuditLimits(near_bits=near_bits, min_entropy_bits=min_entropy)
    with EvaluationProgress(console) as progress:
        found = audit(dataset, limits, progress, progress.count)
        figures = found.figures(limits)
        pictures = counted(figures["pictures"], "picture")
        progress("drawing the sheet")
        draw_sheet(found, out, f"{dataset.name}: {pictures}")
    if json_file is not None:
        write_json(json_file, figures)
    said = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in figures["counts"].items())
    console.print(f"{pictures}: {said}", highlight=False, soft_wrap=True)
    console.print(f"sheet: {out}", highlight=False, soft_wrap=True)


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


@prepare.command("faces")
def prepare_faces(
    data: DataDir,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="Classes in order, repeatable; default: FER-2013's seven."),
    ] = None,
) -> None:
    """Look through labelled faces: layout, counts, copies, blanks, leaks, what cannot be read.

    FER-2013 as csv, archive or folders; folders named by class; the clinical layout, a folder per
    person with a table (its eight classes are taken where no others are named). It fails only
    where a class has no picture.

    Example: `trainer prepare faces --data ../shared/data`
    """
    from edge_app.errors import DatasetError
    from trainer.datasets.face_overview import describe_faces

    refuse_missing(data)
    if not describe_faces(data, Console(), tuple(classes or ())):
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
