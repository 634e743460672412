"""The recipe's ``experiment`` section for SeqSleepNet."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from trainer.datasets.sleep_edf import CHANNEL
from trainer.experiment import ExperimentOptions
from trainer.models.seq_sleep_net import Normalisation

SLEEP_EDF_20 = tuple(f"{subject:02}" for subject in range(20))


class LosoOptions(BaseModel):
    """How a leave-one-person-out cross-validation divides; a section of an experiment's options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choose: int = Field(
        default=4, ge=0, le=100, description="Random people of a fold that choose the best pass."
    )
    repeats: int = Field(
        default=5, ge=1, le=100, description="How often all is done, each by another draw and seed."
    )
    seed: int = Field(default=1, ge=0, description="Start of the draws of people.")
    gammas: tuple[float, ...] = Field(
        default=(), description="Do all of it for each of these gammas; none: for the recipe's."
    )


class SeqSleepNetOptions(ExperimentOptions):
    """The recipe's ``experiment`` section for SeqSleepNet."""

    channel: str = Field(default=CHANNEL, description="EEG channel, as the files name it.")
    subjects: tuple[str, ...] | None = Field(
        default=SLEEP_EDF_20,
        description="People who are used, others at --data are not; null: everybody there.",
    )
    validation_subjects: tuple[str, ...] = Field(
        default=("03", "07", "11", "16"),
        min_length=1,
        description="People who choose the best pass in `trainer fit`, never learnt from.",
    )
    length: int = Field(default=20, ge=2, le=100, description="Epochs a sequence (L).")
    normalisation: Normalisation = Field(
        default="recurrent_batch",
        description="recurrent_batch as in the paper; layer: another model, with torch's LSTM.",
    )
    dropout: float = Field(
        default=0.25, ge=0.0, lt=1.0, description="Of the inputs and the outputs of both LSTMs."
    )
    l2: float = Field(
        default=1e-3, ge=0.0, le=1.0, description="Lambda: pull on all weights, in the loss."
    )
    gamma: float = Field(
        default=1e-4, ge=0.0, le=100.0, description="Weight of the temporal smoothness term."
    )
    pad_probability: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of sequences that begin late, as a night does at the bedside.",
    )
    drop_probability: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of epochs masked as if spoilt."
    )
    cross_validation: LosoOptions = Field(
        default=LosoOptions(), description="How `trainer cross-validate` divides the people."
    )

    @field_validator("subjects", "validation_subjects", mode="before")
    @classmethod
    def _are_quoted(cls, given: Any) -> Any:
        """YAML reads 02 as a number and takes its zero away: say how people are written."""
        people = given if isinstance(given, (list, tuple)) else [given]
        listed = people is given or given is None
        if not listed or not all(person is None or isinstance(person, str) for person in people):
            raise ValueError(
                "a list of quoted numbers is needed; on the command line"
                " --set 'experiment.validation_subjects=[\"02\"]'"
            )
        return given
