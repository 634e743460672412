"""Bidirectional LSTM with recurrent batch normalisation, one step at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FIRST_GAIN = 0.1
MOMENTUM = 0.05
EPS = 1e-5
DIRECTIONS = 2


class BatchNormBiLstm(nn.Module):
    """Run an LSTM over the steps in both directions, its terms normalised over the batch.

    Input ``(batch, steps, n_in)``, output ``(batch, steps, 2 * hidden)``, forward half first. Per
    direction and step, with BN(x) = (x - mean) / std over the batch:

        f, i, o, g = gain_x BN(W_x x) + gain_h BN(W_h h) + offset
        c          = sigmoid(f) c + sigmoid(i) tanh(g)
        h          = sigmoid(o) tanh(gain_c BN(c) + offset_c)

    Gains and offsets are shared by the steps; means and variances are kept for each step apart, as
    the first steps differ from later ones. Trained by the batch's own, run by the kept ones. There
    is one bias vector, the offset (1 for the forget gates, else 0); gains start at 0.1, weights
    are orthogonal. Both directions have weights of their own and run side by side.

    Exported, the steps are unrolled and each step's constants are folded. A single LSTM node could
    not hold it: its weights would have to change from step to step, and it has no place for the
    normalisation between the cell and the last tanh.

    Source: Cooijmans et al. 2017, arXiv 1603.09025.

    Args:
        n_in: values a step.
        hidden: units a direction.
        steps: length of every sequence.
        dropout: share of inputs, and of outputs, dropped in training; never of what recurs.
    """

    def __init__(self, n_in: int, hidden: int, *, steps: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.steps = hidden, steps
        gates, units = DIRECTIONS * 4 * hidden, DIRECTIONS * hidden
        self.weight_x = _orthogonal(n_in, 4 * hidden)
        self.weight_h = _orthogonal(hidden, 4 * hidden)
        self.gain_x = nn.Parameter(torch.full((gates,), FIRST_GAIN))
        self.gain_h = nn.Parameter(torch.full((gates,), FIRST_GAIN))
        offset = torch.zeros(DIRECTIONS, 4 * hidden)
        offset[:, :hidden] = 1.0
        self.offset = nn.Parameter(offset.flatten())
        self.gain_c = nn.Parameter(torch.full((units,), FIRST_GAIN))
        self.offset_c = nn.Parameter(torch.zeros(units))
        for name, size in (("x", gates), ("h", gates), ("c", units)):
            self.register_buffer(f"mean_{name}", torch.zeros(steps, size))
            self.register_buffer(f"var_{name}", torch.ones(steps, size))
        self.drop = nn.Dropout(dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return both directions' outputs at every step."""
        n, steps, _ = sequence.shape
        both = torch.stack((sequence, sequence.flip(1)))  # (2, n, steps, n_in)
        mixed = self.drop(both).flatten(1, 2) @ self.weight_x
        by_step = mixed.view(DIRECTIONS, n, steps, -1).permute(1, 2, 0, 3).flatten(2)
        from_input = self._normalised_inputs(by_step)
        state = sequence.new_zeros(DIRECTIONS, n, self.hidden)
        cell = sequence.new_zeros(n, DIRECTIONS, self.hidden)
        outputs, kept = [], _Kept()
        for step in range(steps):
            recurrent = (state @ self.weight_h).transpose(0, 1).flatten(1)
            recurrent = self._normalised(recurrent, "h", step, self.gain_h, self.offset, kept)
            gates = (from_input[:, step] + recurrent).view(n, DIRECTIONS, 4 * self.hidden)
            forget, enter, leave = gates[..., : 3 * self.hidden].sigmoid().chunk(3, dim=2)
            cell = forget * cell + enter * gates[..., 3 * self.hidden :].tanh()
            shown = self._normalised(cell.flatten(1), "c", step, self.gain_c, self.offset_c, kept)
            hidden = leave * shown.view(n, DIRECTIONS, self.hidden).tanh()
            outputs.append(hidden)
            state = hidden.transpose(0, 1)
        self._keep(kept)
        forward, backward = torch.stack(outputs, dim=1).unbind(2)  # (n, steps, hidden) each
        shown_to_next: Tensor = self.drop(torch.cat((forward, backward.flip(1)), dim=2))
        return shown_to_next

    def _normalised_inputs(self, by_step: Tensor) -> Tensor:
        """Normalise ``(n, steps, gates)``, each step over the batch."""
        mean, var = self.get_buffer("mean_x"), self.get_buffer("var_x")
        if not self.training:
            return _affine(by_step, mean, var, self.gain_x)
        gains = self.gain_x.repeat(self.steps)
        normalised: Tensor = functional.batch_norm(
            by_step.flatten(1), mean.view(-1), var.view(-1), gains, None, True, MOMENTUM, EPS
        )
        return normalised.view_as(by_step)

    def _normalised(
        self, values: Tensor, name: str, step: int, gain: Tensor, offset: Tensor, kept: _Kept
    ) -> Tensor:
        """Normalise ``(n, size)`` of one step."""
        mean, var = self.get_buffer(f"mean_{name}")[step], self.get_buffer(f"var_{name}")[step]
        if not self.training:
            return _affine(values, mean, var, gain) + offset
        mean, var = mean.clone(), var.clone()  # changed in place by what follows
        kept.setdefault(f"mean_{name}", []).append(mean)
        kept.setdefault(f"var_{name}", []).append(var)
        normalised: Tensor = functional.batch_norm(
            values, mean, var, gain, offset, True, MOMENTUM, EPS
        )
        return normalised

    @torch.no_grad()
    def _keep(self, kept: _Kept) -> None:
        for name, values in kept.items():
            self.get_buffer(name).copy_(torch.stack(values))


class _Kept(dict[str, list[Tensor]]):
    """New statistics of each step, by the buffer they belong into."""


def _affine(values: Tensor, mean: Tensor, var: Tensor, gain: Tensor) -> Tensor:
    return (values - mean) * (gain / torch.sqrt(var + EPS))


def _orthogonal(n_in: int, n_out: int) -> nn.Parameter:
    weights = torch.empty(DIRECTIONS, n_in, n_out)
    for direction in weights:
        nn.init.orthogonal_(direction)
    return nn.Parameter(weights)
