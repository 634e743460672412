"""The learning curve of a run: its rows, the best of them, and the same as CSV and as a picture."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from trainer.metrics import commonest_share

if TYPE_CHECKING:
    from trainer.experiment import Split

LABELS = {
    "validation_loss": "validation",
    "accuracy": "validation accuracy",
    "macro_f1": "validation macro-F1",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One pass of a learning curve; the figures of validation are None where there was none."""

    index: int
    learning_rate: float
    train_loss: float
    validation_loss: float | None
    accuracy: float | None
    macro_f1: float | None
    seconds: float


def best_row(rows: list[Row], select_by: str) -> Row:
    """Return the best row by ``accuracy``, ``macro_f1`` or ``loss``; the first of equals.

    Where nothing was validated the last row is returned.
    """
    if rows[-1].validation_loss is None:
        return rows[-1]
    best = rows[0]
    for row in rows[1:]:
        if is_better(row, best, select_by):
            best = row
    return best


def next_step(best: Row, validation: Split, run: Path, exporting: str) -> str:
    """Tell what to do with a run: export it, or find out why it has learnt nothing.

    Args:
        best: its best pass.
        validation: what that pass was validated on.
        run: its folder.
        exporting: the command that exports it.

    Returns:
        The rest of a line, without a full stop.
    """
    chance = commonest_share(validation.targets.numpy())
    if best.accuracy is not None and best.accuracy <= chance:
        return (
            f"Always saying the commonest class there has accuracy {chance:.4f}: this run is no"
            f" better. Look at {run / 'curve.png'} (does the loss fall?) and at the labels of the"
            " data before you export it"
        )
    return f"Next: {exporting}"


def is_better(row: Row, best: Row, select_by: str) -> bool:
    """Return whether a validated row beats another by ``accuracy``, ``macro_f1`` or ``loss``."""
    if select_by == "loss":
        return float(row.validation_loss or 0.0) < float(best.validation_loss or 0.0)
    return float(getattr(row, select_by)) > float(getattr(best, select_by))


def ended(rows: list[Row], passes: int, patience: int | None, select_by: str) -> bool:
    """Return whether a run is over.

    Args:
        rows: all passes so far.
        passes: passes of a whole run.
        patience: passes without a better figure after which to stop; None: never early.
        select_by: the figure, as for ``best_row``.

    Returns:
        True when no pass is to follow.
    """
    if len(rows) >= passes:
        return True
    if patience is None or not rows:
        return False
    return rows[-1].index - best_row(rows, select_by).index >= patience


def draw_png(rows: list[Row], file: IO[bytes]) -> None:
    """Draw losses and validation scores by pass."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    passes = [row.index + 1 for row in rows]
    left.plot(passes, [row.train_loss for row in rows], label="training (augmented, smoothed)")
    left.set(xlabel="pass", ylabel="loss")
    for axes, names in ((left, ("validation_loss",)), (right, ("accuracy", "macro_f1"))):
        for name in names:
            curve = [np.nan if (v := getattr(row, name)) is None else v for row in rows]
            axes.plot(passes, curve, label=LABELS[name])
    right.set(xlabel="pass", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(file, format="png")


def to_csv(rows: list[Row]) -> str:
    """Return one line a pass, under a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
