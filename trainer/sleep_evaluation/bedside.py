"""What the bedside says about a recording: the very code of ``edge-app replay``, read back."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_app.inference.bundle import Bundle
from edge_app.replay import ReplayRequest, replay
from trainer.datasets.sleep_stages import EPOCH_S, STAGES
from trainer.sleep_evaluation.expert import SignalOptions
from trainer.sleep_evaluation.night_answers import NightAnswers

NOT_REACHED = "not_reached"
"""Reason of an epoch that the expert scored and the recording does not hold to its end."""


@dataclass(frozen=True, slots=True)
class BedsideAnswers:
    """What was said of each epoch of a recording.

    Args:
        first: epoch from the recording's start to the first thing said about it.
        final: likewise, what stands.
        delay_epochs: epochs that a final answer waits for.
        assumptions: what the reader of the recording had to assume.
    """

    first: dict[int, dict[str, Any]]
    final: dict[int, dict[str, Any]]
    delay_epochs: int
    assumptions: tuple[str, ...]

    def nights(
        self, night: str, subject: str, stages: npt.NDArray[np.int64]
    ) -> dict[int, NightAnswers]:
        """Return the answers beside the expert's stages.

        Args:
            night: its name.
            subject: who slept.
            stages: (n,) by the expert, row 0 the recording's first epoch.

        Returns:
            Delay in epochs to the night: 0, what is said at once, and what is final.
        """
        said = {0: self.first, self.delay_epochs: self.final}
        return {delay: _night(night, subject, stages, records) for delay, records in said.items()}


def ask_bedside(bundle: Bundle, recording: Path, options: SignalOptions) -> BedsideAnswers:
    """Replay a recording and read what was said.

    Passing estimates between the epochs' ends are left out: no scorer speaks of them.

    Args:
        bundle: of the task sleep.
        recording: EDF, BDF or XDF.
        options: what the user says about it.

    Returns:
        The answers.

    Raises:
        SourceError: the recording cannot be read.
        ConfigError: it does not fit the bundle.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = ReplayRequest(
            recording=recording,
            task="sleep",
            bundle=bundle.path,
            out=Path(folder),
            channel=options.channel,
            unit=options.unit,
            rate_hz=options.rate_hz,
        )
        result = replay(request)
        lines = result.path.read_text(encoding="utf-8").splitlines()
    first: dict[int, dict[str, Any]] = {}
    final: dict[int, dict[str, Any]] = {}
    waiting: dict[float, dict[str, Any]] = {}
    for record in map(json.loads, lines):
        start_s = record["window"]["start_s"]
        waiting.setdefault(start_s, record)
        if record["final"]:  # what never becomes final was a passing estimate
            epoch = round(start_s / EPOCH_S)
            first.setdefault(epoch, waiting[start_s])
            final.setdefault(epoch, record)
    lookahead = bundle.manifest.rolling.lookahead_windows
    return BedsideAnswers(first, final, lookahead, result.assumptions)


def within_half_an_hour_of_sleep(night: NightAnswers, margin_epochs: int = 60) -> NightAnswers:
    """Return a night from 60 epochs before the first sleep epoch to 60 after the last.

    Args:
        night: of any length.
        margin_epochs: what is kept on both sides.

    Returns:
        The part; a night without sleep as it is.
    """
    asleep = np.flatnonzero(night.stages > STAGES.index("W"))
    if not len(asleep):
        return night
    kept = slice(max(0, asleep[0] - margin_epochs), asleep[-1] + margin_epochs + 1)
    return replace(
        night,
        stages=night.stages[kept],
        probabilities=night.probabilities[kept],
        reasons=night.reasons[kept],
    )


def _night(
    night: str,
    subject: str,
    stages: npt.NDArray[np.int64],
    records: dict[int, dict[str, Any]],
) -> NightAnswers:
    probabilities = np.full((len(stages), len(STAGES)), math.nan, np.float32)
    reasons: list[str | None] = [NOT_REACHED] * len(stages)
    for epoch, record in records.items():
        if 0 <= epoch < len(stages):
            reasons[epoch] = record["abstained"]
            if record["label"] is not None:
                probabilities[epoch] = [record["probabilities"][stage] for stage in STAGES]
    return NightAnswers(night, subject, stages, probabilities, tuple(reasons))
