"""Frailty from windows: DeepConvLSTM on 2 s of a walking foot, robust, pre-frail or frail.

``source: simulated`` makes one SIMULATED foot a person of the GSTRIDE register, so the classes
overlap as they do in life; nothing measured on it says anything about patients. ``source:
recordings`` learns from the raw GSTRIDE recordings that the user has downloaded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from rich.console import Console
from torch import Tensor, nn

from edge_app.errors import DatasetError
from trainer import metrics
from trainer.calibrate import Calibrated
from trainer.datasets.gait_windows import (
    WINDOW,
    evenly_chosen,
)
from trainer.datasets.gstride import LABELS, Person, read_register
from trainer.datasets.gstride_raw import find_register, read_windows, recorded
from trainer.datasets.simulated_gait import (
    example_windows,
    split_people,
    walking_windows,
)
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, Split
from trainer.experiments.frailty_windows_bundle import Source, windows_bundle
from trainer.features.mounting import random_rotations
from trainer.fold_study import FoldOptions, run_study
from trainer.models.deep_conv_lstm import DeepConvLstm
from trainer.person_level import person_level
from trainer.recipe import Recipe

GOLDEN_CASES = 6


class FrailtyWindowsOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for frailty from windows."""

    source: Source = Field(
        default="simulated",
        description="simulated feet, or the raw recordings in --data with their register.",
    )
    simulation_seed: int = Field(default=1, ge=0, description="Start of the simulated walks.")
    seconds_per_person: float = Field(
        default=60.0, ge=10.0, le=1800.0, description="Simulated walk of one person, in seconds."
    )
    windows_per_person: int | None = Field(
        default=200,
        ge=1,
        description="Largest number of windows a person, spread over the walk; null: all.",
    )
    counts_per_dps: float | None = Field(
        default=None,
        gt=0.0,
        description="Recordings in counts: counts of the gyroscope for 1 deg/s; numbers do not"
        " tell it. null: such recordings are refused.",
    )
    balance: Literal["none", "oversample", "logit_prior"] = Field(
        default="logit_prior",
        description="Classes weigh alike: oversample repeats windows of rarer ones, logit_prior"
        " adds the log of each class's share to its logit while training.",
    )
    validation_share: float = Field(
        default=0.3, gt=0.0, lt=1.0, description="Share of the people of each class held out."
    )
    split_seed: int = Field(default=1, ge=0, description="Which people are held out.")
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0, description="Behind the last LSTM.")
    l2: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Pull on convolution and dense layer, as in Keras."
    )
    rotate_deg: float = Field(
        default=0.0, ge=0.0, le=180.0, description="Largest turn of the mounting, any axis."
    )
    gain: float = Field(
        default=0.0, ge=0.0, lt=0.5, description="Spread (sd) of accelerometer and gyroscope gain."
    )
    cross_validation: FoldOptions = Field(
        default=FoldOptions(), description="How `trainer cross-validate` divides the people."
    )


class FrailtyWindowsExperiment(Experiment):
    """Windows of feet to DeepConvLSTM, split by person.

    Args:
        options: the recipe's ``experiment`` section.
    """

    task: ClassVar[str] = "frailty"
    input_names: ClassVar[tuple[str, ...]] = ("imu",)
    Options: ClassVar[type[ExperimentOptions]] = FrailtyWindowsOptions
    options: FrailtyWindowsOptions

    def __init__(self, options: FrailtyWindowsOptions) -> None:
        super().__init__(options)
        self._learnt: Split | None = None

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return the windows of the people learnt from, and of those held out."""
        learnt, held = self._sides(data_dir)
        train = self.prepare(self._windows(data_dir, learnt, "people learnt from"))
        return train, self._windows(data_dir, held, "held-out people")

    def load_evaluation(self, path: Path) -> Split:
        """Return the windows of the held-out people."""
        return self._windows(path, self._sides(path)[1], "held-out people")

    def prepare(self, learn: Split) -> Split:
        """Remember the side learnt from for the model's constants; return it balanced."""
        self._learnt = learn
        if self.options.balance != "oversample":
            return learn
        rows = oversampled(learn.targets, len(LABELS))
        return Split((learn.inputs[0][rows],), learn.targets[rows], learn.groups[rows], learn.name)

    def subsets(
        self, path: Path, split: Split, duplicates_of: Path | None = None
    ) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the windows of people who walked indoors: outdoors nobody was frail."""
        del duplicates_of
        indoors = [person.person for person in self._people(path) if person.indoors]
        return {"indoors": np.isin(split.groups, indoors)}

    def grouped_scores(
        self, split: Split, probabilities: npt.NDArray[np.float32]
    ) -> dict[str, metrics.Scores]:
        """Return the figures over people, one example each."""
        return {"people": person_level(probabilities, split.targets.numpy(), split.groups)}

    def build_model(self) -> nn.Module:
        """Return a fresh net, its constants those of the windows learnt from, once loaded."""
        model = DeepConvLstm(
            len(LABELS),
            n_samples=WINDOW.length_samples,
            dropout=self.options.dropout,
            l2=self.options.l2,
        )
        if self._learnt is not None:
            model.standardise_by(self._learnt.inputs[0])
            if self.options.balance == "logit_prior":
                model.train_as_if_balanced(self._learnt.targets)
        return model

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Turn the sensor on the foot and change its gains: how it is mounted must not matter."""
        if not self.options.rotate_deg and not self.options.gain:
            return inputs, targets
        (imu,) = inputs
        n, device = len(imu), imu.device
        turn = random_rotations(n, math.radians(self.options.rotate_deg), generator)
        gain = 1.0 + self.options.gain * torch.randn(n, 2, 1, 1, generator=generator, device=device)
        vectors = imu.view(n, 2, 3, -1)
        return ((torch.einsum("nij,nsjt->nsit", turn, vectors) * gain).flatten(1, 2),), targets

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the one graph, tried on simulated windows: no person's data is in a bundle."""
        del split
        return (
            Graph(
                "model",
                Calibrated(model, temperature),
                {"imu": example_windows(GOLDEN_CASES)},
                ("logits", "probabilities"),
            ),
        )

    def cross_validate(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
    ) -> dict[str, Any]:
        """Train and score on folds of people, and once on shuffled windows as a warning.

        Args:
            recipe: the recipe that this experiment belongs to.
            data_dir: the register, or the folder with register and recordings.
            out: folder of the folds' runs.
            console: where progress and tables are shown.
            workers: folds trained at a time; one is.

        Returns:
            All figures as plain JSON values.

        Raises:
            DatasetError: data missing or damaged, or too few people for the folds.
            TrainingError: ``out`` belongs to another recipe or other data.
        """
        del workers
        people = self._people(data_dir)
        everyone = self._windows(data_dir, people, "all people")
        indoors = np.array([person.person for person in people if person.indoors])
        figures = run_study(
            recipe,
            everyone,
            self.options.cross_validation,
            self.prepare,
            subsets={"indoors": indoors},
            labels=LABELS,
            out=out,
            console=console,
        )
        return {"simulated": self.options.source == "simulated", **figures}

    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
        return windows_bundle(self.options.source, self.options.validation_share)

    def _people(self, data_dir: Path) -> tuple[Person, ...]:
        if self.options.source == "simulated":
            return read_register(data_dir)
        return recorded(read_register(find_register(data_dir)))

    def _sides(self, data_dir: Path) -> tuple[tuple[Person, ...], tuple[Person, ...]]:
        return split_people(
            self._people(data_dir), self.options.validation_share, self.options.split_seed
        )

    def _windows(self, data_dir: Path, people: Sequence[Person], who: str) -> Split:
        options = self.options
        kind = "SIMULATED walks" if options.source == "simulated" else "GSTRIDE recordings"
        if options.source == "simulated":
            walked = [
                evenly_chosen(
                    walking_windows(
                        person,
                        duration_s=options.seconds_per_person,
                        seed=options.simulation_seed,
                    ),
                    options.windows_per_person,
                )
                for person in people
            ]
        else:
            walked = read_windows(
                data_dir,
                people,
                largest=options.windows_per_person,
                counts_per_dps=options.counts_per_dps,
            )
        n = [len(windows) for windows in walked]
        if not sum(n):
            raise DatasetError(
                f"no window of {who} passes the gate: nobody walks",
                source=str(data_dir),
                next_step="Give longer walks, and look at the units of the recordings",
            )
        targets = np.repeat([LABELS.index(person.frailty) for person in people], n)
        return Split(
            inputs=(torch.from_numpy(np.concatenate(walked)),),
            targets=torch.from_numpy(targets),
            groups=np.repeat(np.array([person.person for person in people], dtype=np.str_), n),
            name=f"{kind}, {who}",
        )


def oversampled(targets: Tensor, n_labels: int) -> Tensor:
    """Return rows in which every class occurs as often as the commonest, its rows in turn.

    Args:
        targets: (n,) classes.
        n_labels: classes there are; those that do not occur stay out.

    Returns:
        (n_rows,) indices.
    """
    most = max(Counter(targets.tolist()).values())
    rows = []
    for label in range(n_labels):
        of_label = torch.nonzero(targets == label).flatten()
        if len(of_label):
            rows.append(of_label.repeat(-(-most // len(of_label)))[:most])
    return torch.cat(rows)
