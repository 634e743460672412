"""What was said about every epoch of a night, beside what the expert says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_app.errors import ContractError
from trainer.datasets.sleep_stages import STAGES
from trainer.metrics import IGNORE

NO_ANSWER = -1
"""Stage of an epoch that got no answer."""


@dataclass(frozen=True, slots=True)
class NightAnswers:
    """One night, answered with one delay.

    Args:
        night: its name, such as ``SC4001E0``.
        subject: who slept; nights of one person are not independent.
        stages: (n,) int64 by the expert, index into ``STAGES``; ``IGNORE`` where not scored.
        probabilities: (n, 5) float32; a row of NaN: no answer.
        reasons: (n,) why there is no answer, None where there is one; empty: nothing is known.
        contiguous: whether row times 30 s is time; if not, nothing is said about time.

    Raises:
        ContractError: shapes that do not fit, unknown stages, or a row that is NaN in part.
    """

    night: str
    subject: str
    stages: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    reasons: tuple[str | None, ...] = ()
    contiguous: bool = True

    def __post_init__(self) -> None:
        n = len(self.stages)
        if self.probabilities.shape != (n, len(STAGES)) or len(self.reasons) not in (0, n):
            raise _refusal(
                self.night,
                "stages, probabilities and reasons must be of the same epochs",
                f"({n}, {len(STAGES)}) probabilities, {n} reasons or none",
                f"{self.probabilities.shape}, {len(self.reasons)} reasons",
            )
        if not np.isin(self.stages, (IGNORE, *range(len(STAGES)))).all():
            got = np.unique(self.stages).tolist()
            raise _refusal(self.night, "unknown stages", f"{IGNORE} to {len(STAGES) - 1}", got)
        unknown = np.isnan(self.probabilities)
        if (unknown.any(axis=1) != unknown.all(axis=1)).any():
            raise _refusal(self.night, "an answer is known whole or not at all", None, None)

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the expert names a stage."""
        return np.asarray(self.stages != IGNORE)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """(n,) whether there is an answer."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """(n,) the most probable stage, ``NO_ANSWER`` where there is none."""
        best = np.where(np.isnan(self.probabilities), -1.0, self.probabilities).argmax(axis=1)
        return np.where(self.answered, best, NO_ANSWER).astype(np.int64)


def nights_by_delay(
    names: Sequence[str],
    subjects: Sequence[str],
    stages: Sequence[npt.NDArray[np.int64]],
    moments: Sequence[npt.NDArray[np.float32]],
    *,
    contiguous: bool = True,
) -> dict[int, tuple[NightAnswers, ...]]:
    """Sort streamed answers by how long they waited.

    The last epochs of a night have no later ones: their newest answer stands at every delay, as
    the bedside does when the recording ends. So each delay speaks of the same epochs.

    Args:
        names: of the nights.
        subjects: who slept.
        stages: a night each, (n,) by the expert.
        moments: a night each, (n or more, 1 + D, 5): row t, column k is what is said about epoch
            t - k once epoch t has come. Rows after the night's end are left alone.
        contiguous: see ``NightAnswers``.

    Returns:
        Delay in epochs, 0 to D, to the nights.
    """
    found: dict[int, list[NightAnswers]] = {}
    for name, subject, expert, said in zip(names, subjects, stages, moments, strict=True):
        epochs = np.arange(len(expert))
        for delay in range(said.shape[1]):
            waited = np.minimum(delay, len(expert) - 1 - epochs)
            rows = said[epochs + waited, waited].astype(np.float32)
            night = NightAnswers(
                str(name), str(subject), expert.astype(np.int64), rows, contiguous=contiguous
            )
            found.setdefault(delay, []).append(night)
    return {delay: tuple(nights) for delay, nights in found.items()}


def nights_of_split(
    names: Sequence[str],
    subjects: Sequence[str],
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    *,
    contiguous: bool = True,
) -> dict[int, tuple[NightAnswers, ...]]:
    """Sort the streamed answers of a padded split by how long they waited.

    Args:
        names: of the nights.
        subjects: who slept.
        targets: (n_nights, longest, 1 + D), column 0 the stage of each epoch, ``IGNORE`` where not
            scored and after a night's end.
        probabilities: (n_nights, longest, 1 + D, 5), a night each as ``nights_by_delay`` takes it.
        contiguous: see ``NightAnswers``.

    Returns:
        Delay in epochs, 0 to D, to the nights, each up to its last scored epoch.
    """
    stages = [_until_last_scored(night) for night in targets[:, :, 0]]
    return nights_by_delay(names, subjects, stages, list(probabilities), contiguous=contiguous)


def _until_last_scored(stages: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    scored = np.flatnonzero(stages != IGNORE)
    return stages[: scored[-1] + 1] if len(scored) else stages[:0]


def _refusal(night: str, problem: str, expected: object, got: object) -> ContractError:
    return ContractError(
        problem,
        source=night,
        expected=expected,
        got=got,
        next_step="Correct the code that answers whole nights",
    )
