"""Frailty: a window of a walking foot to robust, pre-frail or frail, learnt from SIMULATED feet.

Raw labelled gait is not at hand. Each of the 163 people of the GSTRIDE register seeds one simulated
foot, so the classes overlap as they do in life; nothing measured here says anything about patients.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS
from edge_app.inference.manifest import (
    Data,
    RollingSpec,
    StreamSpec,
)
from trainer import metrics
from trainer.calibrate import Calibrated
from trainer.datasets.gstride import COUNTS, LABELS, Person, read_register
from trainer.datasets.simulated_gait import (
    CONDITIONING,
    RATE_HZ,
    WINDOW,
    held_out,
    split_people,
    walking_windows,
)
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, Split
from trainer.models.gait_cnn import GaitCnn

GOLDEN_CASES = 6


class FrailtyOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for frailty."""

    simulation_seed: int = Field(default=1, ge=0, description="Start of the simulated walks.")
    seconds_per_person: float = Field(
        default=60.0, ge=10.0, le=1800.0, description="Simulated walk of one person, in seconds."
    )
    balance_classes: bool = Field(
        default=True,
        description="Let people of rarer classes walk longer in training: classes weigh alike.",
    )
    validation_share: float = Field(
        default=0.3, gt=0.0, lt=1.0, description="Share of the people of each class held out."
    )
    split_seed: int = Field(default=1, ge=0, description="Which people are held out.")
    width: int = Field(default=24, ge=4, le=256, description="Channels of the first layer.")
    dropout: float = Field(default=0.4, ge=0.0, lt=1.0, description="In front of the last layer.")
    rotate_deg: float = Field(
        default=20.0, ge=0.0, le=180.0, description="Largest turn of the mounting, any axis."
    )
    gain: float = Field(
        default=0.05, ge=0.0, lt=0.5, description="Spread (sd) of accelerometer and gyroscope gain."
    )


class FrailtyExperiment(Experiment):
    """Windows of simulated feet to a small convolutional net, split by person.

    Args:
        options: the recipe's ``experiment`` section.
    """

    task: ClassVar[str] = "frailty"
    input_names: ClassVar[tuple[str, ...]] = ("imu",)
    Options: ClassVar[type[ExperimentOptions]] = FrailtyOptions
    options: FrailtyOptions

    def __init__(self, options: FrailtyOptions) -> None:
        super().__init__(options)
        self._constants_from: Tensor | None = None

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return the simulated windows of the people learnt from, and of those held out."""
        learnt, held = split_people(
            read_register(data_dir), self.options.validation_share, self.options.split_seed
        )
        train = self._simulate(
            learnt, "SIMULATED walks of training rows", balance=self.options.balance_classes
        )
        self._constants_from = train.inputs[0]
        return train, self._held_out(held)

    def load_evaluation(self, path: Path) -> Split:
        """Return the simulated windows of the register's held-out people."""
        _, held = split_people(
            read_register(path), self.options.validation_share, self.options.split_seed
        )
        return self._held_out(held)

    def subsets(self, path: Path, split: Split) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the windows of people who walked indoors: outdoors nobody was frail."""
        indoors = [person.person for person in read_register(path) if person.indoors]
        return {"indoors": np.isin(split.groups, indoors)}

    def grouped_scores(
        self, split: Split, probabilities: npt.NDArray[np.float32]
    ) -> dict[str, metrics.Scores]:
        """Return the figures over people, one example each."""
        return {"people": person_level(probabilities, split.targets.numpy(), split.groups)}

    def build_model(self) -> nn.Module:
        """Return a fresh net, standardised by the training windows once they are loaded."""
        model = GaitCnn(len(LABELS), width=self.options.width, dropout=self.options.dropout)
        if self._constants_from is not None:
            model.standardise_by(self._constants_from)
        return model

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Turn the sensor on the foot and change its gains: how it is mounted must not matter."""
        (imu,) = inputs
        n, device = len(imu), imu.device
        turn = random_rotations(n, math.radians(self.options.rotate_deg), generator)
        gain = 1.0 + self.options.gain * torch.randn(n, 2, 1, 1, generator=generator, device=device)
        vectors = imu.view(n, 2, 3, -1)
        return ((torch.einsum("nij,nsjt->nsit", turn, vectors) * gain).flatten(1, 2),), targets

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the one graph, tried on simulated windows from the whole split."""
        chosen = np.linspace(0, len(split.targets) - 1, GOLDEN_CASES).astype(int)
        return (
            Graph(
                "model",
                Calibrated(model, temperature),
                {"imu": split.inputs[0][chosen].numpy()},
                ("logits", "probabilities"),
            ),
        )

    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
        share = self.options.validation_share
        return BundleParts(
            labels=LABELS,
            stream=StreamSpec(
                kind="imu",
                rate_hz=RATE_HZ,
                channels=IMU_CHANNELS,
                units=IMU_UNITS,
                placement="foot, dorsal",
            ),
            window=WINDOW,
            conditioning=CONDITIONING,
            rolling=RollingSpec(
                time_constant_s=None,
                enter_probability=0.4,
                leave_probability=0.4,
                min_dwell_s=0.0,
                lookahead_windows=0,
                min_evidence_s=30.0,
            ),
            data=(
                Data(
                    name="SIMULATED foot IMU, one walk a person of the GSTRIDE register",
                    source="parameters: doi 10.5281/zenodo.8003441; paper doi"
                    " 10.1038/s41597-023-02428-0",
                    licence="CC BY 4.0 (register)",
                    people=sum(n - held_out(n, share) for n in COUNTS.values()),
                    simulated=True,
                ),
            ),
            intended_use=(
                "Shows the frailty road from a foot sensor to a rolling answer. Learnt from"
                " simulated feet only: not for any statement about a person. Not a medical device."
            ),
            limits=(
                "Every window it learnt from and every figure here is SIMULATED from rows of gait"
                " parameters; the figures say nothing about patients. Classes weigh alike in"
                " training, although few people are frail. Gait speed is part of the Fried label."
                " Nothing is known about walking aids, wheelchairs or other places on the body."
            ),
        )

    def _held_out(self, people: Sequence[Person]) -> Split:
        return self._simulate(people, "SIMULATED walks of held-out register rows", balance=False)

    def _simulate(self, people: Sequence[Person], name: str, *, balance: bool) -> Split:
        counts = Counter(person.frailty for person in people)
        windows, targets, groups = [], [], []
        for person in people:
            weight = max(counts.values()) / counts[person.frailty] if balance else 1.0
            walked = walking_windows(
                person,
                duration_s=round(self.options.seconds_per_person * weight),
                seed=self.options.simulation_seed,
            )
            windows.append(walked)
            targets += [LABELS.index(person.frailty)] * len(walked)
            groups += [person.person] * len(walked)
        return Split(
            inputs=(torch.from_numpy(np.concatenate(windows)),),
            targets=torch.tensor(targets, dtype=torch.int64),
            groups=np.array(groups, dtype=np.str_),
            name=name,
        )


def random_rotations(n: int, largest_rad: float, generator: torch.Generator) -> Tensor:
    """Return ``(n, 3, 3)`` rotations about random axes by up to ``largest_rad``."""
    device = generator.device
    axis = torch.randn(n, 3, generator=generator, device=device)
    axis = axis / axis.norm(dim=1, keepdim=True).clamp(min=1e-6)
    angle = largest_rad * torch.rand(n, 1, 1, generator=generator, device=device)
    x, y, z = axis.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=1).view(n, 3, 3)
    identity = torch.eye(3, device=device)
    # Rodrigues' formula
    return identity + angle.sin() * cross + (1.0 - angle.cos()) * (cross @ cross)


def person_level(
    probabilities: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_],
) -> metrics.Scores:
    """Score people instead of windows: a person's mean log-probability decides.

    Args:
        probabilities: (n, 3) of each window.
        targets: (n,) class of each window's person.
        groups: (n,) the person.

    Returns:
        The figures over people.
    """
    people, first, index = np.unique(groups, return_index=True, return_inverse=True)
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-9))
    sums = np.zeros((len(people), logs.shape[1]))
    np.add.at(sums, index, logs)
    means = np.exp(sums / np.bincount(index)[:, None])
    means /= means.sum(axis=1, keepdims=True)
    return metrics.score(targets[first], means)
