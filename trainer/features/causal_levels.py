"""Raw band powers to what a causal stager reads: levels against everybody and this night."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.features.welch import FEATURES

FLOOR = 1e-4
"""Added to every power (uV^2/Hz, uV^2) so that a logarithm of zero stays finite."""
MAX_POWER = 1e12
"""Powers above, infinite ones too, count as this."""
MAX_LEVEL = 5.0
"""Levels are held within plus and minus this: an artefact does not drown what else is there."""
PRIOR_EPOCHS = 20.0
"""How many epochs of the training nights a recording starts with in its mean and variance."""
MIN_VARIANCE = 0.01
PSD, MOMENTS = 0, 5
"""First of the band powers, first of the two moments: each group is known whole or not at all."""
RECENT = 3
"""Epochs whose mean counts for the highest and the lowest level of the recording."""
N_LEVELS = 6 * len(FEATURES) + 1
OTHERS = tuple(i for i in range(len(FEATURES)) if i != MOMENTS)
_HEARD, _PAST, _ENDS = 3 * len(FEATURES), 2 * (RECENT - 1) * len(FEATURES), 2 * len(FEATURES)
STATE_SIZE = _HEARD + _PAST + _ENDS


class CausalLevels(nn.Module):
    """Standardise epochs by the training nights, and by what the recording has shown so far.

    Of each value, in this order: its logarithm, standardised by constants of the training nights
    (``level``); the same against mean and spread of the recording's epochs up to and with this one,
    which start from the training nights' (``own``); that mean; half the distance from the highest
    and from the lowest mean over three epochs so far. Then the six other values relative to the
    variance, standardised (``relative``). In all but the first and the third an amplifier's gain
    cancels, soon or at once. Last, whether band powers and whether moments are known. A value that
    is not known is 0 everywhere and moves nothing. Nothing looks ahead.

    Input (batch, length, 7) raw powers, NaN where not known; output (batch, length, N_LEVELS).
    ``step`` does one epoch: its state (batch, STATE_SIZE) holds of each value the number of epochs
    heard, the sum of their levels and of the squares; levels of the two epochs before and whether
    they were known; highest level above -5 and lowest below 5. All zeros: a recording begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_mean", torch.zeros(len(FEATURES)))
        self.register_buffer("log_std", torch.ones(len(FEATURES)))
        self.register_buffer("relative_mean", torch.zeros(len(OTHERS)))
        self.register_buffer("relative_std", torch.ones(len(OTHERS)))

    def standardise_by(self, features: Tensor) -> None:
        """Take the constants from (n, 7) raw powers of the training nights, NaN where not known."""
        known = ~features.isnan()
        logs = torch.log(torch.where(known, features, 1.0).clamp(min=0.0) + FLOOR).double()
        self._set("log", logs, known)
        both = known[:, OTHERS] & known[:, MOMENTS : MOMENTS + 1]
        self._set("relative", logs[:, OTHERS] - logs[:, MOMENTS : MOMENTS + 1], both)

    def forward(self, features: Tensor) -> Tensor:
        """Return (batch, length, N_LEVELS) of whole recordings."""
        level, known, relative = self._level(features)
        heard = torch.cat((known, level, level.square()), dim=-1).cumsum(dim=1)
        now = torch.cat((level, known), dim=-1)
        recent = sum(shifted(now, age) for age in range(RECENT))
        ends = self._ends(recent).cummax(dim=1).values
        return self._inputs(level, known, relative, heard, ends)

    def step(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, N_LEVELS) of the next epoch, and the next state.

        Args:
            features: (batch, 7) raw powers, NaN where not known.
            state: (batch, STATE_SIZE).

        Returns:
            Inputs and next state.
        """
        level, known, relative = self._level(features)
        heard, past, ends = torch.split_with_sizes(state, [_HEARD, _PAST, _ENDS], dim=-1)
        heard = heard + torch.cat((known, level, level.square()), dim=-1)
        recent = torch.cat((level, known, past), dim=-1)
        ends = torch.maximum(ends, self._ends(sum(recent.chunk(RECENT, dim=-1))))
        inputs = self._inputs(level, known, relative, heard, ends)
        return inputs, torch.cat((heard, recent[..., :_PAST], ends), dim=-1)

    def _set(self, name: str, values: Tensor, known: Tensor) -> None:
        n = known.sum(dim=0).clamp(min=1)
        mean = (values * known).sum(dim=0) / n
        variance = ((values - mean).square() * known).sum(dim=0) / n
        self.get_buffer(f"{name}_mean").copy_(mean)
        self.get_buffer(f"{name}_std").copy_(variance.sqrt().clamp(min=1e-3))

    def _standardised(self, name: str, values: Tensor, unknown: Tensor) -> Tensor:
        scaled = (values - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_std")
        scaled = scaled.clamp(-MAX_LEVEL, MAX_LEVEL)
        return torch.where(unknown, torch.zeros_like(scaled), scaled)

    def _level(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        unknown = torch.isnan(features)
        power = torch.where(unknown, torch.ones_like(features), features)
        logs = torch.log(power.clamp(0.0, MAX_POWER) + FLOOR)
        lacking = unknown[..., OTHERS] | unknown[..., MOMENTS : MOMENTS + 1]
        relative = logs[..., OTHERS] - logs[..., MOMENTS : MOMENTS + 1]
        return (
            self._standardised("log", logs, unknown),
            (~unknown).to(logs.dtype),
            self._standardised("relative", relative, lacking),
        )

    def _ends(self, recent: Tensor | int) -> Tensor:
        """Return how far a mean level lies above -5 and below 5; 0 where nothing is known."""
        total, n = torch.as_tensor(recent).chunk(2, dim=-1)
        mean, known = total / n.clamp(min=1.0), n.clamp(max=1.0)
        return torch.cat(((mean + MAX_LEVEL) * known, (MAX_LEVEL - mean) * known), dim=-1)

    def _inputs(
        self, level: Tensor, known: Tensor, relative: Tensor, heard: Tensor, ends: Tensor
    ) -> Tensor:
        n, total, squares = heard.chunk(3, dim=-1)
        weight = n + PRIOR_EPOCHS
        mean = total / weight
        variance = (squares + PRIOR_EPOCHS) / weight - mean.square()
        own = (level - mean) / variance.clamp(min=MIN_VARIANCE).sqrt() * known
        high, low = ends.chunk(2, dim=-1)
        below = (level - (high - MAX_LEVEL)) * known / 2.0
        above = (level - (MAX_LEVEL - low)) * known / 2.0
        groups = torch.cat((known[..., PSD : PSD + 1], known[..., MOMENTS : MOMENTS + 1]), dim=-1)
        own = own.clamp(-MAX_LEVEL, MAX_LEVEL)
        return torch.cat((level, own, mean, below, above, relative, groups), dim=-1)


def shifted(values: Tensor, age: int) -> Tensor:
    """Return (..., length, width) as it was ``age`` epochs before, zeros before the start."""
    if age == 0:
        return values
    early = torch.zeros_like(values[..., :age, :])
    return torch.cat((early, values[..., :-age, :]), dim=-2)[..., : values.shape[-2], :]
