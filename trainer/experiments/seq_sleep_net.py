"""SeqSleepNet with temporal smoothness: raw nights of Sleep-EDF to stages, as the paper does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import Tensor, nn

from edge_app.errors import DatasetError
from trainer import metrics
from trainer.calibrate import Calibrated
from trainer.datasets.sleep_edf import load_sleep_edf
from trainer.datasets.sleep_leaks import refuse_identical_epochs
from trainer.datasets.sleep_stages import STAGES
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, RunGraph, Split
from trainer.experiments.seq_sleep_net_bundle import (
    seq_sleep_net_bundle,
    simulated_epochs,
    simulated_features,
)
from trainer.experiments.seq_sleep_net_nights import (
    epochs_of,
    join_nights,
    streamed_sequences,
    whole_sequences,
)
from trainer.experiments.seq_sleep_net_options import SeqSleepNetOptions
from trainer.experiments.seq_sleep_net_scoring import answered_nights, decisions_of
from trainer.experiments.seq_sleep_net_study import gamma_sweep, leave_one_out
from trainer.experiments.sleep_conditioning import CONDITIONING
from trainer.folds import select
from trainer.losses import smooth_sequence_loss
from trainer.metrics import IGNORE
from trainer.models.seq_sleep_net import (
    SeqSleepNet,
    bin_statistics,
)
from trainer.recipe import Recipe
from trainer.sleep_evaluation.figures import sleep_figures
from trainer.sleep_evaluation.learnt import LEARNT, learnt_remarks
from trainer.sleep_evaluation.pictures import write_pictures


class SeqSleepNetExperiment(Experiment):
    """Sequence-to-sequence staging of raw EEG, every sequence of a night at stride 1.

    Args:
        options: the recipe's ``experiment`` section.
    """

    task: ClassVar[str] = "sleep"
    Options: ClassVar[type[ExperimentOptions]] = SeqSleepNetOptions
    options: SeqSleepNetOptions

    def __init__(self, options: SeqSleepNetOptions) -> None:
        super().__init__(options)
        self._constants: tuple[Tensor, Tensor] | None = None
        self._learnt: tuple[str, ...] = ()
        self._simulated = False

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return every whole sequence of the people learnt from, and of the validation people.

        Args:
            data_dir: folder of Sleep-EDF files as PhysioNet lays them out.

        Returns:
            Training and validation split.

        Raises:
            DatasetError: data missing or damaged, or a validation subject that is not there.
        """
        everyone = self.everyone(data_dir)
        held = np.isin(everyone.groups, self.options.validation_subjects)
        absent = sorted(set(self.options.validation_subjects) - set(everyone.groups.tolist()))
        if absent or held.all():
            raise DatasetError(
                "validation_subjects must be some, not all, of the people there",
                source=str(data_dir),
                expected=f"some of {sorted(set(everyone.groups.tolist()))}",
                got=sorted(self.options.validation_subjects),
                next_step="Give their files, or name others, such as"
                f" --set 'experiment.validation_subjects=[\"{everyone.groups[-1]}\"]'",
            )
        train, validation = _only(everyone, ~held), _only(everyone, held)
        self._learnt = tuple(sorted(set(train.groups.tolist())))
        return self.prepare(train), validation

    def everyone(self, data_dir: Path) -> Split:
        """Return every whole sequence of all people of the study, samples as they are recorded."""
        nights = load_sleep_edf(
            data_dir, channel=self.options.channel, subjects=self.options.subjects
        )
        refuse_identical_epochs(nights)
        self._simulated = any(night.simulated for night in nights)
        made = "SIMULATED nights" if self._simulated else "Sleep-EDF nights"
        name = f"{len(nights)} {made}, {self.options.channel}"
        return whole_sequences(join_nights(nights), self.options.length, name)

    def load_evaluation(self, path: Path) -> Split:
        """Return the nights at ``path`` as the bedside sees them, people learnt from left out.

        Args:
            path: folder of Sleep-EDF files.

        Returns:
            The sequence that ends in each epoch; what the bedside's gates refuse is masked.

        Raises:
            DatasetError: data missing or damaged, or nobody left.
        """
        study, held = self.options.subjects, self.options.validation_subjects
        nights = [
            night
            for night in load_sleep_edf(
                path, channel=self.options.channel, conditioning=CONDITIONING
            )
            if night.subject in held or (study is not None and night.subject not in study)
        ]
        if not nights:
            raise DatasetError(
                "every person there was learnt from",
                source=str(path),
                next_step="Give nights of other people",
            )
        people = ", ".join(sorted({night.subject for night in nights}))
        made = "SIMULATED nights" if any(night.simulated for night in nights) else "nights"
        joined = join_nights(nights)
        return streamed_sequences(
            joined, self.options.length, f"{made} of subjects {people}, streamed"
        )

    def prepare(self, learn: Split) -> Split:
        """Take the constants that each bin is standardised by from what is learnt from."""
        self._constants = bin_statistics(epochs_of(learn))
        return learn

    def build_model(self) -> nn.Module:
        """Return a fresh net, standardised by the nights learnt from once they are loaded."""
        model = SeqSleepNet(
            len(STAGES),
            length=self.options.length,
            normalisation=self.options.normalisation,
            dropout=self.options.dropout,
        )
        if self._constants is not None:
            model.encoder.standardise_by(*self._constants)
        return model

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Let some sequences begin late and take some epochs out, where the recipe asks for it."""
        options = self.options
        if not options.pad_probability and not options.drop_probability:
            return inputs, targets
        eeg, rows = inputs
        n, length = rows.shape

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=rows.device)

        late = (uniform(n, 1) < options.pad_probability) * uniform(n, 1) * (length - 1)
        heard = torch.arange(length, device=rows.device) >= late.ceil()
        kept = heard & (uniform(n, length) >= options.drop_probability)
        return (eeg, rows.where(kept, -1)), targets.where(kept, IGNORE)

    def loss(
        self, model: nn.Module, logits: Tensor, targets: Tensor, label_smoothing: float
    ) -> Tensor:
        """Return equation (2) of the paper; theta is every trained weight."""
        return smooth_sequence_loss(
            logits,
            targets,
            model.parameters(),
            l2=self.options.l2,
            gamma=self.options.gamma,
            label_smoothing=label_smoothing,
        )

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return encoder and sequence graph, tried on simulated values: no person's are stored."""
        del split
        if not isinstance(model, SeqSleepNet):
            raise TypeError("a SeqSleepNet bundle is made from a SeqSleepNet")
        features, mask = simulated_features(self.options.length)
        return (
            Graph("encoder", model.encoder, {"eeg": simulated_epochs()}, ("features",)),
            Graph(
                "sequence",
                Calibrated(model.sequence, temperature),
                {"features": features, "mask": mask},
                ("logits", "probabilities"),
            ),
        )

    def score(self, run: RunGraph, split: Split) -> npt.NDArray[np.float32]:
        """Return what every sequence decides about each of its epochs; each epoch is encoded once.

        Args:
            run: runs one graph of the bundle.
            split: sequences of nights.

        Returns:
            ``(n, length, n_stages)``; positions without an epoch mean nothing.
        """
        return decisions_of(run, split)

    def split_figures(
        self, split: Split, probabilities: npt.NDArray[np.float32], path: Path
    ) -> dict[str, Any]:
        """Return the figures of whole nights, decisions on an epoch averaged in log space.

        Args:
            split: sequences of nights.
            probabilities: as ``score`` gave them.
            path: where ``split`` came from.

        Returns:
            What ``sleep_figures`` returns, by delay where the nights are streamed;
            ``single_decisions``: every decision counted for itself; and in the run that learnt,
            from whom.
        """
        del path
        single = metrics.score(split.targets.numpy(), probabilities).as_dict(STAGES)
        learnt = {LEARNT: list(self._learnt)} if self._learnt else {}
        figures = sleep_figures(answered_nights(split, probabilities))
        return {**figures, "single_decisions": single, **learnt}

    def remarks(self, shipped: dict[str, Any], split: Split) -> dict[str, Any]:
        """Say whether these are people it learnt from."""
        return learnt_remarks(shipped, split.groups.tolist()) if shipped else {}

    def pictures(
        self,
        figures: dict[str, Any],
        split: Split,
        probabilities: npt.NDArray[np.float32],
        folder: Path,
    ) -> list[Path]:
        """Draw hypnograms, confusion and confidence."""
        nights = answered_nights(split, probabilities)
        return write_pictures(folder, figures, nights, name=split.name)

    def cross_validate(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
    ) -> dict[str, Any]:
        """Leave each person out, as the paper does; for each gamma of a sweep in turn.

        Args:
            recipe: the recipe that this experiment belongs to.
            data_dir: folder of Sleep-EDF files.
            out: folder of the folds' runs.
            console: where progress and tables are shown.
            workers: folds that are trained at a time, a process each.

        Returns:
            All figures as plain JSON values.

        Raises:
            DatasetError: data missing or damaged, or too few people.
            TrainingError: ``out`` belongs to another recipe or other data, or a worker died.
        """
        study = gamma_sweep if self.options.cross_validation.gammas else leave_one_out
        return study(recipe, data_dir, out, console, workers)

    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
        return seq_sleep_net_bundle(
            self.options.length,
            people=len(self._learnt),
            held=len(self.options.validation_subjects),
            simulated=self._simulated,
            knows_late_starts=self.options.pad_probability > 0,
        )


def _only(split: Split, chosen: npt.NDArray[np.bool_]) -> Split:
    """Return the chosen sequences, named after their people."""
    people = ", ".join(sorted(set(split.groups[chosen].tolist())))
    return select(split, np.flatnonzero(chosen), f"{split.name}, subjects {people}")
