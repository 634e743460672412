"""Statistics of batch normalisation, measured anew on examples as they will be answered.

While training they are gathered from pictures that were turned, hidden and mixed, with weights that
since went on; the answers are about whole pictures and averaged weights. Source: Wu and Johnson
2021, arXiv 2105.07576 (sections 3 and 5); Touvron et al. 2019, arXiv 1906.06423.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def measure_statistics(model: nn.Module, batches: Iterator[tuple[Tensor, ...]]) -> None:
    """Replace each running mean and variance by their mean over some batches.

    All else of the model answers as it does after training: no dropout, pictures at their size.

    Args:
        model: left in evaluation mode; one without batch normalisation stays as it is.
        batches: inputs of the model, not augmented.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch's word for: the mean of all batches, each alike
        layer.train()
    with torch.no_grad():
        for inputs in batches:
            model(*inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()
