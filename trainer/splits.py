"""No person, and no identical picture, on both sides of a split."""

from __future__ import annotations

import numpy as np

from edge_app.errors import DatasetError
from trainer.experiment import Split


def refuse_leak(train: Split, validation: Split) -> None:
    """Compare the groups of both sides.

    Args:
        train: what is learnt from.
        validation: what is not.

    Raises:
        DatasetError: a group stands in both.
    """
    shared = np.intersect1d(train.groups, validation.groups)
    if len(shared):
        raise DatasetError(
            f"{len(shared)} group(s) stand in both {train.name} and {validation.name}: "
            "every figure would be too good",
            expected="no person or identical picture on both sides",
            got=", ".join(str(group) for group in shared[:5]),
            next_step="Split by person; correct the experiment's load()",
        )
