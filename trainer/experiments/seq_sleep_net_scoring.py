"""What all sequences that contain an epoch decide about it, as one answer an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.experiment import RunGraph, Split
from trainer.experiments.seq_sleep_net_nights import Nights, Rows, Span, epochs_of, nights_of
from trainer.models.seq_sleep_net import FEATURES
from trainer.sleep_evaluation.night_answers import NightAnswers

FLOOR = 1e-9
"""Least probability that is believed, so that its logarithm stays finite: the bedside's own."""
SHOWN_DELAYS = (0, 1, 2, 5, 10)
"""Epochs after which answers are scored, beside the last, when they are final."""


def decisions_of(run: RunGraph, split: Split) -> npt.NDArray[np.float32]:
    """Return what every sequence decides about each of its epochs; each epoch is encoded once.

    Args:
        run: runs one graph of the bundle.
        split: sequences of nights.

    Returns:
        ``(n, length, n_labels)`` probabilities; positions without an epoch mean nothing.
    """
    rows = split.inputs[0].numpy()
    encoded = [
        run("encoder", {"eeg": epoch[None, None].numpy()})["features"]
        for batch in epochs_of(split)
        for epoch in batch
    ]
    features = np.concatenate([*encoded, np.zeros((1, FEATURES), np.float32)])  # last: no epoch
    different = np.unique(rows[rows >= 0])
    places = np.where(rows >= 0, np.searchsorted(different, rows), len(different))
    mask = (rows >= 0).astype(np.float32)
    decided = [
        run("sequence", {"features": features[places[i : i + 1]], "mask": mask[i : i + 1]})
        for i in range(len(rows))
    ]
    return np.concatenate([answers["probabilities"] for answers in decided])


def answered_nights(
    split: Split, decisions: npt.NDArray[np.float32]
) -> dict[int, tuple[NightAnswers, ...]]:
    """Return the answers of whole nights by how long they waited.

    Args:
        split: sequences of nights.
        decisions: (n, length, n_labels) probabilities.

    Returns:
        Of streamed nights several delays, the last of which is final; else 0 alone, which is then
        the answer of all sequences.
    """
    rows, nights = split.inputs[0].numpy(), nights_of(split)
    if len(rows) != len(nights.stages):
        return {0: merged(decisions, rows, nights)}
    last = rows.shape[1] - 1
    delays = sorted({delay for delay in SHOWN_DELAYS if delay < last} | {last})
    return by_delay(decisions, rows, nights, delays)


def merged(
    decisions: npt.NDArray[np.float32], rows: Rows, nights: Nights
) -> tuple[NightAnswers, ...]:
    """Return each epoch's geometric mean of what all sequences that contain it decided.

    A sequence that ends in a missing epoch is left out, as at the bedside.

    Args:
        decisions: (n, length, 5) probabilities.
        rows: (n, length) as in the split.
        nights: what ``rows`` point into.

    Returns:
        The nights of which there is any sequence.
    """
    rows = np.where(rows[:, -1:] >= 0, rows, -1)
    there = rows >= 0
    total = np.zeros((len(nights.stages), decisions.shape[2]))
    np.add.at(total, rows[there], _logs(decisions[there]))
    count = np.bincount(rows[there], minlength=len(total))
    answers = _normalised(total, count)
    return tuple(
        _answers(nights, span, answers[span.start : span.stop])
        for span in nights.spans
        if count[span.start : span.stop].any()
    )


def by_delay(
    decisions: npt.NDArray[np.float32], rows: Rows, nights: Nights, delays: Sequence[int]
) -> dict[int, tuple[NightAnswers, ...]]:
    """Return each epoch's answer after some of the sequences that contain it have come.

    Args:
        decisions: (n, length, 5) probabilities of the sequence that ends in each epoch.
        rows: (n, length) as in the split of ``streamed_sequences``.
        nights: what ``rows`` point into.
        delays: epochs that an answer waits, each below ``length``.

    Returns:
        Delay to the nights; an epoch near a night's end waits for those that are left.
    """
    length = rows.shape[1]
    epochs = np.arange(len(rows))
    stop = np.repeat([s.stop for s in nights.spans], [s.stop - s.start for s in nights.spans])
    total = np.zeros((len(rows), decisions.shape[2]))
    count = np.zeros(len(rows), dtype=np.int64)
    found = {}
    for delay in range(max(delays) + 1):
        moment = np.minimum(epochs + delay, len(rows) - 1)
        ran = (epochs + delay < stop) & (rows[moment, -1] >= 0) & (rows[epochs, -1] >= 0)
        total[ran] += _logs(decisions[moment[ran], length - 1 - delay])
        count += ran
        if delay in delays:
            answers = _normalised(total, count)
            found[delay] = tuple(
                _answers(nights, span, answers[span.start : span.stop]) for span in nights.spans
            )
    return found


def _logs(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.log(np.maximum(probabilities.astype(np.float64), FLOOR))


def _normalised(total: npt.NDArray[np.float64], count: Rows) -> npt.NDArray[np.float64]:
    """Return probabilities from sums of logarithms; NaN where nothing was summed."""
    mean = total / np.maximum(count, 1)[:, None]
    weights = np.exp(mean - mean.max(axis=1, keepdims=True))
    shares = weights / weights.sum(axis=1, keepdims=True)
    return np.where(count[:, None] > 0, shares, np.nan)


def _answers(nights: Nights, span: Span, answers: npt.NDArray[np.float64]) -> NightAnswers:
    return NightAnswers(
        night=span.name,
        subject=span.subject,
        stages=nights.stages[span.start : span.stop],
        probabilities=answers.astype(np.float32),
        reasons=span.reasons,
    )
