"""No person, and no identical picture, on both sides of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from edge_app.counted import counted
from edge_app.errors import DatasetError
from trainer.datasets.face_copies import count_other_labels, picture_hashes
from trainer.experiment import Split

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """What stands on both sides of a split.

    Args:
        names: of the two sides.
        groups: persons (or files, where persons are not known) on both, a few of them.
        n_groups: how many there are.
        copies: pictures of the second side that are pixel-identical to one of the first.
        other_label: of those, how many have another label there.
        of: pictures of the second side.
    """

    names: tuple[str, str]
    groups: tuple[str, ...]
    n_groups: int
    copies: int
    other_label: int
    of: int

    def __str__(self) -> str:
        told = []
        if self.n_groups:
            told.append(f"{counted(self.n_groups, 'group')} in both {' and '.join(self.names)}")
        if self.copies:
            label = f", {self.other_label} with another label" if self.other_label else ""
            told.append(
                f"{self.copies} of {self.of} pictures of {self.names[1]} are pixel-identical to"
                f" pictures of {self.names[0]}{label}"
            )
        return "; ".join(told)


def find_leak(train: Split, validation: Split) -> Leak | None:
    """Compare the groups of both sides, and the pictures where the examples are pictures.

    Args:
        train: what is learnt from.
        validation: what is not.

    Returns:
        What stands in both, or None.
    """
    ours, theirs = _pictures(train), _pictures(validation)
    shared: npt.NDArray[np.str_] = np.intersect1d(train.groups, validation.groups)
    copies = other_label = 0
    if ours is not None and theirs is not None:
        copied = np.isin(theirs, ours)
        copies = int(copied.sum())
        other_label = count_other_labels(
            ours, train.targets.numpy(), theirs, validation.targets.numpy()
        )
        shared = np.setdiff1d(shared, theirs)  # where a group is a picture, it is told once
    if not len(shared) and not copies:
        return None
    return Leak(
        names=(train.name, validation.name),
        groups=tuple(str(group) for group in shared[:_SHOWN]),
        n_groups=len(shared),
        copies=copies,
        other_label=other_label,
        of=len(validation.groups),
    )


def refuse_leak(train: Split, validation: Split, *, allow: bool = False) -> str | None:
    """Refuse sides that share a person or a picture.

    Args:
        train: what is learnt from.
        validation: what is not.
        allow: return what is shared instead.

    Returns:
        What is shared, in words, for the run, its figures and its card; None: nothing.

    Raises:
        DatasetError: a group or a picture stands in both, and ``allow`` is False.
    """
    leak = find_leak(train, validation)
    if leak is None:
        return None
    if not allow:
        raise DatasetError(
            f"{leak}: every figure would be too good",
            expected="no person or identical picture on both sides",
            got=", ".join(leak.groups) or None,
            next_step="Split by person and drop copies; or, to train all the same and have it told"
            " in every figure and card, add --allow-leak",
        )
    return str(leak)


def _pictures(split: Split) -> npt.NDArray[np.str_] | None:
    """Return a hash of each example that is a picture: uint8 of four axes; None for others."""
    if not split.inputs:
        return None
    first = split.inputs[0]
    if first.dtype != torch.uint8 or first.ndim != 4 or len(first) != len(split.groups):
        return None
    return picture_hashes(first.numpy())
