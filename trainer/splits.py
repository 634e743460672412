"""No person, and no identical picture, on both sides of a split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
    refuse_shared(train.groups, validation.groups, (train.name, validation.name))


def refuse_shared(
    first: npt.NDArray[np.str_], second: npt.NDArray[np.str_], names: tuple[str, str]
) -> None:
    """Compare the groups of two sides.

    Args:
        first: group of each example of one side.
        second: of the other side.
        names: what to call the sides.

    Raises:
        DatasetError: a group stands in both.
    """
    shared = np.intersect1d(first, second)
    if len(shared):
        raise DatasetError(
            f"{len(shared)} group(s) stand in both {names[0]} and {names[1]}: "
            "every figure would be too good",
            expected="no person or identical picture on both sides",
            got=", ".join(str(group) for group in shared[:5]),
            next_step="Split by person; correct the experiment's load()",
        )
