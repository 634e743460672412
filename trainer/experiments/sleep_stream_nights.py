"""Whole nights as one padded split, and what training makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.datasets.feature_night import FeatureNight
from trainer.experiment import Split
from trainer.features.welch import FEATURES
from trainer.metrics import IGNORE

SLOW_AMPLIFIER_DB = dict.fromkeys(FEATURES, 0.0) | {
    "psd_beta": 3.0,
    "psd_gamma": 40.0,
    "diff_variance": 1.5,
}
"""Most that is taken from each value where little passes above 25 Hz, as in 50-Hz recordings."""


def padded_nights(nights: Sequence[FeatureNight], delays: int, name: str) -> Split:
    """Return nights side by side, NaN behind the end of each.

    Args:
        nights: at least one.
        delays: earlier epochs that are answered for again at each epoch.
        name: of the split.

    Returns:
        Inputs ``features`` (n_nights, longest, 7); targets (n_nights, longest, 1 + delays): at
        ``[:, t, k]`` the stage of epoch t - k, ``IGNORE`` where there is none.
    """
    longest = max(len(night.stages) for night in nights)
    features = np.full((len(nights), longest, len(FEATURES)), np.nan, np.float32)
    targets = np.full((len(nights), longest, 1 + delays), IGNORE, np.int64)
    for i, night in enumerate(nights):
        n = len(night.stages)
        features[i, :n] = night.features
        for delay in range(min(delays, n - 1) + 1):
            targets[i, delay:n, delay] = night.stages[: n - delay]
    return Split(
        inputs=(torch.from_numpy(features),),
        targets=torch.from_numpy(targets),
        groups=np.array([night.subject for night in nights], dtype=np.str_),
        name=name,
        examples=tuple(night.name for night in nights),
    )


def labelled_rows(split: Split) -> tuple[Tensor, Tensor]:
    """Return (n, 7) features and (n,) stages of all epochs that have a stage."""
    stages = split.targets[:, :, 0]
    scored = stages != IGNORE
    return split.inputs[0][scored], stages[scored]


def epochs_of_nights(features: Tensor) -> Tensor:
    """Return (n_nights,) how many epochs each padded night has, up to the last that is known."""
    known = ~features.isnan().all(dim=-1)
    after = torch.arange(1, features.shape[1] + 1, device=features.device)
    return (known * after).amax(dim=1)


def draw_stretches(
    n_epochs: Tensor,
    longest: int,
    length: int,
    copies: int,
    from_start: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw stretches of each night.

    Args:
        n_epochs: (n,) of the nights, each padded to ``longest``.
        longest: epochs a padded night.
        length: of a stretch; at most ``longest``.
        copies: stretches of each night.
        from_start: share of the stretches that begin with the night.
        generator: of the draws.

    Returns:
        (copies * n, length) indices into the nights laid end to end; the nights in turn.
    """
    device, shape = n_epochs.device, (copies, len(n_epochs))
    latest = (n_epochs - length).clamp(min=0)
    start = (torch.rand(shape, generator=generator, device=device) * (latest + 1)).long()
    begins = torch.rand(shape, generator=generator, device=device) < from_start
    start = start.masked_fill(begins, 0) + torch.arange(len(n_epochs), device=device) * longest
    return start.flatten()[:, None] + torch.arange(length, device=device)


def another_amplifier(
    features: Tensor,
    generator: torch.Generator,
    *,
    gain_db: float,
    tilt_db: float,
    slow_probability: float,
) -> Tensor:
    """Change the gain of whole nights.

    Args:
        features: (n, length, 7) powers.
        generator: of the draws.
        gain_db: spread (sd) of a night's gain.
        tilt_db: spread (sd) of each value's own gain, a night.
        slow_probability: share of nights with little gamma.

    Returns:
        Powers of the same shape.
    """
    n, device = len(features), features.device
    change_db = gain_db * torch.randn((n, 1, 1), generator=generator, device=device)
    tilts = torch.randn((n, 1, len(FEATURES)), generator=generator, device=device)
    slow = torch.rand((n, 1, 1), generator=generator, device=device) < slow_probability
    loss = slow * torch.rand((n, 1, 1), generator=generator, device=device)
    loss_db = loss * features.new_tensor([SLOW_AMPLIFIER_DB[name] for name in FEATURES])
    return features * torch.pow(10.0, (change_db + tilt_db * tilts - loss_db) / 10.0)


def without(
    features: Tensor,
    generator: torch.Generator,
    *,
    epoch_probability: float,
    psd_probability: float,
) -> Tensor:
    """Take values away, as NaN.

    Args:
        features: (n, length, 7) powers.
        generator: of the draws.
        epoch_probability: share of epochs that are lost whole, as by movement.
        psd_probability: share of nights of which only the two moments are known.

    Returns:
        Powers of the same shape.
    """
    n, length, _ = features.shape
    device = features.device
    lost = torch.rand((n, length, 1), generator=generator, device=device) < epoch_probability
    bare = torch.rand((n, 1, 1), generator=generator, device=device) < psd_probability
    is_psd = torch.tensor([name.startswith("psd") for name in FEATURES], device=device)
    return features.masked_fill(lost | (bare & is_psd), torch.nan)
