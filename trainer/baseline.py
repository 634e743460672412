"""Another bundle's answers for the same pictures, so that two bundles can be compared in pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edge_app.errors import ConfigError, DatasetError
from edge_app.inference.bundle import Bundle, load_bundle
from trainer.experiment import Split


def baseline_bundle(path: Path, labels: tuple[str, ...]) -> Bundle:
    """Return the bundle to compare with.

    Args:
        path: its folder.
        labels: of the bundle that is scored.

    Returns:
        The other bundle.

    Raises:
        ConfigError: it answers with other classes.
        ManifestError: it cannot be loaded.
    """
    other = load_bundle(path)
    if set(other.manifest.labels) != set(labels):
        raise ConfigError(
            "only a bundle with the same classes can be the baseline",
            source=str(path),
            expected=sorted(labels),
            got=sorted(other.manifest.labels),
            next_step="Name another bundle of facial expressions",
        )
    return other


def in_order(
    probabilities: npt.NDArray[np.float32], labels: tuple[str, ...], wanted: tuple[str, ...]
) -> npt.NDArray[np.float32]:
    """Return columns by name: two bundles may order the same classes otherwise."""
    return probabilities[:, [labels.index(label) for label in wanted]]


def refuse_other_pictures(ours: Split, theirs: Split, baseline: str) -> None:
    """Refuse to pair answers for other pictures.

    Args:
        ours: what the bundle was scored on.
        theirs: what the baseline reads at the same place.
        baseline: its name.

    Raises:
        DatasetError: the targets differ.
    """
    if not torch.equal(ours.targets, theirs.targets):
        raise DatasetError(
            "the baseline reads other pictures here: nothing can be paired",
            source=baseline,
            expected=f"{len(ours.targets)} pictures of {ours.name}",
            got=f"{len(theirs.targets)} pictures of {theirs.name}",
            next_step="Name a baseline that was trained on the same data set",
        )
