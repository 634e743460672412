"""Nights as overlapping sequences of epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_app.errors import DatasetError
from trainer.datasets.raw_night import RawNight
from trainer.experiment import Split
from trainer.metrics import IGNORE

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """Where one night lies in ``Nights.epochs``."""

    name: str
    subject: str
    reasons: tuple[str | None, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Nights:
    """All epochs of some nights, one after another; sequences of them are rows into this.

    A split of sequences holds ``(n, length)`` row numbers, -1 where there is no usable epoch, and
    this as its ``gather``.

    Args:
        epochs: (n_epochs, 3000) float32 uV.
        stages: (n_epochs,) int64, ``IGNORE`` where not scored.
        spans: the nights, in order.
    """

    epochs: Tensor
    stages: npt.NDArray[np.int64]
    spans: tuple[Span, ...]

    def __call__(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return what ``SeqSleepNet`` reads of some sequences: every epoch in them once.

        Args:
            inputs: (n, length) row numbers.

        Returns:
            (n_different, 3000) epochs, and (n, length) rows into those, on the device of
            ``inputs``.
        """
        (rows,) = inputs
        different, inverse = torch.unique(rows.cpu(), return_inverse=True)
        missing = int(different[0] < 0)
        epochs = self.epochs[different[missing:]]
        return epochs.to(rows.device), (inverse - missing).to(rows.device)


def join_nights(nights: Sequence[RawNight]) -> Nights:
    """Lay nights one after another.

    Args:
        nights: at least one.

    Returns:
        Their epochs, in one copy.

    Raises:
        DatasetError: no night.
    """
    if not nights:
        raise DatasetError(
            "no night of these people",
            next_step="Look at experiment.subjects and at what lies at --data",
        )
    stops = np.cumsum([len(night.stages) for night in nights]).tolist()
    spans = tuple(
        Span(
            night.name,
            night.subject,
            tuple(None if reason is None else str(reason.value) for reason in night.reasons),
            stop - len(night.stages),
            stop,
        )
        for night, stop in zip(nights, stops, strict=True)
    )
    epochs = torch.empty(stops[-1], nights[0].epochs.shape[1])
    for night, span in zip(nights, spans, strict=True):
        epochs[span.start : span.stop] = torch.from_numpy(night.epochs)
    return Nights(epochs, np.concatenate([night.stages for night in nights]), spans)


def whole_sequences(nights: Nights, length: int, name: str) -> Split:
    """Return every run of ``length`` epochs within a night, as the paper learns and scores.

    Args:
        nights: none shorter than ``length``.
        length: epochs a sequence.
        name: of the split.

    Returns:
        A split whose steps all have their label.

    Raises:
        DatasetError: a night that is too short.
    """
    for span in nights.spans:
        if span.stop - span.start < length:
            raise DatasetError(
                "a night is shorter than one sequence",
                source=span.name,
                expected=f"at least {length} epochs",
                got=span.stop - span.start,
                next_step="Leave it out by experiment.subjects, or set experiment.length",
            )
    firsts = [np.arange(span.start, span.stop - length + 1) for span in nights.spans]
    return _split(nights, [first[:, None] + np.arange(length) for first in firsts], name)


def streamed_sequences(nights: Nights, length: int, name: str) -> Split:
    """Return the sequence that ends in each epoch, as the bedside sees a night.

    The first ones of a night are filled up by -1 on the left.
    """
    back = np.arange(1 - length, 1)
    rows = []
    for span in nights.spans:
        wanted = np.arange(span.start, span.stop)[:, None] + back
        rows.append(np.where(wanted >= span.start, wanted, -1))
    return _split(nights, rows, name)


def _split(nights: Nights, by_night: Sequence[Rows], name: str) -> Split:
    rows = np.concatenate(by_night)
    usable = torch.isfinite(nights.epochs[:, 0]).numpy()
    rows = np.where((rows >= 0) & usable[rows], rows, -1)
    n = [len(night) for night in by_night]
    return Split(
        inputs=(torch.from_numpy(rows),),
        targets=torch.from_numpy(np.where(rows >= 0, nights.stages[rows], IGNORE)),
        groups=np.repeat(np.array([s.subject for s in nights.spans], dtype=np.str_), n),
        name=name,
        examples=tuple(np.repeat([span.name for span in nights.spans], n).tolist()),
        gather=nights,
    )


def nights_of(split: Split) -> Nights:
    """Return what the rows of a split of sequences point into."""
    if not isinstance(split.gather, Nights):
        raise TypeError("not a split of sequences of nights")
    return split.gather


def epochs_of(split: Split, *, batch: int = 256) -> Iterator[Tensor]:
    """Yield every epoch that stands in a split once, by row.

    Args:
        split: sequences of nights.
        batch: epochs at a time.

    Yields:
        ``(up to batch, 3000)`` float32 uV.
    """
    different = torch.unique(split.inputs[0])
    different = different[different >= 0]
    for start in range(0, len(different), batch):
        yield nights_of(split).epochs[different[start : start + batch]]
