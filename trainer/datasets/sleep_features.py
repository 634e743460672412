"""Handcrafted features of 60 people: the archive ``sleep/sleepedf78_fpzcz_features.npz``.

Per night ``SC4ssnXX_x`` (n, 35) of Fpz-Cz and ``SC4ssnXX_y`` (n,): 0 to 4 = W N1 N2 N3 R, -1 not
scored. It has two defects, which no code here can mend:

1. Columns 13 to 34 are not spectral, whatever they are called: their source applied the Fourier
   transform twice, which gives the signal itself, backwards. Columns 0 to 12 are what they say.
2. The last epoch of every bout (stretch of one stage) is missing, and every bout of one epoch: 14 %
   of all epochs, a third of N1. Rows are no continuous night, transitions look sharper than they
   are, and nothing about time may be computed. Which rows lack their successor is never told to a
   model: it would give away the end of each bout.

What serves a model of band powers are two values that follow from sound columns: the variance is
the square of column 0 (standard deviation), the variance of the differences is the square of column
5 (Hjorth mobility) times column 0. The five band powers are not known: NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.datasets.feature_night import FeatureNight
from trainer.datasets.sleep_archive import read_archive, refuse_archive
from trainer.features.welch import FEATURES

FILE = Path("sleep") / "sleepedf78_fpzcz_features.npz"
N_COLUMNS = 35
STD, MOBILITY = 0, 5
SOUND_COLUMNS = (*range(13), *range(15, 24))
"""What is a property of the epoch: time domain, and moments and entropies of its squares."""


@dataclass(frozen=True, slots=True, eq=False)
class ArchiveNight:
    """One night with all columns.

    Args:
        name: ``SC4ssnXX``.
        subject: ``ss``, the person.
        values: (n, 35) float32, columns as in the module's text.
        stages: (n,) int64, index into ``STAGES``, -1 where not scored.
    """

    name: str
    subject: str
    values: npt.NDArray[np.float32]
    stages: npt.NDArray[np.int64]

    def moments(self) -> FeatureNight:
        """Return the two values that are known, the five band powers as NaN."""
        return FeatureNight(
            self.name,
            self.subject,
            moments_of(self.values),
            self.stages,
            contiguous=False,
        )


def load_feature_set(path: Path) -> tuple[ArchiveNight, ...]:
    """Read every night with all columns.

    Args:
        path: the archive, or the data folder that holds it under ``sleep/``.

    Returns:
        The nights by name.

    Raises:
        DatasetError: no such file, or none of this layout.
    """
    path = path / FILE if path.is_dir() else path
    nights = []
    for name, subject, values, stages in read_archive(path):
        if values.shape[1] != N_COLUMNS:
            raise refuse_archive(path, f"{name} has another shape", "x (n, 35)", values.shape)
        nights.append(ArchiveNight(name, subject, values, stages))
    return tuple(nights)


def moments_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the seven values of ``FEATURES``, five of them NaN.

    Args:
        values: (n, 35), column 0 the standard deviation in uV, column 5 the mobility a sample.

    Returns:
        (n, 7) float32; variance and diff_variance in uV^2.
    """
    features = np.full((len(values), len(FEATURES)), np.nan, np.float32)
    std_uv, mobility = (values[:, column].astype(np.float64) for column in (STD, MOBILITY))
    features[:, FEATURES.index("variance")] = std_uv**2
    features[:, FEATURES.index("diff_variance")] = (mobility * std_uv) ** 2
    return features
