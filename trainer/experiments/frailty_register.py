"""Frailty: a person's gait parameters to robust, pre-frail or frail, learnt from 163 real people.

Means and standard deviations over strides, as the bedside's stride detection gives them, against
the Fried phenotype of the GSTRIDE register. No clinical test, site, surface, device or residence is
an input: they are part of the label or stand in for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator
from rich.console import Console
from torch import Tensor, nn

from edge_app.counted import counted
from edge_app.errors import DatasetError, TrainingError
from trainer.datasets.gait_parameters import OFFERED, gait_table, is_spread, with_gait
from trainer.datasets.gstride import FILE, LABELS, RegisterTable, read_register, read_table
from trainer.experiment import (
    BundleParts,
    DirectFit,
    Experiment,
    ExperimentOptions,
    Graph,
    Split,
)
from trainer.experiments.frailty_register_parts import parts
from trainer.learnt_people import fingerprints, remarks
from trainer.models.gait_bayes import ExplainedGait, GaitBayes, centres
from trainer.recipe import Recipe
from trainer.register.card import measured
from trainer.register.comparison import (
    NOT_NESTED,
    SHIPPED,
    TUNED,
    compare,
    figures_table,
    shipped_answers,
    worst_offsets,
)
from trainer.register.families import bayes_family, gait_bayes
from trainer.register.nested_cv import Nesting, choose
from trainer.register.person_scores import person_figures
from trainer.register.pictures import draw_all
from trainer.register.study import classes, confounders, study


class FrailtyRegisterOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for frailty by gait parameters."""

    parameters: tuple[str, ...] = Field(
        min_length=1, description=f"What the model reads, in its order; among {', '.join(OFFERED)}."
    )
    outer_folds: int = Field(default=5, ge=2, le=20, description="Folds that score.")
    repeats: int = Field(default=10, ge=1, le=100, description="Divisions into outer folds.")
    inner_folds: int = Field(default=4, ge=2, le=20, description="Folds that choose.")
    fold_seed: int = Field(default=1, ge=0, description="Start of the draws of folds.")

    @field_validator("parameters")
    @classmethod
    def _offered(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in OFFERED]
        if unknown or len(set(names)) != len(names):
            wrong = unknown or [name for name in names if names.count(name) > 1]
            raise ValueError(
                f"{wrong[0]} is doubled or not offered; there are {', '.join(OFFERED)}"
            )
        return names


class FrailtyRegisterExperiment(Experiment):
    """Gait parameters of the register to a naive Bayes classifier, in one go.

    Args:
        options: the recipe's ``experiment`` section.
    """

    task: ClassVar[str] = "frailty"
    input_names: ClassVar[tuple[str, ...]] = ("gait",)
    Options: ClassVar[type[ExperimentOptions]] = FrailtyRegisterOptions
    fits_directly: ClassVar[bool] = True
    equal_shares: ClassVar[bool] = True
    headline: ClassVar[tuple[str, ...]] = (
        *("accuracy", "balanced_accuracy", "macro_f1", "auc_frail", "auc_robust"),
        *("recall_frail", "precision_frail", "f1_frail", "brier", "ece"),
    )
    headline_subsets: ClassVar[tuple[str, ...] | None] = ("indoors",)
    options: FrailtyRegisterOptions

    def __init__(self, options: FrailtyRegisterOptions) -> None:
        super().__init__(options)
        self._tables: dict[Path, RegisterTable] = {}

    @property
    def nesting(self) -> Nesting:
        """How people are divided."""
        options = self.options
        return Nesting(options.outer_folds, options.repeats, options.inner_folds, options.fold_seed)

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Refuse: there is no split; folds score, and everybody is learnt from.

        Args:
            data_dir: the register.

        Returns:
            Never.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(
            "nobody is held out by this recipe: folds of people give its figures",
            source=str(data_dir),
            next_step="Use trainer cross-validate, or trainer evaluate without --split",
        )

    def load_evaluation(self, path: Path) -> Split:
        """Return everybody of a table in the register's layout whose frailty and gait are known.

        Args:
            path: the table, or the data folder that holds it.

        Returns:
            Those with a class and at least one parameter that the model reads.

        Raises:
            DatasetError: no such table, a damaged one, or nobody is left.
        """
        people = self._table(path).people
        file = FILE if path.is_dir() else path
        return Split(
            inputs=(torch.from_numpy(gait_table(people, self.options.parameters)).float(),),
            targets=torch.from_numpy(classes(people)),
            groups=np.array([person.person for person in people], dtype=np.str_),
            name=f"{counted(len(people), 'person', 'people')} of {file.name}",
        )

    def subsets(
        self, path: Path, split: Split, duplicates_of: Path | None = None
    ) -> dict[str, npt.NDArray[np.bool_]]:
        """Return people by surface, device, place, residence, sex and age, as far as known."""
        del split, duplicates_of
        return confounders(self._table(path).people)

    def build_model(self) -> nn.Module:
        """Return a model that has learnt nothing yet."""
        return GaitBayes(is_spread(self.options.parameters), len(LABELS))

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Refuse: there are no passes.

        Args:
            inputs: unused.
            targets: unused.
            generator: unused.

        Returns:
            Never.

        Raises:
            TrainingError: always.
        """
        del inputs, targets, generator
        raise TrainingError("fitted in one go, without passes", next_step="Use trainer fit")

    def fit_directly(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console
    ) -> DirectFit:
        """Score by nested folds, then choose and fit once more on all 163."""
        del out  # nothing is kept before the end
        people = read_register(data_dir)
        parameters = self.options.parameters
        targets = classes(people)
        table, oof = shipped_answers(people, parameters, self.nesting, console)
        family = bayes_family(SHIPPED, table, is_spread(parameters))
        chosen, _ = choose(family, table, targets, self.nesting.inner, self.nesting.seed)
        studied = study(people, parameters, table, oof)
        options = self.options
        figures = {
            "task": self.task,
            "bundle": recipe.name,
            "data": f"GSTRIDE register, {len(people)} people, out of fold",
            "groups": len(people),
            "trained_on_simulated_data": False,
            **studied["overall"],
            "setting": dict(chosen.setting),
            "nesting": {
                "outer_folds": options.outer_folds,
                "repeats": options.repeats,
                "inner_folds": options.inner_folds,
                "seed": options.fold_seed,
            },
            "tuned": TUNED,
            "not_nested": NOT_NESTED,
            "subsets": studied["confounders"],
            "missing_parameters": studied["missing_parameters"],
            "simulated_stride_draws": studied["simulated_stride_draws"],
            "simulated_offsets": studied["simulated_offsets"],
            "contributions": studied["contributions"],
            "learnt_people": fingerprints(self.load_evaluation(data_dir)),
        }
        row = {"out of fold": figures, "indoors only": figures["subsets"]["indoors"]}
        console.print(figures_table(f"{recipe.name}: people not seen in training", row))
        return DirectFit(
            model=gait_bayes(table, targets, is_spread(parameters), chosen.setting),
            logits=torch.from_numpy(oof.logits.reshape(-1, len(LABELS))),
            targets=torch.from_numpy(np.tile(targets, len(oof.logits))),
            calibrated_on=(
                f"{len(people)} people of the GSTRIDE register, each answered for by folds that had"
                f" not seen them ({options.outer_folds} x {options.repeats} nested)"
            ),
            figures=figures,
        )

    def cross_validate(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
    ) -> dict[str, Any]:
        """Compare families and baselines on nested folds, and draw pictures into ``out``."""
        del workers  # three minutes in all
        people = read_register(data_dir)
        figures, oof = compare(people, self.options.parameters, self.nesting, console)
        title = f"{recipe.name}: people not seen in training, {len(people)} of the GSTRIDE register"
        console.print(figures_table(title, figures["families"]))
        console.print(figures_table("baselines", figures["baselines"]))
        shipped = figures["shipped"]
        console.print(figures_table("confounders", shipped["confounders"]))
        console.print(figures_table("parameters missing", shipped["missing_parameters"]))
        console.print(
            figures_table("SIMULATED draws of few strides", shipped["simulated_stride_draws"])
        )
        moved = worst_offsets(shipped["simulated_offsets"])
        console.print(figures_table("SIMULATED offsets, the worst of one and those of all", moved))
        console.print(f"{TUNED}\n{NOT_NESTED}", highlight=False, soft_wrap=True)
        for path in draw_all(figures, oof, classes(people), out):
            console.print(f"picture: {path}", highlight=False, soft_wrap=True)
        return {"task": self.task, "recipe": recipe.name, "people": len(people), **figures}

    def figures(
        self, targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
    ) -> dict[str, Any]:
        """Return figures over people, with intervals; Brier and ECE for equal class shares."""
        return person_figures(targets, probabilities.astype(np.float64)[None], LABELS)

    def remarks(self, shipped: dict[str, Any], split: Split) -> dict[str, Any]:
        """Say who was left out, who was learnt from, and what folds said that had not seen them."""
        left_out = self._left_out(split)
        said = remarks(shipped, split)
        if left_out:
            named = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
            said["notes"].append(
                f"{counted(len(left_out), 'person', 'people')} left out: class or every parameter"
                f" not known: {named}."
            )
        return {"people_left_out": left_out, **said}

    def measured(self, figures: dict[str, Any]) -> str | None:
        """Return the card's figures: out of fold, with intervals and confounders."""
        return measured(figures)

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the one graph, tried on the classes' centres: no person is among the examples."""
        del split
        if not isinstance(model, GaitBayes):
            raise TypeError(f"expected GaitBayes, got {type(model).__name__}")
        return (
            Graph(
                role="model",
                module=ExplainedGait(model, temperature),
                inputs={"gait": centres(model)},
                outputs=("logits", "probabilities", "contributions", "familiar"),
            ),
        )

    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
        return parts(self.options.parameters)

    def _table(self, path: Path) -> RegisterTable:
        if path not in self._tables:
            self._tables[path] = with_gait(read_table(path), self.options.parameters, path)
        return self._tables[path]

    def _left_out(self, split: Split) -> list[str]:
        """Return the ids left out of the table that a split came from."""
        for table in self._tables.values():
            if [person.person for person in table.people] == list(split.groups):
                return list(table.left_out)
        return []
