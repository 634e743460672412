"""Sleep: raw EEG epochs to band powers to stages, learnt from the band powers of whole nights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from edge_app.contracts import UNIT_UV
from edge_app.errors import DatasetError
from edge_app.inference.manifest import (
    Data,
    EegConditioning,
    RollingSpec,
    StreamSpec,
    WindowSpec,
)
from trainer.calibrate import Calibrated
from trainer.datasets.sleepedf_bandpower import STAGES, SUBJECTS, load_nights
from trainer.experiment import BundleParts, Experiment, ExperimentOptions, Graph, RunGraph, Split
from trainer.experiments.sleep_golden import simulated_epochs, simulated_features
from trainer.experiments.sleep_windows import (
    LOOKAHEAD,
    combine_decisions,
    streamed_split,
    training_split,
)
from trainer.features.welch import FEATURES, WelchFeatures
from trainer.metrics import IGNORE
from trainer.models.sleep_gru import SleepGru

RATE_HZ = 100.0
EPOCH_SAMPLES = 3000
DULL_DB = dict.fromkeys(FEATURES, 0.0) | {
    "psd_beta": 3.0,
    "psd_gamma": 40.0,
    "diff_variance": 1.5,
}
"""Most that is taken from each value where little passes above 25 Hz, as in 50-Hz recordings."""

_log = logging.getLogger(__name__)


class SleepOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for sleep."""

    validation_subjects: tuple[str, ...] = Field(
        min_length=1, description="People who choose the best pass and are never learnt from."
    )
    hidden: int = Field(default=64, ge=4, le=512, description="Recurrent units a direction.")
    layers: int = Field(default=1, ge=1, le=4, description="Recurrent layers.")
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0, description="In front of the last layer.")
    gain_db: float = Field(
        default=2.0, ge=0.0, le=20.0, description="Spread (sd) of the amplifier's gain per window."
    )
    tilt_db: float = Field(
        default=0.5, ge=0.0, le=10.0, description="Spread (sd) of each value's own gain per window."
    )
    dull_probability: float = Field(
        default=0.2,
        ge=0.0,
        le=1.0,
        description="Share of windows with little gamma, as of a slow amplifier.",
    )
    pad_probability: float = Field(
        default=0.2, ge=0.0, le=1.0, description="Share of windows that start as a night does."
    )
    drop_probability: float = Field(
        default=0.05, ge=0.0, lt=1.0, description="Share of epochs masked as if spoilt by a gap."
    )


class SleepExperiment(Experiment):
    """Sequence-to-sequence staging of windows of 20 epochs, scored as the bedside runs it.

    Args:
        options: the recipe's ``experiment`` section.
    """

    task: ClassVar[str] = "sleep"
    Options: ClassVar[type[ExperimentOptions]] = SleepOptions
    options: SleepOptions

    def __init__(self, options: SleepOptions) -> None:
        super().__init__(options)
        self._constants_from: Tensor | None = None

    def load(self, data_dir: Path) -> tuple[Split, Split]:
        """Return every window of the training people, and the validation people's nights.

        Args:
            data_dir: folder with ``sleep/sleepedf_bandpower.npz``.

        Returns:
            Training and validation split.

        Raises:
            DatasetError: data missing, damaged or of other people, or a validation subject that
                is not there.
        """
        nights = load_nights(data_dir)
        held = set(self.options.validation_subjects)
        known = {night.subject for night in nights}
        if known != set(SUBJECTS):  # evaluation takes all others as people never learnt from
            raise DatasetError(
                "the people there are not those that the model is documented to learn from",
                source=str(data_dir),
                expected=sorted(SUBJECTS),
                got=sorted(known),
                next_step="Train on the unaltered archive; score other nights by `evaluate`",
            )
        if not held < known:
            raise DatasetError(
                "validation_subjects must be some, not all, of the people there",
                source="sleep recipe",
                expected=f"some of {sorted(known)}",
                got=sorted(held),
                next_step="Correct experiment.validation_subjects",
            )
        learnt = [night for night in nights if night.subject not in held]
        train = training_split(learnt, "training nights")
        self._constants_from = torch.from_numpy(np.concatenate([n.features for n in learnt]))
        kept = [night for night in nights if night.subject in held]
        return train, streamed_split(kept, f"nights of subjects {', '.join(sorted(held))}")

    def load_evaluation(self, path: Path) -> Split:
        """Return the nights at ``path``, those of the training people left out.

        Args:
            path: an archive of nights, or the data folder.

        Returns:
            What ``trainer evaluate`` scores.

        Raises:
            DatasetError: data missing or damaged, or nobody left.
        """
        learnt = set(SUBJECTS) - set(self.options.validation_subjects)
        nights = load_nights(path)
        kept = [night for night in nights if night.subject not in learnt]
        if len(kept) < len(nights):
            _log.warning(
                "left out %d night(s) of people the model learned from", len(nights) - len(kept)
            )
        if not kept:
            raise DatasetError(
                "every person there was learnt from",
                source=str(path),
                next_step="Give nights of other people",
            )
        people = ", ".join(sorted({night.subject for night in kept}))
        return streamed_split(kept, f"nights of subjects {people}, streamed")

    def build_model(self) -> nn.Module:
        """Return a fresh stager, standardised by the training nights once they are loaded."""
        model = SleepGru(
            len(FEATURES),
            len(STAGES),
            hidden=self.options.hidden,
            layers=self.options.layers,
            dropout=self.options.dropout,
        )
        if self._constants_from is not None:
            model.standardise_by(self._constants_from)
        return model

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Change the gain, begin some windows late, mask some epochs and drop their targets."""
        features, mask = inputs
        n, length = mask.shape
        options, device = self.options, features.device

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, device=device)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        gain_db = options.gain_db * normal(n, 1, 1)
        gain_db = gain_db + options.tilt_db * normal(n, 1, features.shape[2])
        dull = (uniform(n, 1, 1) < options.dull_probability) * uniform(n, 1, 1)
        loss_db = features.new_tensor([DULL_DB[name] for name in FEATURES])
        features = features * torch.pow(10.0, (gain_db - dull * loss_db) / 10.0)
        late = (uniform(n, 1) < options.pad_probability) * uniform(n, 1) * (length - 1)
        heard = torch.arange(length, device=device) >= late.ceil()
        kept = uniform(n, length) >= options.drop_probability
        mask = mask * heard * kept
        features = features * mask.unsqueeze(2)
        return (features, mask), torch.where(mask > 0, targets, IGNORE)

    def graphs(self, model: nn.Module, temperature: float, split: Split) -> tuple[Graph, ...]:
        """Return the encoder (fixed) and the sequence graph.

        The golden examples are simulated: no person's signal goes into a bundle.
        """
        del split
        if not isinstance(model, SleepGru):
            raise TypeError("a sleep bundle is made from a SleepGru")
        features, mask = simulated_features(model)
        return (
            Graph(
                "encoder",
                WelchFeatures(RATE_HZ),
                {"eeg": simulated_epochs(EPOCH_SAMPLES, RATE_HZ)},
                ("features",),
            ),
            Graph(
                "sequence",
                Calibrated(model, temperature),
                {"features": features, "mask": mask},
                ("logits", "probabilities"),
            ),
        )

    def score(self, run: RunGraph, split: Split) -> npt.NDArray[np.float32]:
        """Return the streamed probabilities: what the bedside has said about an epoch so far.

        Row ``t`` is the moment when epoch ``t`` of a night has come; its last positions hold the
        geometric mean of the decisions that those epochs have received, one a moment.

        Args:
            run: runs one graph of the bundle.
            split: consecutive windows as ``streamed_split`` makes them.

        Returns:
            ``(n, LENGTH, n_stages)``.
        """
        features, mask = (tensor.numpy() for tensor in split.inputs)
        decisions = np.concatenate(
            [
                run("sequence", {"features": features[i : i + 1], "mask": mask[i : i + 1]})[
                    "probabilities"
                ]
                for i in range(len(mask))
            ]
        )
        return combine_decisions(decisions, starts=mask[:, :-1].sum(axis=1) == 0)

    def parts(self) -> BundleParts:
        """Return what goes into the manifest."""
        held = len(self.options.validation_subjects)
        return BundleParts(
            labels=STAGES,
            stream=StreamSpec(
                kind="eeg",
                rate_hz=RATE_HZ,
                channels=("Fpz-Cz",),
                units=(UNIT_UV,),
                placement="scalp, frontal to central midline (Fpz-Cz)",
            ),
            window=WindowSpec(length_samples=EPOCH_SAMPLES, hop_samples=EPOCH_SAMPLES),
            conditioning=EegConditioning(
                kind="eeg_epoch",
                max_missing_fraction=0.2,
                flat_below_uv=0.5,
                clipped_above_fraction=0.05,
                max_abs_uv=1000.0,
            ),
            rolling=RollingSpec(
                time_constant_s=None,
                enter_probability=0.35,
                leave_probability=0.35,
                min_dwell_s=0.0,
                lookahead_windows=LOOKAHEAD,
                min_evidence_s=0.0,
            ),
            data=(
                Data(
                    name="Sleep-EDF Expanded, sleep cassette: band powers of Fpz-Cz",
                    source="github.com/matteo-omizzolo/sleep-EDF @a30daa3f; doi 10.13026/C2X676",
                    licence="MIT (features); PhysioNet open data (recordings)",
                    people=len(SUBJECTS) - held,
                    simulated=False,
                ),
            ),
            intended_use=(
                "Estimated sleep stages of one person from one frontal EEG channel, for trend and"
                " research. Not a medical device and not an approved scorer."
            ),
            limits=(
                f"Learnt from {len(SUBJECTS) - held} healthy adults aged 25-34, asleep at home; the"
                f" best pass and the temperature were chosen on the {held} validation people, so"
                " figures on them are somewhat flattering. People differ much: the recipe"
                " trainer/recipes/sleep_gru.yaml states how much."
                " Nothing is known about old, ill, sedated or intensive-care sleepers, dry"
                " electrodes or other derivations."
            ),
        )
