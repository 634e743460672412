"""Leave one person out as the paper does, several times over, and for several gammas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge_app.counted import counted
from trainer import metrics
from trainer.cross_validate import passes_run, run_folds
from trainer.datasets.sleep_counts import count_stages
from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import Split
from trainer.experiments.seq_sleep_net_nights import Nights
from trainer.experiments.seq_sleep_net_options import LosoOptions
from trainer.experiments.seq_sleep_net_scoring import merged
from trainer.fold_figures import class_table, over_repeats, repeat_table, spread_text
from trainer.fold_run import Material, load_answers
from trainer.folds import Fold, leave_one_group_out
from trainer.recipe import Recipe
from trainer.sleep_evaluation.agreement import agreement, confusion, per_class
from trainer.sleep_evaluation.night_answers import NightAnswers

POOLED = ("accuracy", "kappa", "macro_f1", "sensitivity", "specificity")
TABLE_1 = {
    1.0: ((0.855, 0.001), (0.802, 0.004), (0.784, 0.004)),
    1e-1: ((0.860, 0.003), (0.808, 0.004), (0.792, 0.005)),
    1e-2: ((0.859, 0.003), (0.807, 0.004), (0.790, 0.003)),
    1e-3: ((0.860, 0.003), (0.809, 0.004), (0.791, 0.002)),
    1e-4: ((0.862, 0.002), (0.811, 0.003), (0.793, 0.003)),
    1e-5: ((0.858, 0.004), (0.807, 0.006), (0.790, 0.003)),
    0.0: ((0.856, 0.003), (0.803, 0.004), (0.786, 0.002)),
}
"""Mean and sd of accuracy, kappa and macro-F1 by gamma, as Phan et al., ICASSP 2023, print them: 39
nights of Sleep-EDF, 20 people left out one by one, 5 repeats. Measured by its authors, not here."""


def leave_one_out(
    recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int
) -> dict[str, Any]:
    """Leave each person out, show tables, and return all figures.

    Args:
        recipe: of SeqSleepNet.
        data_dir: folder of Sleep-EDF files.
        out: folder of the folds' runs; finished ones are not run again.
        console: where progress and tables are shown.
        workers: folds at a time.

    Returns:
        Plain JSON values.

    Raises:
        DatasetError: data missing or damaged, or too few people.
        TrainingError: ``out`` belongs to another recipe or other data, or a process died.
    """
    return _study(recipe, data_dir, _everyone(recipe, data_dir, console), out, console, workers)


def gamma_sweep(
    recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int
) -> dict[str, Any]:
    """Do ``leave_one_out`` for each gamma, in a folder each, and show Table 1 of the paper.

    Args:
        recipe: of SeqSleepNet.
        data_dir: folder of Sleep-EDF files.
        out: folder of the gammas' folders.
        console: where progress and tables are shown.
        workers: folds at a time.

    Returns:
        Plain JSON values: ``gammas``, each with the figures of ``leave_one_out``.

    Raises:
        DatasetError: data missing or damaged, or too few people.
        TrainingError: ``out`` belongs to another recipe or other data, or a process died.
    """
    options: Any = recipe.experiment.options
    everyone = _everyone(recipe, data_dir, console)
    found: dict[float, dict[str, Any]] = {}
    for gamma in options.cross_validation.gammas:
        alone = options.cross_validation.model_copy(update={"gammas": ()})
        own = options.model_copy(update={"gamma": gamma, "cross_validation": alone})
        changed = replace(recipe, experiment=type(recipe.experiment)(own))
        console.rule(f"gamma {gamma:g}")
        folder = out / f"gamma_{gamma:g}"
        found[gamma] = _study(changed, data_dir, everyone, folder, console, workers)
    console.print(table_1(found, everyone.name))
    return {
        "task": recipe.task,
        "recipe": recipe.name,
        "data": everyone.name,
        "gammas": {f"{gamma:g}": figures for gamma, figures in found.items()},
        "table_1_of_the_paper": {
            f"{gamma:g}": dict(zip(POOLED[:3], row, strict=True)) for gamma, row in TABLE_1.items()
        },
    }


def table_1(found: Mapping[float, Mapping[str, Any]], data: str) -> Table:
    """Return accuracy, kappa and macro-F1 by gamma, those of the paper beside them.

    Args:
        found: gamma to the figures of ``leave_one_out``.
        data: what they were measured on.

    Returns:
        A table, a row a gamma.
    """
    table = Table(title=f"Mean ± sd over repeats, {data}; right: Table 1 of Phan et al. 2023")
    for name in ("gamma", *POOLED[:3], *(f"paper's {name}" for name in POOLED[:3])):
        table.add_column(name, justify="right")
    for gamma, figures in found.items():
        ours = [spread_text(figures["pooled"][name]) for name in POOLED[:3]]
        printed = TABLE_1.get(gamma)
        theirs = [f"{m:.3f} ± {sd:.3f}" for m, sd in printed] if printed else ["-"] * 3
        table.add_row(f"{gamma:g}", *ours, *theirs)
    return table


def _everyone(recipe: Recipe, data_dir: Path, console: Console) -> Split:
    experiment: Any = recipe.experiment
    everyone: Split = experiment.everyone(data_dir)
    nights: Any = everyone.gather
    console.print(_counts_table(nights, everyone.name))
    return everyone


def material_of(recipe: Recipe, data_dir: Path) -> Material:
    """Read everything anew, as each process of several does.

    Args:
        recipe: of SeqSleepNet.
        data_dir: folder of Sleep-EDF files.

    Returns:
        What all folds are made from.

    Raises:
        DatasetError: data missing or damaged.
    """
    experiment: Any = recipe.experiment
    return Material(recipe, experiment.everyone(data_dir), experiment.prepare)


def _study(
    recipe: Recipe, data_dir: Path, everyone: Split, out: Path, console: Console, workers: int
) -> dict[str, Any]:
    experiment: Any = recipe.experiment
    options: LosoOptions = experiment.options.cross_validation
    folds = leave_one_group_out(
        everyone.groups,
        choose=options.choose,
        repeats=options.repeats,
        seed=options.seed,
        choose_key="experiment.cross_validation.choose",
    )
    material = Material(recipe, everyone, experiment.prepare)
    again = partial(material_of, recipe, data_dir)
    run_folds(material, folds, out, console, workers=workers, again=again)
    repeats = [
        _repeat_figures(everyone, [fold for fold in folds if fold.repeat == repeat], out)
        for repeat in range(options.repeats)
    ]
    figures = {
        "task": recipe.task,
        "recipe": recipe.name,
        "data": everyone.name,
        "gamma": experiment.options.gamma,
        "sequences": len(everyone.targets),
        "people": len(np.unique(everyone.groups)),
        "options": options.model_dump(mode="json"),
        "pooled": over_repeats([_pooled(repeat["merged"]) for repeat in repeats]),
        "single_decisions": over_repeats([_pooled(repeat["single"]) for repeat in repeats]),
        "per_night": _over_nights([repeat["per_night"] for repeat in repeats]),
        "repeats": repeats,
        "runs": _runs(everyone, folds, out),
    }
    _show(figures, console)
    return figures


def _repeat_figures(everyone: Split, folds: Sequence[Fold], out: Path) -> dict[str, Any]:
    """Return the figures of one repeat: all folds together, and each night."""
    nights: Any = everyone.gather
    rows = everyone.inputs[0].numpy()
    decisions = np.zeros((*rows.shape, len(STAGES)), np.float32)
    for fold in folds:
        decisions[fold.test] = load_answers(fold, out)
    answered = merged(decisions, rows, nights)
    targets = everyone.targets.numpy()
    labelled = targets != metrics.IGNORE
    single = metrics.confusion_matrix(
        targets[labelled], decisions[labelled].argmax(axis=1), len(STAGES)
    )
    return {
        "merged": agreement(_counts(answered)),
        "single": agreement(single),
        "per_night": {night.night: agreement(confusion(night)) for night in answered},
    }


def _counts(nights: Sequence[NightAnswers]) -> npt.NDArray[np.int64]:
    return np.asarray(sum(confusion(night) for night in nights), np.int64)


def _pooled(figures: Mapping[str, Any]) -> dict[str, float | None]:
    f1 = {f"f1_{stage}": figures["per_class"][stage]["f1"] for stage in STAGES}
    return {name: figures[name] for name in POOLED} | f1


def _over_nights(repeats: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        night: {"n": repeats[0][night]["n"]}
        | over_repeats([{name: repeat[night][name] for name in POOLED[:3]} for repeat in repeats])
        for night in repeats[0]
    }


def _runs(everyone: Split, folds: Sequence[Fold], out: Path) -> list[dict[str, Any]]:
    return [
        {
            "fold": fold.name,
            "repeat": fold.repeat,
            "choose_groups": np.unique(everyone.groups[fold.choose]).tolist(),
            "test_groups": np.unique(everyone.groups[fold.test]).tolist(),
            "passes": passes,
            "best_pass": best,
        }
        for fold, (_, passes, best) in zip(folds, passes_run(out, folds), strict=True)
    ]


def _show(figures: Mapping[str, Any], console: Console) -> None:
    spread = f"mean ± sd over {counted(len(figures['repeats']), 'repeat')}, {figures['data']}"
    console.print(_night_table(figures["per_night"], f"Each night, {spread}"))
    columns = {
        "all sequences with an epoch": figures["pooled"],
        "each decision for itself": figures["single_decisions"],
    }
    console.print(repeat_table(f"People left out, all folds together, {spread}", columns))
    every = np.sum([repeat["merged"]["confusion"] for repeat in figures["repeats"]], axis=0)
    whole = {**figures["repeats"][0]["merged"], "per_class": per_class(every)}
    whole["confusion"] = every.tolist()
    console.print(class_table("All repeats together, rows are the expert", whole))


def _night_table(per_night: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    table = Table(title=title)
    for name in ("night", "epochs", *POOLED[:3]):
        table.add_column(name, justify="left" if name == "night" else "right")
    for night, figures in per_night.items():
        cells = (spread_text(figures[name]) for name in POOLED[:3])
        table.add_row(night, str(figures["n"]), *cells)
    return table


def _counts_table(nights: Nights, title: str) -> Table:
    table = Table(title=f"Epochs after trimming: {title}")
    for name in ("night", *STAGES, "total", "masked"):
        table.add_column(name, justify="left" if name == "night" else "right")
    stages = {span.name: nights.stages[span.start : span.stop] for span in nights.spans}
    for name, night in {**stages, f"{len(stages)} nights": nights.stages}.items():
        counts = count_stages((night,))
        cells = (*counts.scored, counts.total, counts.masked)
        table.add_row(name, *(f"{cell:,}" for cell in cells))
    return table
