"""Where a network begins: cut out of a wider one, or at the mean of several.

Of a wider one the weightiest channels of each stage are kept. A channel weighs as much as the gains
of the batch normalisations behind it (Liu et al. 2017, arXiv 1708.06519). The cut costs accuracy
that a few passes of training win back; it saves the passes that a start from random weights would
need. A network as narrow already lends all of its channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge_app.errors import ConfigError

PER_STAGE = 3
"""Modules of a stage of ``FaceVgg``: a convolution that widens, a residual block, a pool."""
Weights = dict[str, Tensor]


def narrowed(wide: Weights, channels: tuple[int, ...]) -> Weights:
    """Return the weights of a ``FaceVgg`` cut out of those of a wider one.

    Args:
        wide: its state dict.
        channels: of each stage of the narrow one.

    Returns:
        A state dict of the narrow one.

    Raises:
        ConfigError: another number of stages, or a stage that is wider here than there.
    """
    had: list[int] = []
    while (norm := f"stages.{len(had) * PER_STAGE}.1.weight") in wide:
        had.append(len(wide[norm]))
    fits = len(had) == len(channels) and all(n <= m for n, m in zip(channels, had, strict=True))
    if not fits:
        raise ConfigError(
            "the network to start from is narrower, or not of the same kind",
            source="experiment.narrowed_from",
            expected=f"a face_vgg of {len(channels)} stages, none narrower than {list(channels)}",
            got=had,
            next_step="Name the run of a wider face_vgg, or choose fewer experiment.channels",
        )
    cut: Weights = {}
    before = torch.zeros(1, dtype=torch.int64)
    for stage, n in enumerate(channels):
        widening, block = f"stages.{stage * PER_STAGE}", f"stages.{stage * PER_STAGE + 1}"
        inner = _weightiest(wide[f"{block}.first.1.weight"], n)
        kept = _weightiest(
            wide[f"{widening}.1.weight"].abs() + wide[f"{block}.second.1.weight"].abs(), n
        )
        for name, rows, columns in (
            (widening, kept, before),
            (f"{block}.first", inner, kept),
            (f"{block}.second", kept, inner),
        ):
            cut[f"{name}.0.weight"] = wide[f"{name}.0.weight"][rows][:, columns]
            for part in ("weight", "bias", "running_mean", "running_var"):
                cut[f"{name}.1.{part}"] = wide[f"{name}.1.{part}"][rows]
            cut[f"{name}.1.num_batches_tracked"] = wide[f"{name}.1.num_batches_tracked"]
        before = kept
    cut["head.3.weight"] = wide["head.3.weight"][:, before]
    cut["head.3.bias"] = wide["head.3.bias"]
    return {name: tensor.clone() for name, tensor in cut.items()}


def mean_of(several: Sequence[Weights]) -> Weights:
    """Return the mean of weights that descend from one another: nearly as good as asking them all.

    Wortsman et al. 2022, arXiv 2203.05482. Weights of unrelated runs mean nothing together.

    Args:
        several: state dicts of networks of one shape, one or more.

    Returns:
        Their mean; counts are the first one's.
    """
    first, *_ = several
    return {
        name: torch.stack([one[name] for one in several]).mean(dim=0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


def _weightiest(gains: Tensor, n: int) -> Tensor:
    """Return the places of the n largest, in their own order."""
    return gains.abs().argsort(descending=True, stable=True)[:n].sort().values
