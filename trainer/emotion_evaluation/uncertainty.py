"""How far the figures would move with other people: bootstrap over persons, or over pictures."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import metrics
from trainer.emotion_evaluation.class_figures import SHARES, class_shares
from trainer.examination import RESAMPLES
from trainer.intervals import Interval, bootstrap_over_groups

STEADY = ("accuracy", "macro_f1", "brier")
"""Figures with an interval. A bootstrap of the ECE strays upwards, since doubled pictures make its
bins rougher: its interval would leave out values that are true, at times the figure itself."""
PIXEL_HASH = re.compile(r"[0-9a-f]{32,64}")
Figures = dict[str, float]


class Counted:
    """Answers reduced to what figures of any rows need, so that a thousand draws stay quick.

    Args:
        targets: (n,) classes.
        probabilities: (n, n_labels).
    """

    def __init__(
        self, targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating[Any]]
    ) -> None:
        said = probabilities.astype(np.float64)
        self.n_labels = said.shape[1]
        answers = said.argmax(axis=1)
        self._cells = targets * self.n_labels + answers
        confidence = said.max(axis=1)
        self._surplus = (answers == targets) - confidence
        bins = np.ceil(confidence * metrics.ECE_BINS).astype(np.int64) - 1
        self._bins = np.clip(bins, 0, metrics.ECE_BINS - 1)
        self._brier = np.square(said - np.eye(self.n_labels)[targets]).sum(axis=1)

    def confusion(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return counts of some rows, row = true class, column = answer."""
        counts = np.bincount(self._cells[rows], minlength=self.n_labels**2)
        return counts.reshape(self.n_labels, self.n_labels)

    def overall(self, rows: npt.NDArray[np.int64]) -> Figures:
        """Return ``STEADY`` and ECE of some rows, which may occur more than once."""
        confusion = self.confusion(rows)
        occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
        gaps = np.bincount(self._bins[rows], weights=self._surplus[rows])
        return {
            "accuracy": float(np.trace(confusion) / len(rows)),
            "macro_f1": float(metrics.class_figures(confusion)[2][occurs].mean()),
            "ece": float(np.abs(gaps).sum() / len(rows)),
            "brier": float(self._brier[rows].mean()),
        }

    def everything(self, rows: npt.NDArray[np.int64]) -> Figures:
        """Return ``overall``, and ``SHARES`` of each class as ``name/index``."""
        shares = class_shares(self.confusion(rows))
        return self.overall(rows) | {
            f"{name}/{i}": float(value) for name in SHARES for i, value in enumerate(shares[name])
        }


def add_intervals(
    figures: dict[str, Any],
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[Any],
    groups: npt.NDArray[np.str_],
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Return figures with 95 % intervals beside them.

    Args:
        figures: of the same examples, as ``face_figures`` gave them.
        targets: (n,) classes.
        probabilities: (n, n_labels).
        groups: (n,) person, or pixel hash where persons are not known.
        resamples: draws.

    Returns:
        The same with ``intervals``: ``STEADY`` to [low, high], also within each of ``per_class``;
        None where no draw had the figure. ``interval_over``: person or picture.
    """
    counted = Counted(targets, probabilities)
    found = bootstrap_over_groups(counted.everything, groups, resamples=resamples)
    classes = {
        label: row | {"intervals": {name: _ends(found[f"{name}/{i}"]) for name in SHARES}}
        for i, (label, row) in enumerate(figures["per_class"].items())
    }
    return {
        **figures,
        "per_class": classes,
        "intervals": {name: _ends(found[name]) for name in STEADY},
        "interval_over": unit_of(groups),
    }


def unit_of(groups: npt.NDArray[np.str_]) -> str:
    """Return ``picture`` where every group is the hash of a picture's pixels, else ``person``."""
    hashes = all(PIXEL_HASH.fullmatch(group) for group in np.unique(groups).tolist())
    return "picture" if hashes else "person"


def _ends(interval: Interval) -> list[float] | None:
    return [interval.low, interval.high] if np.isfinite(interval.low) else None
