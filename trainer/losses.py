"""Losses of the common loop, and the one of SeqSleepNet with temporal smoothness."""

from __future__ import annotations

from collections.abc import Iterable

import torch
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


def epoch_losses(
    logits: Tensor, targets: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each epoch of each sequence.

    Args:
        logits: (n, length, n_labels).
        targets: (n, length) classes, ``IGNORE`` where there is no label.
        label_smoothing: share of each target spread over all classes.

    Returns:
        Losses (n, length) in float32, 0 where there is no label; and (n, length) bool, True where
        there is one.
    """
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORE,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    return losses.view_as(targets), targets != IGNORE


def temporal_smoothness(losses: Tensor, valid: Tensor) -> Tensor:
    """Return how unlike the losses of neighbouring epochs are.

    Per sequence the mean of ``(losses[l] - losses[l + 1]) ** 2`` over the pairs of neighbours that
    both have a label, then the mean over the sequences that have such a pair; 0, with a gradient,
    where none has. It compares how badly neighbours are fitted, not what they are taken for.

    Args:
        losses: (n, length) cross-entropies, any finite value where ``valid`` is False.
        valid: (n, length) bool.

    Returns:
        A scalar.

    Source: Phan et al., ICASSP 2023, equation (2), third term; dropping pairs is ours.
    """
    return _mean_by_sequence(
        (losses[:, 1:] - losses[:, :-1]).square(), valid[:, 1:] & valid[:, :-1]
    )


def smooth_sequence_loss(
    logits: Tensor,
    targets: Tensor,
    parameters: Iterable[Tensor] = (),
    *,
    l2: float,
    gamma: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the loss of SeqSleepNet with temporal smoothness.

    Per sequence the mean cross-entropy of its labelled epochs plus ``gamma`` times the smoothness
    term, averaged over the batch's sequences; plus ``l2`` times the squared norm of the parameters,
    once. That is part of the loss, so it passes through the optimiser: no decoupled decay.

    Args:
        logits: (n, length, n_labels).
        targets: (n, length) classes, ``IGNORE`` where there is no label.
        parameters: theta.
        l2: lambda.
        gamma: weight of the smoothness term.
        label_smoothing: share of each target spread over all classes.

    Returns:
        A scalar.

    Source: Phan et al., ICASSP 2023, equation (2). It is written for one sequence: that a batch's
    sequences are averaged, and those without a label left out, is ours.
    """
    losses, valid = epoch_losses(logits, targets, label_smoothing)
    total = _mean_by_sequence(losses, valid) + gamma * temporal_smoothness(losses, valid)
    return total + l2 * squared_norm(parameters) if l2 else total


def squared_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Return the sum of the squares of all values, a scalar."""
    norms = [parameter.square().sum() for parameter in parameters]
    return torch.stack(norms).sum() if norms else torch.zeros(())


def _mean_by_sequence(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over each sequence's valid values, averaged over sequences that have one."""
    counts = valid.sum(dim=1)
    means = values.where(valid, torch.zeros_like(values)).sum(dim=1) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)
