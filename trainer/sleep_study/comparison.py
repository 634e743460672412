"""Baselines, the streamed net, what waiting gains and what causality costs, on the same people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from edge_app.counted import counted
from trainer.experiment import Split
from trainer.recipe import Recipe
from trainer.sleep_study.people_left_out import folds_of, laid_out, on_its_own, people_left_out
from trainer.sleep_study.trees import trees_left_out
from trainer.sleep_study.ways import (
    Way,
    gains,
    gains_table,
    people_table,
    way_figures,
    ways_by_delay,
    ways_table,
)

TREES = "trees with past context"
PLAIN = "plain causal GRU"
OURS = "streamed net"
AHEAD = "the same looking ahead"
PLAIN_CHANGES: dict[str, Any] = {
    "network": "plain_gru",
    "lookahead": 0,
    "gain_db": 0.0,
    "tilt_db": 0.0,
    "slow_probability": 0.0,
    "drop_probability": 0.0,
    "psd_probability": 0.0,
}


def compare(
    recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
) -> dict[str, Any]:
    """Measure every way on the same people left out, show tables, return all figures.

    The net that looks ahead is of the same size, half of its recurrent units running backwards from
    the end of the night; its levels are the causal ones, so that the difference is that of context.

    Args:
        recipe: of the streamed net.
        data_dir: the data, as ``--data`` names it.
        out: folder of a folder a way; finished folds are not run again.
        console: where progress and tables are shown.
        workers: folds at a time.

    Returns:
        Plain JSON values.

    Raises:
        DatasetError: data missing or damaged, or one person only.
        TrainingError: ``out`` belongs to another recipe or other data, or a process died.
    """
    experiment: Any = recipe.experiment
    everyone: Split = experiment.everyone(data_dir)
    study = experiment.options.study
    ours = _trained(recipe, data_dir, everyone, out / "stream", OURS, console, workers, study)
    ways = [ours[delay] for delay in sorted(ours)]
    pairs: list[tuple[str, Way, Way]] = [
        (f"{ours[delay].name} - {OURS}", ours[0], ours[delay]) for delay in sorted(ours) if delay
    ]
    if study.compare:
        plain = on_its_own(recipe, **PLAIN_CHANGES)
        twin = on_its_own(recipe, network="two_sided")
        trees = _trees(everyone, study.repeats, out / "trees", console)
        gru = _trained(
            plain, data_dir, everyone, out / "plain_gru", PLAIN, console, workers, study
        )[0]
        ahead = _trained(
            twin, data_dir, everyone, out / "two_sided", AHEAD, console, workers, study
        )[0]
        ways = [trees, gru, *ways, ahead]
        pairs = [
            (f"{OURS} - {TREES}", trees, ours[0]),
            (f"{OURS} - {PLAIN}", gru, ours[0]),
            *pairs,
            (f"{AHEAD} - {OURS}", ours[0], ahead),
        ]
    figures = {way.name: way_figures(way) for way in ways}
    differences = {name: gains(first, second) for name, first, second in pairs}
    expert = next(iter(figures.values()))["expert_changes_per_hour"]
    seeds = counted(study.repeats, "seed")
    title = f"{everyone.name}, each left out, every row: mean ± sd over {seeds}"
    console.print(ways_table(f"{title}; expert {expert:.1f} changes/h", figures))
    console.print(people_table(figures))
    console.print(gains_table(differences))
    return {
        "task": recipe.task,
        "recipe": recipe.name,
        "data": everyone.name,
        "repeats": study.repeats,
        "ways": figures,
        "differences": differences,
    }


def _trained(
    recipe: Recipe,
    data_dir: Path,
    everyone: Split,
    out: Path,
    name: str,
    console: Console,
    workers: int,
    study: Any,
) -> dict[int, Way]:
    experiment: Any = recipe.experiment
    own = everyone
    if experiment.options.lookahead + 1 != everyone.targets.shape[-1]:
        own = experiment.everyone(data_dir)
    console.rule(name)
    said = people_left_out(
        recipe, data_dir, own, out, console, repeats=study.repeats, workers=workers
    )
    return ways_by_delay(name, own, said)


def _trees(everyone: Split, repeats: int, out: Path, console: Console) -> Way:
    console.rule(TREES)
    newest = Split(
        everyone.inputs,
        everyone.targets[:, :, :1],
        everyone.groups,
        everyone.name,
        everyone.examples,
    )
    folds = folds_of(newest, repeats)
    trees_left_out(newest, folds, out, console)
    return ways_by_delay(TREES, newest, laid_out(newest, folds, out))[0]
