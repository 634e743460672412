"""Reads the nights back from ``predictions.jsonl``: of a replay or a live run, done or under way.

Epochs are put on one grid of 30 s from the first one on. Where a stream came back on a grid of its
own after a restart, its epochs keep their time to within half an epoch; where nothing was said,
the grid has a hole. The last line may be half written.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_app.errors import SourceError
from edge_app.sleep_statistics import STAGES

PREDICTIONS = ("predictions.jsonl", "predictions.jsonl.part")
"""A replay under way writes the second one."""
MAX_HOLE_S = 3 * 3600.0
"""After a longer silence another night begins; a shorter one is a hole in the same night."""
_YEAR_S = 365 * 86_400.0
NO_DATA = "no_data"


@dataclass(slots=True)
class EpochAnswer:
    """What was said of one epoch.

    Attributes:
        stage: the newest answer, None: unknown.
        probabilities: by stage; empty when nothing is known.
        reason: why there is no stage.
        quality: of the signal, 0 to 1.
        final: whether the answer is final.
        first_stage: the first answer, at once.
        delay_s: from the end of the epoch to its final answer; None before.
        epochs_seen: good epochs that the answer rests on; None where not told.
    """

    stage: str | None
    probabilities: dict[str, float]
    reason: str | None
    quality: float | None
    final: bool
    first_stage: str | None
    delay_s: float | None
    epochs_seen: int | None

    @property
    def confidence(self) -> float | None:
        """Largest probability, None when nothing is known."""
        return max(self.probabilities.values(), default=None)


@dataclass(slots=True)
class Night:
    """The answers about one stream, on a grid.

    Attributes:
        stream: its name.
        model: name and hash of the model that spoke last.
        simulated: whether any of the signal was simulated.
        live: whether it was a live run, whose clock is Unix time; of a replay it is the
            recording's own.
        start_unix_s: of the first epoch.
        epoch_s: length of an epoch.
        answers: by place on the grid; holes are missing.
        earlier: nights before this one in the same file.
        damaged: lines that could not be read.
    """

    stream: str
    model: str
    simulated: bool
    live: bool
    start_unix_s: float
    epoch_s: float
    answers: dict[int, EpochAnswer] = field(default_factory=dict)
    earlier: int = 0
    damaged: int = 0
    _clock_start_unix_s: float = 0.0
    _newest_s: float = 0.0
    _length: int = 0

    @property
    def epochs(self) -> list[EpochAnswer | None]:
        """The grid from its first to its last epoch, None where nothing was said."""
        return [self.answers.get(n) for n in range(self._length)]

    @property
    def stages(self) -> list[str | None]:
        """Stages of ``epochs``, None: unknown."""
        return [None if answer is None else answer.stage for answer in self.epochs]

    @property
    def dated(self) -> bool:
        """Whether the start is a time of day; a recording without a date begins in 1970."""
        return self.start_unix_s > _YEAR_S

    def take(self, row: dict[str, Any]) -> bool:
        """Take a statement about an epoch.

        Args:
            row: a line of the file.

        Returns:
            False when it belongs to another night.

        Raises:
            ValueError: it speaks of other stages.
        """
        answer = _answer(row)
        time_s, start_s = float(row["time_s"]), float(row["window"]["start_s"])
        if self.answers:
            self._follow_clock(_clock_start_unix_s(row), time_s, answer.epochs_seen)
        begin_s = start_s + self._clock_start_unix_s - self.start_unix_s
        hole_s = begin_s - self._length * self.epoch_s
        if hole_s > MAX_HOLE_S or begin_s < -0.5 * self.epoch_s:
            return False
        number = math.floor(begin_s / self.epoch_s + 0.5)
        before = self.answers.get(number)
        if before is not None and row["revision"]:
            answer.first_stage = before.first_stage
        self.answers[number] = answer
        self._length = max(self._length, number + 1)
        self._newest_s = time_s
        self.model, self.simulated = str(row["model"]), self.simulated or bool(row["simulated"])
        return True

    def _follow_clock(self, clock_start_unix_s: float, time_s: float, seen: int | None) -> None:
        """Tell a stream clock that began anew from a wall clock that was set."""
        moved_s = clock_start_unix_s - self._clock_start_unix_s
        moved = abs(moved_s) > self.epoch_s
        if time_s < self._newest_s - self.epoch_s or (moved and not seen):
            self._clock_start_unix_s = clock_start_unix_s  # the machine was started again
        elif moved:  # the model went on, so the stream did: only now is it known when it began
            self._clock_start_unix_s = clock_start_unix_s
            self.start_unix_s += moved_s


def read_nights(folder: Path) -> list[Night]:
    """Read the last night of each sleep stream.

    Args:
        folder: ``--out`` of a replay, or the directory of a live run's ``jsonl`` sink.

    Returns:
        One night a stream; none when no sleep stage was ever estimated there.

    Raises:
        SourceError: the predictions cannot be read.
    """
    path = next((folder / name for name in PREDICTIONS if (folder / name).is_file()), None)
    nights: dict[str, Night] = {}
    damaged = 0
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") or b'"task": "sleep"' not in line:
                    continue
                if b'"passing": true' in line:
                    continue
                try:
                    _take(json.loads(line), nights)
                except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
                    damaged += 1
    except OSError as error:
        raise SourceError(
            f"the predictions cannot be read: {error.strerror or error}",
            source=str(path),
            next_step="Name the folder that a replay or a run has written to",
        ) from error
    for night in nights.values():
        night.damaged = damaged
    return list(nights.values())


def _take(row: dict[str, Any], nights: dict[str, Night]) -> None:
    stream = str(row["stream"])
    night = nights.get(stream)
    if night is not None and night.take(row):
        return
    start_s, end_s = float(row["window"]["start_s"]), float(row["window"]["end_s"])
    clock_start_unix_s = _clock_start_unix_s(row)
    fresh = Night(
        stream=stream,
        model=str(row["model"]),
        simulated=bool(row["simulated"]),
        live=row["latency_s"] is not None,
        start_unix_s=clock_start_unix_s + start_s,
        epoch_s=end_s - start_s,
        earlier=0 if night is None else night.earlier + 1,
        _clock_start_unix_s=clock_start_unix_s,
    )
    fresh.take(row)
    nights[stream] = fresh


def _answer(row: dict[str, Any]) -> EpochAnswer:
    probabilities = {name: float(p) for name, p in row["probabilities"].items()}
    label, seen = row["label"], (row.get("evidence") or {}).get("epochs_seen")
    if set(probabilities) not in (set(), set(STAGES)) or label not in (None, *STAGES):
        raise ValueError(f"stages {sorted(probabilities)}, {label}")
    return EpochAnswer(
        stage=label,
        probabilities=probabilities,
        reason=row["abstained"],
        quality=row["quality"],
        final=bool(row["final"]),
        first_stage=label,
        delay_s=float(row["time_s"]) - float(row["window"]["end_s"]) if row["final"] else None,
        epochs_seen=None if seen is None else int(seen),
    )


def _clock_start_unix_s(row: dict[str, Any]) -> float:
    """Return the Unix time of the stream clock's 0, by the wall clock of this line."""
    moment = datetime.fromisoformat(str(row["time"]).removesuffix("Z"))
    return moment.replace(tzinfo=timezone.utc).timestamp() - float(row["time_s"])
