"""Sleep: raw EEG epochs to band powers to stages, one epoch at a time, then revised.

Learnt from the band powers of whole nights. Leaving each person out in turn gives the figures and
the temperature; what is shipped then learns from everybody.
"""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import Tensor, nn

from edge_app.counted import counted
from edge_app.errors import DatasetError, TrainingError
from trainer import provenance
from trainer.calibrate import fit_temperature
from trainer.datasets.sleep_leaks import refuse_identical_epochs
from trainer.datasets.sleep_stages import STAGES
from trainer.datasets.sleepedf_bandpower import SUBJECTS, load_nights
from trainer.experiment import (
    BundleParts,
    DirectFit,
    Experiment,
    ExperimentOptions,
    Graph,
    RunGraph,
    Split,
)
from trainer.experiments.sleep_conditioning import EPOCH_SAMPLES, RATE_HZ
from trainer.experiments.sleep_golden import simulated_epochs, simulated_steps
from trainer.experiments.sleep_stream_bundle import bundle_parts
from trainer.experiments.sleep_stream_nights import (
    another_amplifier,
    draw_stretches,
    epochs_of_nights,
    labelled_rows,
    padded_nights,
    without,
)
from trainer.experiments.sleep_stream_options import SleepStreamOptions
from trainer.experiments.sleep_stream_scoring import only_of_known, stream_nights
from trainer.experiments.sleep_stream_trees import bare_trees, grow_on_nights
from trainer.features.causal_levels import CausalLevels
from trainer.features.welch import WelchFeatures
from trainer.fit import fit
from trainer.losses import smooth_sequence_loss
from trainer.metrics import IGNORE
from trainer.models.sleep_stream import Kind, SleepStep, SleepStream
from trainer.models.sleep_trees import SleepTrees
from trainer.recipe import Recipe
from trainer.run_dir import RunDir
from trainer.sleep_evaluation.ceiling import ceiling_beside
from trainer.sleep_evaluation.figures import sleep_figures
from trainer.sleep_evaluation.learnt import LEARNT, learnt_remarks
from trainer.sleep_evaluation.night_answers import NightAnswers, nights_of_split
from trainer.sleep_evaluation.pictures import write_pictures
from trainer.sleep_study.card import measured
from trainer.sleep_study.people_left_out import on_its_own, people_left_out
from trainer.sleep_study.plain_gru import PlainGru

EVERYBODY = "everybody"
PLAIN_HIDDEN, PLAIN_LAYERS = 64, 2


class SleepStreamExperiment(Experiment):
    """Sequence-to-sequence staging of whole nights, streamed.

    Args:
        options: the recipe's ``experiment`` section.
    """

    task: ClassVar[str] = "sleep"
    Options: ClassVar[type[ExperimentOptions]] = SleepStreamOptions
    fits_directly: ClassVar[bool] = True
    headline: ClassVar[tuple[str, ...]] = ("accuracy", "kappa", "macro_f1", "ece")
    options: SleepStreamOptions

    def __init__(self, options: SleepStreamOptions) -> None:
        super().__init__(options)
        self._learn: Split | None = None
        self._grown: dict[str, Any] | None = None
        self._people: tuple[str, ...] = ()
        self._contiguous = True

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Refuse: there is no split; each person is left out in turn, and all are learnt from.

        Args:
            data_dir: the nights.

        Returns:
            Never.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(
            "nobody is held out by this recipe: people left out in turn give its figures",
            source=str(data_dir),
            next_step="Use trainer cross-validate, or trainer evaluate without --split",
        )

    def everyone(self, data_dir: Path) -> Split:
        """Return all nights of the archive.

        Args:
            data_dir: the data folder, or an archive of band powers.

        Returns:
            Padded nights, see ``padded_nights``.

        Raises:
            DatasetError: data missing or damaged, too few people to leave one out, or one under two
                names.
        """
        channel = self.options.channel
        nights = load_nights(data_dir, channel=channel)
        refuse_identical_epochs(nights)
        self._people = tuple(sorted({night.subject for night in nights}))
        if not all(night.contiguous for night in nights) or len(self._people) < 2:
            raise DatasetError(
                "cannot learn from these nights",
                source=str(data_dir),
                expected="contiguous nights of two people or more",
                got=_told(nights, self._people),
                next_step="Name sleepedf_bandpower.npz or the data folder; others can be evaluated",
            )
        name = f"{_told(nights, self._people)}, {channel}"
        return padded_nights(nights, self.options.lookahead, name)

    def load_evaluation(self, path: Path) -> Split:
        """Return every night of an archive of either layout; ``remarks`` names people learnt from.

        Args:
            path: the archive, or the data folder.

        Returns:
            Padded nights; in an archive without band powers these are NaN.

        Raises:
            DatasetError: data missing or damaged.
        """
        nights = load_nights(path, channel=self.options.channel)
        self._contiguous = all(night.contiguous for night in nights)
        self._people = tuple(sorted({night.subject for night in nights}))
        name = f"{_told(nights, self._people)}, streamed"
        return padded_nights(nights, self.options.lookahead, name)

    def prepare(self, learn: Split) -> Split:
        """Remember what the next model takes its constants from, and grows its trees on."""
        self._learn, self._grown = learn, None
        return learn

    def build_model(self) -> nn.Module:
        """Return a fresh model, standardised by the nights learnt from once they are known."""
        options = self.options
        model: SleepStream | PlainGru
        if options.network == "plain_gru":
            dropout = options.dropout
            model = PlainGru(len(STAGES), hidden=PLAIN_HIDDEN, layers=PLAIN_LAYERS, dropout=dropout)
        else:
            model = SleepStream(
                len(STAGES),
                kinds=[Kind(**kind.model_dump()) for kind in options.kinds],
                lift=options.lift,
                hidden=options.hidden,
                delays=options.lookahead,
                view_share=options.view_share,
                input_dropout=options.input_dropout,
                dropout=options.dropout,
                two_sided=options.network == "two_sided",
                trees=bare_trees(options.trees),
                trees_weight=options.trees.weight,
            )
        if self._learn is not None:
            model.prepare_for(*labelled_rows(self._learn), options.prior_shift)
            if isinstance(model, SleepStream) and model.trees is not None:
                self._grow(model.trees, model.levels, self._learn)
        return model

    def _grow(self, trees: SleepTrees, levels: CausalLevels, learn: Split) -> None:
        """Grow the trees, or take those that were grown on the same nights before."""
        if self._grown is None:
            seed = torch.initial_seed() % 2**31  # the loop has set it from the recipe's
            grow_on_nights(trees, levels, learn, self.options, seed)
            self._grown = trees.state_dict()
        trees.load_state_dict(self._grown)

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Change amplifiers, take values away, and draw stretches of the nights to learn from."""
        options, (features,) = self.options, inputs
        members = 1 if options.network == "plain_gru" else options.members
        n_epochs, longest = epochs_of_nights(features), features.shape[1]
        length, copies = min(options.stretch, longest), members * options.stretches
        rows = draw_stretches(n_epochs, longest, length, copies, options.from_start, generator)
        features = another_amplifier(
            features,
            generator,
            gain_db=options.gain_db,
            tilt_db=options.tilt_db,
            slow_probability=options.slow_probability,
        )
        features = without(
            features,
            generator,
            epoch_probability=options.drop_probability,
            psd_probability=options.psd_probability,
        )
        chosen = targets.flatten(0, 1)[rows]
        for delay in range(1, 1 + options.lookahead):
            chosen[:, :delay, delay] = IGNORE  # before the stretch: never heard
        rows = rows.reshape(members, -1, length)
        return (features, rows), chosen.reshape(members, -1, *chosen.shape[1:])

    def loss(
        self, model: nn.Module, logits: Tensor, targets: Tensor, label_smoothing: float
    ) -> Tensor:
        """Return equation (2) of Phan 2023 of each member and delay, the first answer's first."""
        del model
        flat, of_each = logits.flatten(0, 1), targets.flatten(0, 1)
        weights = [1.0] + [self.options.revised_weight] * (targets.shape[-1] - 1)
        total = flat.new_zeros(())
        for delay, weight in enumerate(weights):
            total = total + weight * smooth_sequence_loss(
                flat[:, :, delay],
                of_each[:, :, delay],
                l2=0.0,
                gamma=self.options.gamma,
                label_smoothing=label_smoothing,
            )
        return total / sum(weights) * len(logits)  # members do not share a gradient

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return encoder (fixed) and step, tried on SIMULATED values: no person's are stored."""
        del split
        if not isinstance(model, SleepStream) or model.two_sided:
            raise TypeError("a sleep bundle is made from a SleepStream that looks at no future")
        features, state = simulated_steps(model)
        step = SleepStep(model, temperature)
        eeg = simulated_epochs(EPOCH_SAMPLES, RATE_HZ)
        return (
            Graph("encoder", WelchFeatures(RATE_HZ), {"eeg": eeg}, ("features",)),
            Graph("sequence", step, {"features": features, "state": state}, step.outputs),
        )

    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
        people = self._people or SUBJECTS
        return bundle_parts(self.options.lookahead, self.options.channel, people)

    def fit_directly(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console
    ) -> DirectFit:
        """Leave each person out for figures and temperature, then learn from everybody."""
        if self.options.network != "stream":
            raise TrainingError(
                "only the causal net is shipped",
                source=recipe.name,
                expected="experiment.network: stream",
                got=self.options.network,
                next_step="Compare others by trainer cross-validate",
            )
        everyone = self.everyone(data_dir)
        workers = self.options.study.workers
        (said,) = people_left_out(
            recipe, data_dir, everyone, out / "left_out", console, repeats=1, workers=workers
        )
        logits = torch.from_numpy(said)
        temperature = fit_temperature(logits, everyone.targets)
        probabilities = torch.softmax(logits / temperature, dim=-1).numpy()
        alone = on_its_own(recipe)
        run = RunDir(out / EVERYBODY)
        run.refuse_other_run(alone.to_yaml(), resume=True)
        run.create(alone.to_yaml(), provenance.collect(recipe.name), resume=True)
        learn = alone.experiment.prepare(everyone)  # type: ignore[attr-defined]
        fit(alone, learn, None, run, console)
        model = alone.experiment.build_model()
        run.load_weights(model, run.load_best().weights, "best.pt")
        return DirectFit(
            model=model,
            logits=logits,
            targets=everyone.targets,
            calibrated_on=f"{everyone.name}, each answered for by a net that had not seen them",
            figures={
                "task": self.task,
                "bundle": recipe.name,
                "data": f"Sleep-EDF band powers, {everyone.name}, each person left out, streamed",
                "groups": len(self._people),
                "trained_on_simulated_data": False,
                "subsets": {},
                LEARNT: list(self._people),
                **self.split_figures(everyone, probabilities, data_dir),
            },
        )

    def cross_validate(
        self, recipe: Recipe, data_dir: Path, out: Path, console: Console, workers: int = 1
    ) -> dict[str, Any]:
        """Compare ways of staging on people left out; sweep gamma where the recipe lists some."""
        from trainer.sleep_study.comparison import compare
        from trainer.sleep_study.gamma import sweep

        study = sweep if self.options.study.gammas else compare
        return study(recipe, data_dir, out, console, workers)

    def split_figures(
        self, split: Split, probabilities: npt.NDArray[np.float32], path: Path
    ) -> dict[str, Any]:
        """Return the figures of whole nights by delay, see ``sleep_figures``."""
        return sleep_figures(self._nights(split, probabilities), ceiling=ceiling_beside(path))

    def pictures(
        self,
        figures: dict[str, Any],
        split: Split,
        probabilities: npt.NDArray[np.float32],
        folder: Path,
    ) -> list[Path]:
        """Draw hypnograms, confusion and confidence."""
        nights = self._nights(split, probabilities)
        return write_pictures(folder, figures, nights, name=split.name)

    def remarks(self, shipped: dict[str, Any], split: Split) -> dict[str, Any]:
        """Say whether these are people it learnt from, and whether band powers were there."""
        said = learnt_remarks(shipped, split.groups.tolist())
        features = split.inputs[0]
        if bool(features[..., 0].isnan().all()):
            said["notes"].append(
                "The band powers are not known here: staged by variance and difference variance"
                " alone, and rows are no continuous night."
            )
        return said

    def measured(self, figures: dict[str, Any]) -> str | None:
        """Return the card's figures: of people left out, by delay, stage and night."""
        return measured(figures)

    def score(self, run: RunGraph, split: Split) -> npt.NDArray[np.float32]:
        """Stream every night through the exported step, epoch by epoch, from a zero state.

        Args:
            run: runs one graph of the bundle.
            split: padded nights.

        Returns:
            (n_nights, longest, 1 + D, 5): what is said of epoch t - k once t has come; zeros behind
            a night's end.
        """
        model = self.build_model()
        if not isinstance(model, SleepStream):
            raise TypeError("only a SleepStream is streamed")
        return stream_nights(run, split, model.state_size)

    def _nights(
        self, split: Split, probabilities: npt.NDArray[np.float32]
    ) -> dict[int, tuple[NightAnswers, ...]]:
        return nights_of_split(
            split.examples,
            split.groups.tolist(),
            split.targets.numpy(),
            only_of_known(split, probabilities),
            contiguous=self._contiguous,
        )


def _told(nights: Sized, people: Sized) -> str:
    return f"{counted(len(nights), 'night')} of {counted(len(people), 'person', 'people')}"
