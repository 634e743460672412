"""The parts that the papers' plain CNNs share: convolutions with pooling, and a dense head."""

from __future__ import annotations

from torch import nn


def convolutions(before: int, filters: tuple[int, ...]) -> nn.Sequential:
    """Return a 3x3 convolution, ReLU and halving max-pool for each number of filters.

    Args:
        before: channels in.
        filters: channels after each convolution.

    Returns:
        (n, before, side, side) to (n, filters[-1], side / 2 ** len(filters), the same).
    """
    layers: list[nn.Module] = []
    for after in filters:
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        before = after
    return nn.Sequential(*layers)


def last_convolution(layers: nn.Sequential) -> nn.Module:
    """Return the last convolution of ``convolutions``."""
    return layers[-3]


def dense_head(n_in: int, dense: tuple[int, ...], dropout: float, n_labels: int) -> nn.Sequential:
    """Return dense layers with ReLU and dropout each, and one that gives logits.

    Args:
        n_in: values in.
        dense: width of each hidden layer.
        dropout: share of each hidden layer left out while training.
        n_labels: number of classes.

    Returns:
        (n, n_in) to (n, n_labels).
    """
    layers: list[nn.Module] = []
    for width in dense:
        layers += [nn.Linear(n_in, width), nn.ReLU(), nn.Dropout(dropout)]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_labels))
