"""Band powers of whole nights: the archive ``sleep/sleepedf_bandpower.npz``.

Per night ``SC4ssnE0_x`` (n, 14): the seven values of ``trainer.features.welch.FEATURES`` of Fpz-Cz,
then of Pz-Oz; ``SC4ssnE0_y`` (n,): stage 0 to 4 = W N1 N2 N3 R. Rows are consecutive 30-s epochs.
``load_nights`` also takes the older layout of 35 columns, see ``sleep_features``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainer.datasets.feature_night import FeatureNight
from trainer.datasets.sleep_archive import read_archive, refuse_archive
from trainer.datasets.sleep_features import N_COLUMNS, moments_of
from trainer.features.welch import FEATURES

FILE = Path("sleep") / "sleepedf_bandpower.npz"
SUBJECTS = ("00", "01", "02", "04", "05", "06", "08", "09")
"""The eight people of the published archive."""
CHANNELS = ("Fpz-Cz", "Pz-Oz")
Channel = Literal["Fpz-Cz", "Pz-Oz", "both"]


def load_nights(path: Path, *, channel: Channel = "Fpz-Cz") -> tuple[FeatureNight, ...]:
    """Read every night of an archive of either layout, told by the number of columns.

    Args:
        path: the archive, or the data folder that holds ``sleep/sleepedf_bandpower.npz``.
        channel: which to take; ``both`` gives each night twice, first Fpz-Cz. An archive of 35
            columns has Fpz-Cz alone.

    Returns:
        The nights by name.

    Raises:
        DatasetError: no such file, no archive of these layouts, a channel that is not there, or
            values that cannot be powers.
    """
    path = path / FILE if path.is_dir() else path
    wanted = CHANNELS if channel == "both" else (channel,)
    nights: list[FeatureNight] = []
    for name, subject, values, stages in read_archive(path):
        by_channel = _by_channel(path, name, values)
        absent = [one for one in wanted if one not in by_channel]
        if absent:
            raise refuse_archive(
                path, f"{name} has no channel {absent[0]}", ", ".join(by_channel), channel
            )
        for one in wanted:
            features = by_channel[one]
            if not (features[np.isfinite(features)] >= 0).all() or np.isinf(features).any():
                raise refuse_archive(path, f"{name} holds powers that are negative or not finite")
            whole = values.shape[1] != N_COLUMNS
            nights.append(FeatureNight(name, subject, features, stages, one, contiguous=whole))
    return tuple(nights)


def _by_channel(
    path: Path, name: str, values: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    n = len(FEATURES)
    if values.shape[1] == n * len(CHANNELS):
        return {one: values[:, i * n : (i + 1) * n] for i, one in enumerate(CHANNELS)}
    if values.shape[1] == N_COLUMNS:
        return {CHANNELS[0]: moments_of(values)}
    raise refuse_archive(
        path, f"{name} has another shape", "x (n, 14) or (n, 35), y (n,)", values.shape
    )
