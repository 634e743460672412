"""Losses of the common loop."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from trainer.metrics import IGNORE


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean loss over labelled examples; 0, with a gradient, when there is none.

    Args:
        logits: targets' shape plus a class axis.
        targets: (n,) or (n, ...) classes, ``IGNORE`` where there is no label.
        label_smoothing: share of each target spread over all classes.

    Returns:
        A scalar, in float32 whatever the precision of ``logits``.
    """
    flat = logits.float().reshape(-1, logits.shape[-1])
    total = functional.cross_entropy(
        flat,
        targets.reshape(-1),
        ignore_index=IGNORE,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (targets != IGNORE).sum().clamp(min=1)
