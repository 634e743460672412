"""What evening out the light, or hiding the background, does to accuracy on good and bad faces.

    python -m benchmarks.face_illumination --data ../shared/data --out out/light
    python -m benchmarks.face_illumination --data ../shared/data --out out/light --runs runs/light

Every way of ``edge_app.preprocess.face_illumination`` is applied to FER-2013's PublicTest, as it is
and made darker, lit from behind and cluttered (``trainer/emotion_evaluation/corruptions.py``: the
spoiling is simulated). Two questions:

1. The shipped bundle, which learnt from pictures as they are: does a way help at run time alone?
2. With --runs: a small network trained with each way (recipe emotion_illumination), scored with the
   same way. Runs that are missing are trained there, minutes each on one core; one that was cut
   goes on. PublicTest also chose each run's best pass, for every way alike.

Tables say accuracy with its 95 % interval, and the difference to `none` on the very same pictures
in points, with its interval (paired bootstrap over pictures; several seeds: the mean of their
answers, so chance in training is in it only as far as seeds were averaged). Marked where it leaves
out 0. --out gets the figures as JSON and a chart of the differences.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from edge_app.figure_file import new_figure, save_figure
from edge_app.inference.bundle import Bundle, load_bundle
from edge_app.inference.manifest import Illumination
from edge_app.preprocess.face_illumination import normalise_illumination
from trainer import provenance
from trainer.emotion_evaluation.corruptions import CORRUPTIONS
from trainer.evaluate import bundle_recipe
from trainer.experiment import Split
from trainer.experiments.emotion_data import reading
from trainer.fit import fit, predict_logits
from trainer.intervals import Interval, bootstrap_over_groups
from trainer.recipe import Recipe, load_recipe
from trainer.run_dir import RunDir

RECIPE = "emotion_illumination"
WAYS: tuple[Illumination, ...] = get_args(Illumination)
CONDITIONS = ("clean", "darker", "back-lit", "cluttered")
Right = npt.NDArray[np.float64]
"""(n,) share of the seeds that answer a picture rightly."""
Answer = Callable[[Split, Illumination], npt.NDArray[np.int64]]
"""Classes said of every picture, evened out in some way."""
Table = dict[str, dict[str, dict[str, Interval]]]
"""Way, condition, ``accuracy`` or ``gain``."""


def spoilt(split: Split, condition: str) -> Split:
    """Return the same faces in a condition, as a camera would give them."""
    if condition == "clean":
        return split
    faces = CORRUPTIONS[condition](split.inputs[0].numpy()[:, 0])
    return replace(split, inputs=(torch.from_numpy(faces[:, None]),))


def some(split: Split, pictures: int | None) -> Split:
    """Return so many pictures, drawn evenly; None: all."""
    step = 1 if pictures is None else max(1, len(split.targets) // pictures)
    faces = (split.inputs[0][::step],)
    return replace(split, inputs=faces, targets=split.targets[::step], groups=split.groups[::step])


def by_bundle(bundle: Bundle) -> Answer:
    """Return the bundle's answers, one picture after the other as at the bedside."""
    run = bundle.runners["model"].run

    def answer(split: Split, way: Illumination) -> npt.NDArray[np.int64]:
        faces = split.inputs[0].numpy()[:, 0]
        crops = (normalise_illumination(face, way)[None, None] for face in faces)
        return np.array([run({"face": crop})["logits"].argmax() for crop in crops])

    return answer


def by_network(recipe: Recipe, run: RunDir) -> Answer:
    """Return the answers of a run's best pass."""
    model = recipe.experiment.build_model()
    run.load_weights(model, run.load_best().weights, "best.pt")

    def answer(split: Split, way: Illumination) -> npt.NDArray[np.int64]:
        logits = predict_logits(model, replace(split, gather=reading(way)), recipe.fit)
        return np.asarray(logits.argmax(dim=1).numpy(), np.int64)

    return answer


def trained(
    changes: tuple[str, ...], folder: Path, splits: tuple[Split, Split], console: Console
) -> Answer:
    """Train the small network, or go on where it was cut; nothing is trained where it is done."""
    recipe = load_recipe(Path(RECIPE), changes)
    command = " --set ".join((f"trainer fit {RECIPE}", *changes))
    console.print(f"{command} --out {folder}", highlight=False, soft_wrap=True)
    way = recipe.experiment.options.illumination
    run = RunDir(folder)
    origin = replace(provenance.collect(recipe.name), command=command)
    run.create(recipe.to_yaml(), origin, resume=True)
    once = [replace(split, gather=reading(way)).batch(slice(None)) for split in splits]
    train, validation = (replace(s, inputs=i) for s, i in zip(splits, once, strict=True))
    fit(recipe, train, validation, run, console)
    return by_network(recipe, run)


def rights(
    answers: dict[Illumination, list[Answer]], split: Split, what: str, console: Console
) -> dict[str, dict[str, Right]]:
    """Return which pictures are answered rightly, by way and condition; tells how far it is."""
    targets = split.targets.numpy()
    found: dict[str, dict[str, Right]] = {way: {} for way in answers}
    for condition in CONDITIONS:
        pictures = spoilt(split, condition)
        for way, seeds in answers.items():
            right = np.mean([answer(pictures, way) == targets for answer in seeds], axis=0)
            found[way][condition] = right
            console.print(f"{what}, {condition}, {way}: {right.mean():.4f}", highlight=False)
    return found


def with_intervals(found: dict[str, dict[str, Right]], groups: npt.NDArray[np.str_]) -> Table:
    """Return accuracies and paired differences to ``none`` with their intervals."""
    cells = [(way, condition) for way in found for condition in CONDITIONS]
    matrix = np.column_stack([found[way][condition] for way, condition in cells])
    base = np.column_stack([found["none"][condition] for _, condition in cells])
    both = np.hstack((matrix, matrix - base))
    names = [f"{kind}/{i}" for kind in ("accuracy", "gain") for i in range(len(cells))]

    def statistic(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        return dict(zip(names, both[rows].mean(axis=0).tolist(), strict=True))

    drawn = bootstrap_over_groups(statistic, groups)
    table: Table = {way: {} for way in found}
    for i, (way, condition) in enumerate(cells):
        table[way][condition] = {kind: drawn[f"{kind}/{i}"] for kind in ("accuracy", "gain")}
    return table


def as_markdown(table: Table) -> str:
    """Return the table; a star where the interval of the difference leaves out 0."""
    lines = ["| way | " + " | ".join(CONDITIONS) + " |", "|---" * (1 + len(CONDITIONS)) + "|"]
    for way, row in table.items():
        cells = []
        for condition in CONDITIONS:
            gain = row[condition]["gain"]
            apart = "*" if gain.low > 0.0 or gain.high < 0.0 else ""
            points = [f"{100 * end:+.1f}" for end in (gain.value, gain.low, gain.high)]
            told = "" if way == "none" else f"; {points[0]} [{points[1]}, {points[2]}]{apart}"
            cells.append(f"{row[condition]['accuracy']}{told}")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(tables: dict[str, Table], path: Path) -> Path:
    """Draw the differences to ``none`` with their intervals, a panel a table."""
    figure = new_figure((6.5 * len(tables), 5.0), "face_illumination")
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for panel, (title, table) in zip(panels, tables.items(), strict=True):
        ways = [way for way in table if way != "none"]
        for k, condition in enumerate(CONDITIONS):
            gains = [table[way][condition]["gain"] for way in ways]
            value = 100 * np.array([gain.value for gain in gains])
            ends = 100 * np.array([[gain.low, gain.high] for gain in gains]).T
            places = np.arange(len(ways)) + 0.18 * (k - 1.5)
            spread = np.abs(ends - value)
            panel.errorbar(value, places, xerr=spread, fmt="o", ms=4, capsize=2, label=condition)
        panel.axvline(0.0, color="black", lw=0.8)
        panel.set_yticks(range(len(ways)), ways)
        panel.set(title=title, xlabel="accuracy less that of none, points (95 %, paired)")
    panels[0].invert_yaxis()
    panels[0].legend(loc="best", fontsize=8)
    return save_figure(figure, path)


def as_json(tables: dict[str, Table]) -> dict[str, Any]:
    """Return the tables as plain values: [value, low, high]."""
    return {
        title: {
            way: {
                condition: {kind: [one.value, one.low, one.high] for kind, one in cell.items()}
                for condition, cell in row.items()
            }
            for way, row in table.items()
        }
        for title, table in tables.items()
    }


def parse() -> argparse.Namespace:
    """Return what the command line says."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds FER-2013")
    parser.add_argument("--bundle", type=Path, default=Path("exports/emotion"))
    parser.add_argument("--no-bundle", action="store_true", help="leave question 1 out")
    parser.add_argument("--runs", type=Path, help="folder of the small networks: question 2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of each network")
    parser.add_argument("--passes", type=int, help="of each network; else as the recipe says")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--pictures", type=int, help="score only so many, drawn evenly")
    parser.add_argument("--out", type=Path, required=True, help="folder for JSON and chart")
    given = parser.parse_args()
    given.ways = ["none", *(way for way in given.ways if way != "none")]
    return given


def main() -> None:
    """Answer the questions, print the tables, write JSON and chart."""
    given, console = parse(), Console()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    console.print("reading FER-2013")
    splits = load_recipe(Path(RECIPE)).experiment.load(given.data)
    tables: dict[str, Table] = {}

    def answered(title: str, answers: dict[Illumination, list[Answer]], split: Split) -> None:
        split = some(split, given.pictures)
        found = rights(answers, split, title, console)
        tables[title] = with_intervals(found, split.groups)
        said = f"\n{title}; {split.name}, n {len(split.targets)}\n\n{as_markdown(tables[title])}\n"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
        (given.out / "figures.json").write_text(json.dumps(as_json(tables), indent=2))
        draw(tables, given.out / "chart.png")

    if given.runs is not None:
        answered("trained with it", all_trained(given, splits, console), splits[1])
    if not given.no_bundle:
        bundle = load_bundle(given.bundle)
        split = bundle_recipe(bundle).experiment.load_evaluation(given.data)
        title = f"{bundle.model_id}, at run time only"
        answer = by_bundle(bundle)
        answered(title, {way: [answer] for way in given.ways}, split)
    console.print(f"figures.json and chart.png are in {given.out}", highlight=False)


def all_trained(
    given: argparse.Namespace, splits: tuple[Split, Split], console: Console
) -> dict[Illumination, list[Answer]]:
    """Return the answers of every way's networks, one a seed; a seed is done before the next."""
    answers: dict[Illumination, list[Answer]] = {way: [] for way in given.ways}
    seeds: Sequence[int] = given.seeds
    for seed in seeds:
        for way in answers:
            changes = [f"experiment.illumination={way}", f"seed={seed}"]
            if given.passes is not None:
                changes.append(f"fit.passes={given.passes}")
            folder = given.runs / f"{way}_{seed}"
            answers[way].append(trained(tuple(changes), folder, splits, console))
    return answers


if __name__ == "__main__":
    main()
