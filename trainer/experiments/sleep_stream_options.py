"""The recipe's ``experiment`` section of the streamed sleep stager."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trainer.experiment import ExperimentOptions

Network = Literal["stream", "two_sided", "plain_gru"]


class StudyOptions(BaseModel):
    """What ``trainer cross-validate`` compares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repeats: int = Field(default=3, ge=1, le=100, description="Seeds of everything compared.")
    compare: bool = Field(
        default=True, description="Also measure trees, a plain GRU and a net that looks ahead."
    )
    gammas: tuple[float, ...] = Field(
        default=(), description="Instead, leave everybody out for each of these gammas."
    )
    workers: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Folds at a time in trainer fit, a process each; cross-validate has --workers.",
    )


class KindOptions(BaseModel):
    """Nets of one shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: int = Field(ge=1, le=16, description="How many.")
    reach: int = Field(ge=1, le=20, description="Epochs that the first layer sees.")
    layers: int = Field(ge=1, le=4, description="Recurrent layers.")


class TreeOptions(BaseModel):
    """Boosted trees that vote beside the nets; see ``StageTrees``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: int = Field(default=0, ge=0, le=2000, description="Of boosting; 0: no trees.")
    leaves: int = Field(default=15, ge=2, le=255, description="Most of a tree.")
    max_depth: int = Field(default=7, ge=1, le=20, description="Most comparisons.")
    learning_rate: float = Field(default=0.07, gt=0.0, le=1.0, description="Of each round.")
    min_leaf: int = Field(default=40, ge=1, le=10_000, description="Fewest epochs a leaf.")
    l2: float = Field(default=5.0, ge=0.0, le=1e4, description="Pull of leaves towards zero.")
    feature_share: float = Field(default=0.3, gt=0.0, le=1.0, description="Seen at each split.")
    copies: int = Field(
        default=2, ge=1, le=20, description="Of each night, each through another amplifier."
    )
    psd_probability: float = Field(
        default=0.15, ge=0.0, le=1.0, description="Share of copies without band powers."
    )
    weight: float = Field(default=0.4, ge=0.0, le=10.0, description="Beside the nets' mean, 1.")


class SleepStreamOptions(ExperimentOptions):
    """The recipe's ``experiment`` section."""

    network: Network = Field(
        default="stream", description="two_sided and plain_gru are for comparison only."
    )
    channel: Literal["Fpz-Cz", "Pz-Oz"] = Field(
        default="Fpz-Cz", description="Channel of the archive that is learnt from."
    )
    kinds: tuple[KindOptions, ...] = Field(
        default=(
            KindOptions(members=3, reach=4, layers=1),
            KindOptions(members=3, reach=2, layers=2),
        ),
        min_length=1,
        description="Nets side by side in one graph, by their shape.",
    )
    trees: TreeOptions = Field(default=TreeOptions(), description="That vote beside the nets.")
    lift: int = Field(default=64, ge=4, le=512, description="Units of a net's first layer.")
    hidden: int = Field(default=40, ge=4, le=512, description="Recurrent units of a net's layer.")
    lookahead: int = Field(default=2, ge=0, le=10, description="Epochs until an answer is final.")
    stretch: int = Field(default=80, ge=2, le=2000, description="Epochs a training example.")
    stretches: int = Field(default=5, ge=1, le=100, description="Of each night of a batch.")
    from_start: float = Field(
        default=0.15, ge=0.0, le=1.0, description="Share of stretches that begin with the night."
    )
    view_share: float = Field(
        default=0.85, gt=0.0, le=1.0, description="Share of the levels that a member reads."
    )
    input_dropout: float = Field(default=0.1, ge=0.0, lt=1.0, description="Of the levels.")
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0, description="Of units, a whole stretch.")
    revised_weight: float = Field(
        default=0.5, ge=0.0, le=10.0, description="Of each later answer's loss; the first has 1."
    )
    gamma: float = Field(
        default=0.0, ge=0.0, le=100.0, description="Weight of the temporal smoothness term."
    )
    prior_shift: float = Field(
        default=0.3, ge=0.0, le=1.0, description="How much more readily rare stages are named."
    )
    gain_db: float = Field(default=1.0, ge=0.0, le=20.0, description="Spread of a night's gain.")
    tilt_db: float = Field(
        default=0.3, ge=0.0, le=10.0, description="Spread of each value's own gain."
    )
    slow_probability: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Share of nights with little gamma."
    )
    drop_probability: float = Field(
        default=0.05, ge=0.0, lt=1.0, description="Share of epochs that are taken away."
    )
    psd_probability: float = Field(
        default=0.1, ge=0.0, le=1.0, description="Share of nights without band powers."
    )
    study: StudyOptions = Field(
        default=StudyOptions(), description="What trainer cross-validate compares."
    )

    @property
    def members(self) -> int:
        """Nets in all."""
        return sum(kind.members for kind in self.kinds)
