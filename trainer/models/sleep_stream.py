"""A causal stager that carries its memory from epoch to epoch, and revises what it has said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.features.causal_levels import N_LEVELS, STATE_SIZE, CausalLevels, shifted
from trainer.models.side_by_side import Members, drop_held
from trainer.models.sleep_trees import SleepTrees


@dataclass(frozen=True, slots=True)
class Kind:
    """Members of one shape.

    Args:
        members: nets side by side.
        reach: epochs that the first layer sees, the newest with them.
        layers: recurrent layers.
    """

    members: int
    reach: int
    layers: int


class SleepStream(nn.Module):
    """Small recurrent nets side by side: each epoch's stage, and again those of the epochs before.

    Each member names, at epoch t, the stages of t, t-1 ... t-``delays``, see ``Members``. What is
    shipped is the mean of their log-probabilities, and a share of those of boosted trees, which
    know of each epoch what they knew when it was the newest: an ensemble inside one graph.

    Input ``features`` (batch, length, 7): raw powers as ``welch.FEATURES``, NaN where not known,
    whole recordings from their start. Output (batch, length, 1 + delays, n_labels) logits; in
    training those of each member, so that each has a loss of its own: (members, batch, length,
    1 + delays, n_labels). ``rows`` (members, n, crop), indices into batch * length, has each member
    run on stretches of its own only, from zero, while means and ends are those of the whole
    recording; the output is then (members, n, crop, 1 + delays, n_labels).

    Args:
        n_labels: stages.
        kinds: of members; those of different shape err differently.
        lift: units of each member's first layer.
        hidden: recurrent units of each member and layer.
        delays: earlier epochs that are answered for again at each epoch.
        view_share: share of the levels that a member reads.
        input_dropout: share of the levels dropped in training, the same over a stretch.
        dropout: share of units dropped behind each layer, the same over a stretch.
        two_sided: let half of the recurrent units run backwards from the recording's end. Cannot
            be streamed: for comparison.
        trees: that vote too, outside training; None: none.
        trees_weight: weight of their log-probabilities; the nets' mean has 1.

    Source: mean of several nets, Lakshminarayanan 2017, arXiv 1612.01474.
    """

    def __init__(
        self,
        n_labels: int,
        *,
        kinds: Sequence[Kind],
        lift: int,
        hidden: int,
        delays: int,
        view_share: float = 1.0,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        two_sided: bool = False,
        trees: SleepTrees | None = None,
        trees_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.trees, self.trees_weight = trees, trees_weight
        self.delays, self.n_labels, self.two_sided = delays, n_labels, two_sided
        self.input_dropout = input_dropout
        self.levels = CausalLevels()
        self.register_buffer("offset", torch.zeros(n_labels))
        self.groups = nn.ModuleList(
            Members(
                kind.members,
                reach=kind.reach,
                layers=kind.layers,
                lift=lift,
                hidden=hidden,
                out=(1 + delays) * n_labels,
                view_share=view_share,
                dropout=dropout,
                two_sided=two_sided,
            )
            for kind in kinds
        )
        self.past_size = (max(kind.reach for kind in kinds) - 1) * N_LEVELS

    @property
    def members(self) -> int:
        """Nets in all."""
        return sum(group.members for group in self._groups())

    @property
    def state_size(self) -> int:
        """Numbers that are carried from epoch to epoch."""
        nets = sum(group.state_size for group in self._groups())
        return STATE_SIZE + self.past_size + nets + sum(self._tree_sizes())

    def prepare_for(self, features: Tensor, stages: Tensor, prior_shift: float) -> None:
        """Take the constants from the training nights.

        Args:
            features: (n, 7) raw powers.
            stages: (n,) their stages, none masked.
            prior_shift: share of the log of each stage's frequency that is taken from the logits:
                rare stages are named more readily.
        """
        self.levels.standardise_by(features)
        counts = torch.bincount(stages, minlength=self.n_labels).clamp(min=1)
        self.get_buffer("offset").copy_(prior_shift * torch.log(counts / counts.sum()))

    def forward(self, features: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return logits of whole recordings, or of stretches of them."""
        levels: Tensor = self.levels(features)
        groups = self._groups()
        votes = None if self.trees is None or self.training else self.trees(levels)
        if rows is None:
            levels = levels.expand(self.members, *levels.shape)
        else:
            levels = levels.flatten(0, 1)[rows]
        if self.training:
            levels = drop_held(levels, self.input_dropout)
        parts = torch.split_with_sizes(levels, [group.members for group in groups])
        said = torch.cat([group(part) for group, part in zip(groups, parts, strict=True)])
        said = said.reshape(*said.shape[:3], 1 + self.delays, self.n_labels)
        if self.training:
            return said
        if votes is not None:
            votes = torch.stack([shifted(votes, age) for age in range(1 + self.delays)], dim=2)
        return self._agreed(said, votes)

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for the next epoch of one recording.

        Args:
            features: (1, 7) raw powers, NaN where not known.
            state: (1, state_size), zeros at the start of a recording.

        Returns:
            Logits (1, 1 + delays, n_labels), and the next state.
        """
        groups = self._groups()
        nets = [group.state_size for group in groups]
        sizes = [STATE_SIZE, self.past_size, *self._tree_sizes(), *nets]
        heard, past, seen_by_trees, voted, *carried = torch.split_with_sizes(state, sizes, dim=1)
        levels, heard = self.levels.step(features, heard)
        seen = torch.cat((levels, past), dim=1)
        votes = None
        if self.trees is not None:
            newest, seen_by_trees = self.trees.step(levels, seen_by_trees)
            all_votes = torch.cat((newest, voted), dim=1)
            voted = all_votes[:, : voted.shape[1]]
            votes = all_votes.reshape(1, 1 + self.delays, self.n_labels)
        said, after = [], [heard, seen[:, : self.past_size], seen_by_trees, voted]
        for group, before in zip(groups, carried, strict=True):
            answers, left = group.step(seen, before)
            said.append(answers)
            after.append(left)
        each = torch.cat(said).reshape(self.members, 1, 1 + self.delays, self.n_labels)
        return self._agreed(each, votes), torch.cat(after, dim=1)

    def _groups(self) -> list[Members]:
        return [group for group in self.groups if isinstance(group, Members)]

    def _tree_sizes(self) -> tuple[int, int]:
        """Return how much of the state is what the trees see, and what they have voted."""
        if self.trees is None:
            return 0, 0
        return self.trees.state_size, self.delays * self.n_labels

    def _agreed(self, said: Tensor, votes: Tensor | None) -> Tensor:
        nets = torch.log_softmax(said, dim=-1).mean(dim=0) - self.get_buffer("offset")
        return nets if votes is None else nets + self.trees_weight * votes


class SleepStep(nn.Module):
    """One step of a ``SleepStream`` as the exported graph has it, calibrated.

    Inputs ``features`` (1, 7) and ``state`` (1, state_size); outputs ``logits`` and
    ``probabilities`` (1, n_labels) of the newest epoch, ``revised`` (1, delays, n_labels)
    probabilities of the epochs before it, the latest first, and ``next_state``. Without delays
    there is no ``revised``.

    Args:
        model: what is shipped.
        temperature: divides the logits before the softmax.

    Raises:
        ValueError: the model runs backwards.
    """

    def __init__(self, model: SleepStream, temperature: float) -> None:
        super().__init__()
        if model.two_sided:
            raise ValueError("a stager that runs backwards cannot be streamed")
        self.model = model
        self.temperature = temperature

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        revised = ("revised",) if self.model.delays else ()
        return ("logits", "probabilities", *revised, "next_state")

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of ``outputs``."""
        logits, after = self.model.step(features, state)
        probabilities = torch.softmax(logits / self.temperature, dim=-1)
        revised = (probabilities[:, 1:],) if self.model.delays else ()
        return logits[:, 0], probabilities[:, 0], *revised, after
