"""Several small recurrent nets of one shape, run at once: weights have a leading member axis."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from trainer.features.causal_levels import N_LEVELS, shifted


class Members(nn.Module):
    """Nets that read the levels of a few epochs, lift them, run GRU layers and answer.

    Input (members, n, length, N_LEVELS); output (members, n, length, out). Each reads a random
    share of the levels, drawn once.

    Args:
        members: nets side by side.
        reach: epochs that the first layer sees, the newest with them.
        layers: recurrent layers.
        lift: units of the first layer.
        hidden: recurrent units.
        out: values answered.
        view_share: share of the levels that a member reads.
        dropout: share of units dropped behind each layer in training, the same over a stretch.
        two_sided: let half of the recurrent units run backwards from the recording's end.

    Source: GRU of Cho 2014, arXiv 1406.1078, with one bias a product as in cuDNN; dropout masks
    held over time as Gal 2016, arXiv 1512.05287; a share of the inputs each, Ho 1998, doi
    10.1109/34.709601.
    """

    def __init__(
        self,
        members: int,
        *,
        reach: int,
        layers: int,
        lift: int,
        hidden: int,
        out: int,
        view_share: float,
        dropout: float,
        two_sided: bool,
    ) -> None:
        super().__init__()
        self.members, self.reach, self.dropout = members, reach, dropout
        self.directions = 2 if two_sided else 1
        units = hidden // self.directions
        view = torch.rand(members, N_LEVELS) < view_share
        view[:, -2:] = True  # what is known
        self.register_buffer("view", view.repeat(1, reach).unsqueeze(2).float())
        self.lift = SideBySide(members, reach * N_LEVELS, lift)
        widths = [lift] + [units * self.directions] * (layers - 1)
        self.cells = nn.ModuleList(
            GruCells(members, width, units) for width in widths for _ in range(self.directions)
        )
        self.head = SideBySide(members, units * self.directions + lift, out)

    @property
    def state_size(self) -> int:
        """Recurrent units of all members."""
        return sum(self.members * cell.hidden for cell in self._cells())

    def forward(self, levels: Tensor) -> Tensor:
        """Return what is answered at each epoch of whole stretches."""
        seen = torch.cat([shifted(levels, age) for age in range(self.reach)], dim=-1)
        lifted = self._held(torch.relu(self.lift(seen, self.get_buffer("view"))))
        known = _known_to_the_end(levels) if self.directions == 2 else None
        carried, cells = lifted, self._cells()
        for i in range(0, len(cells), self.directions):
            outputs = [cells[i].unroll(carried)]
            if known is not None:
                backwards = cells[i + 1].unroll(carried.flip(2), known.flip(2))
                outputs.append(backwards.flip(2))
            carried = self._held(torch.cat(outputs, dim=-1))
        return cast(Tensor, self.head(torch.cat((carried, lifted), dim=-1)))

    def step(self, seen: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for the next epoch of one recording.

        Args:
            seen: (1, reach * N_LEVELS or more), the newest epoch's levels first.
            state: (1, state_size).

        Returns:
            (members, 1, out), and the next state.
        """
        seen = seen[:, : self.reach * N_LEVELS]
        everywhere = seen.expand(self.members, 1, seen.shape[1])
        lifted = output = torch.relu(self.lift(everywhere, self.get_buffer("view")))
        cells = self._cells()
        after = []
        for cell, before in zip(cells, state.chunk(len(cells), dim=1), strict=True):
            output = cell(cell.lift(output), before.reshape(self.members, 1, cell.hidden))
            after.append(output.reshape(1, -1))
        return self.head(torch.cat((output, lifted), dim=-1)), torch.cat(after, dim=1)

    def _cells(self) -> list[GruCells]:
        return [cell for cell in self.cells if isinstance(cell, GruCells)]

    def _held(self, values: Tensor) -> Tensor:
        return drop_held(values, self.dropout) if self.training else values


class SideBySide(nn.Module):
    """One linear layer for each member.

    Args:
        members: how many.
        width: inputs of each.
        out: outputs of each.
    """

    def __init__(self, members: int, width: int, out: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(members, width, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, out).uniform_(-bound, bound))

    def forward(self, values: Tensor, view: Tensor | None = None) -> Tensor:
        """Return (members, ..., out) of (members, ..., width).

        Args:
            values: what each member is given.
            view: (members, width, 1), 0 for what a member does not read; None: it reads all.

        Returns:
            What each member makes of it.
        """
        weight = self.weight if view is None else self.weight * view
        if values.ndim == 3:
            return torch.baddbmm(self.bias, values, weight)
        n, length = values.shape[1:3]
        flat = torch.baddbmm(self.bias, values.flatten(1, 2), weight)
        return flat.reshape(len(flat), n, length, flat.shape[-1])


class GruCells(nn.Module):
    """One gated recurrent unit for each member.

    Args:
        members: how many.
        width: inputs of each.
        hidden: units of each.
    """

    def __init__(self, members: int, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.lift = SideBySide(members, width, 3 * hidden)
        self.carry = SideBySide(members, hidden, 3 * hidden)

    def forward(self, lifted: Tensor, before: Tensor) -> Tensor:
        """Return the next state.

        Args:
            lifted: (members, n, 3 * hidden), the inputs' share.
            before: (members, n, hidden).

        Returns:
            (members, n, hidden).
        """
        reset_in, update_in, new_in = lifted.chunk(3, dim=-1)
        reset_by, update_by, new_by = self.carry(before).chunk(3, dim=-1)
        update = torch.sigmoid(update_in + update_by)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_by) * new_by)
        return new + update * (before - new)

    def unroll(self, values: Tensor, known: Tensor | None = None) -> Tensor:
        """Return the states of whole stretches, from zero.

        Args:
            values: (members, n, length, width).
            known: (members, n, length), 0 where the state is held at zero; None: nowhere.

        Returns:
            (members, n, length, hidden).
        """
        lifted = self.lift(values)
        state = values.new_zeros(*values.shape[:2], self.hidden)
        states = []
        for t, now in enumerate(lifted.unbind(dim=2)):
            state = self(now, state)
            if known is not None:
                state = state * known[:, :, t, None]
            states.append(state)
        return torch.stack(states, dim=2)


def drop_held(values: Tensor, share: float) -> Tensor:
    """Drop units of whole stretches.

    Args:
        values: (members, n, length, width).
        share: of the units of a stretch that are set to zero; the others grow.

    Returns:
        The same shape.
    """
    if share == 0.0:
        return values
    kept = torch.rand_like(values[:, :, :1]) >= share
    return values * kept / (1.0 - share)


def _known_to_the_end(levels: Tensor) -> Tensor:
    """Return (members, n, length): 1 up to the last known epoch, 0 in what pads a night."""
    known = levels[..., -2:].amax(dim=-1).ne(0).to(levels.dtype)
    return known.flip(2).cummax(dim=2).values.flip(2)
