"""The temporal smoothness term on whole contiguous nights: Table 1 of the paper, on ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge_app.counted import counted
from trainer.experiments.seq_sleep_net_study import TABLE_1
from trainer.fold_figures import spread_text
from trainer.recipe import Recipe
from trainer.sleep_evaluation.agreement import SHORT
from trainer.sleep_study.people_left_out import on_its_own, people_left_out
from trainer.sleep_study.ways import gains, gains_table, way_figures, ways_by_delay


def sweep(
    recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
) -> dict[str, Any]:
    """Leave each person out for each gamma, show Table 1 of the paper beside it.

    Args:
        recipe: of the streamed net, with ``study.gammas``.
        data_dir: the data, as ``--data`` names it.
        out: folder of a folder a gamma; finished folds are not run again.
        console: where progress and tables are shown.
        workers: folds at a time.

    Returns:
        Plain JSON values: ``gammas``, and ``differences`` from the first of them.

    Raises:
        DatasetError: data missing or damaged, or one person only.
        TrainingError: ``out`` belongs to another recipe or other data, or a process died.
    """
    experiment: Any = recipe.experiment
    study, everyone = experiment.options.study, experiment.everyone(data_dir)
    ways = {}
    for gamma in study.gammas:
        console.rule(f"gamma {gamma:g}")
        said = people_left_out(
            on_its_own(recipe, gamma=gamma),
            data_dir,
            everyone,
            out / f"gamma_{gamma:g}",
            console,
            repeats=study.repeats,
            workers=workers,
        )
        ways[gamma] = ways_by_delay(f"gamma {gamma:g}", everyone, said)[0]
    figures = {gamma: way_figures(way) for gamma, way in ways.items()}
    first, *others = ways
    differences = {
        f"gamma {gamma:g} - gamma {first:g}": gains(ways[first], ways[gamma]) for gamma in others
    }
    title = f"{everyone.name}, each left out: mean ± sd over {counted(study.repeats, 'seed')}"
    console.print(gamma_table(title, figures))
    console.print(gains_table(differences))
    return {
        "task": recipe.task,
        "recipe": recipe.name,
        "data": everyone.name,
        "repeats": study.repeats,
        "gammas": {f"{gamma:g}": row for gamma, row in figures.items()},
        "differences": differences,
        "table_1_of_the_paper": {
            f"{gamma:g}": dict(zip(SHORT, row, strict=True)) for gamma, row in TABLE_1.items()
        },
    }


def gamma_table(title: str, figures: Mapping[float, Mapping[str, Any]]) -> Table:
    """Return accuracy, kappa, macro-F1 and stage changes by gamma, the paper's beside them.

    Args:
        title: of our columns.
        figures: gamma to what ``way_figures`` returned.

    Returns:
        A table, a row a gamma.
    """
    table = Table(title=f"{title}; right: Phan et al. 2023, Table 1, other nights and another net")
    heads = ("gamma", *SHORT, "changes/h", *(f"paper's {name}" for name in SHORT))
    for head in heads:
        table.add_column(head, justify="right")
    for gamma, row in figures.items():
        ours = [spread_text(row["pooled"][name]) for name in (*SHORT, "changes_per_hour")]
        printed = TABLE_1.get(gamma)
        theirs = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in printed] if printed else ["-"] * 3
        table.add_row(f"{gamma:g}", *ours, *theirs)
    return table
