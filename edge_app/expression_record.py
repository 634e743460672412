"""Reads facial expressions back from ``predictions.jsonl``: of a replay or a live run, at any time.

Only sums and a thinned timeline are kept, so a night of video needs no more memory than an hour.
The last line of a file may be half written.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_app.errors import SourceError
from edge_app.expression_shares import SHARE_WINDOWS_S, AnsweredTime, longest_step_s
from edge_app.expression_timeline import Point, RecordedTime, Timeline
from edge_app.sinks.episodes import EPISODES_FILE
from edge_app.sinks.files import writing_to
from edge_app.sleep_record import PREDICTIONS

SUMMARY_FILE = "expression.json"
PICTURE_FILE = "expression.png"
WINDOW_S = max(SHARE_WINDOWS_S)
"""Of the rolling distribution that the timeline shows."""


def _sums() -> defaultdict[Any, float]:
    return defaultdict(float)


@dataclass(frozen=True, slots=True)
class EpisodeLine:
    """A line of ``episodes.jsonl``, placed in the recording.

    Args:
        label: the expression.
        start_s: since the start of the recording.
        end_s: likewise.
        peak_s: likewise.
        peak_probability: the largest.
    """

    label: str
    start_s: float
    end_s: float
    peak_s: float
    peak_probability: float


@dataclass(slots=True)
class ExpressionRecord:
    """What was said about one stream.

    Attributes:
        stream: its name.
        time: of its answers.
        model: name and hash of the model that spoke last.
        labels: the expressions, in the model's order; empty while no face was ever usable.
        simulated: whether any of it was.
        seconds: covered time by expression; None: not sure which.
        unusable_s: time without a usable face by reason.
        unusable_times: how many stretches of it, by reason.
        others_s: time in which more than one face was seen.
        handovers: how often the face followed may have become another person's.
        changes: from one expression to another while the face stayed usable.
        baseline_s: seconds collected for the resting baseline, None: none was wanted.
        change_sum: by expression, change from rest times seconds.
        change_s: seconds that it was known for.
        timeline: the rolling distribution.
        episodes: in order.
        earlier: recordings before this one in the same file.
        damaged: lines that could not be read.
        assumed: what the replay had to assume of the recording, such as when pictures were taken.
    """

    stream: str
    time: RecordedTime = field(default_factory=RecordedTime)
    model: str = ""
    labels: tuple[str, ...] = ()
    simulated: bool = False
    seconds: defaultdict[str | None, float] = field(default_factory=_sums)
    unusable_s: defaultdict[str, float] = field(default_factory=_sums)
    unusable_times: Counter[str] = field(default_factory=Counter)
    others_s: float = 0.0
    handovers: int = 0
    changes: int = 0
    baseline_s: float | None = None
    change_sum: defaultdict[str, float] = field(default_factory=_sums)
    change_s: float = 0.0
    timeline: Timeline = field(default_factory=Timeline)
    episodes: list[EpisodeLine] = field(default_factory=list)
    earlier: int = 0
    damaged: int = 0
    assumed: tuple[str, ...] = ()
    _answered: AnsweredTime | None = None
    _person: float | None = None
    _shown: str | None = None
    _reason: str | None = None

    @property
    def covered_s(self) -> float:
        """Time with a usable face."""
        return sum(self.seconds.values())

    @property
    def coverage(self) -> float:
        """Share of the whole time with a usable face."""
        return min(1.0, self.covered_s / self.time.length_s) if self.time.length_s else 0.0

    @property
    def silent_s(self) -> float:
        """Time for which nothing was said at all."""
        said_s = self.covered_s + sum(self.unusable_s.values())
        return max(0.0, self.time.length_s - said_s)

    @property
    def changes_per_min(self) -> float | None:
        """Changes of expression a minute of covered time; None without any."""
        return 60.0 * self.changes / self.covered_s if self.covered_s else None

    def mean_change(self, label: str) -> float | None:
        """Return the mean change of an expression's log-odds from rest; None where not known."""
        return self.change_sum[label] / self.change_s if self.change_s else None

    def take(self, row: dict[str, Any]) -> bool:
        """Take a line of the file.

        Args:
            row: a prediction.

        Returns:
            False when it belongs to another recording.
        """
        time_s, window = float(row["time_s"]), row["window"]
        if not self.time.follow(time_s, _unix_s(row["time"])):
            return False
        if self._answered is None:
            rate_hz = 1.0 / (float(window["end_s"]) - float(window["start_s"]))
            self._answered = AnsweredTime(longest_step_s(rate_hz))
        stood_s = time_s - self._answered.since_s(time_s)
        self.model, self.simulated = str(row["model"]), self.simulated or bool(row["simulated"])
        self.labels = self.labels or tuple(row["probabilities"])
        self._count(row, stood_s)
        self._count_evidence(row["evidence"], stood_s)
        return True

    def place(self, row: dict[str, Any]) -> None:
        """Take a line of ``episodes.jsonl`` if it belongs to this recording."""
        shift_s = self.time.shift_s(float(row["start_s"]), _unix_s(row["start"]))
        if shift_s is not None:
            start_s, end_s, peak_s = (
                float(row[f"{name}_s"]) + shift_s for name in ("start", "end", "peak")
            )
            probability = float(row["peak_probability"])
            self.episodes.append(
                EpisodeLine(str(row["label"]), start_s, end_s, peak_s, probability)
            )

    def _count(self, row: dict[str, Any], stood_s: float) -> None:
        label, reason = row["label"], None if row["probabilities"] else str(row["abstained"])
        if stood_s == 0.0 or reason is not None:
            self._shown = None
        if reason is None:
            self.seconds[label] += stood_s
        else:
            self.unusable_s[reason] += stood_s
            self.unusable_times[reason] += reason != self._reason
        if label is not None:
            self.changes += self._shown not in (None, label)
            self._shown = label
        self._reason = reason

    def _count_evidence(self, evidence: dict[str, float], stood_s: float) -> None:
        self.others_s += stood_s if evidence.get("faces", 0.0) > 1.0 else 0.0
        person = evidence.get("person", self._person)
        self.handovers += self._person not in (None, person)
        self._person = person
        self.baseline_s = evidence.get("baseline_s", self.baseline_s)
        changes = _by_label(evidence, self.labels, "change_{}")
        if changes:
            self.change_s += stood_s
        for label, change in changes.items():
            self.change_sum[label] += change * stood_s
        shares = _by_label(evidence, self.labels, f"share_{{}}_{WINDOW_S:g}_s")
        coverage = evidence.get(f"coverage_{WINDOW_S:g}_s", 0.0)
        self.timeline.add(Point(self.time.length_s, coverage, shares))


def _by_label(evidence: dict[str, float], labels: tuple[str, ...], form: str) -> dict[str, float]:
    """Return the values that are told, by expression."""
    found = {label: evidence.get(form.format(label)) for label in labels}
    return {label: float(value) for label, value in found.items() if value is not None}


def read_expressions(folder: Path) -> list[ExpressionRecord]:
    """Read the last recording of each stream with facial expressions.

    Args:
        folder: ``--out`` of a replay, or the directory of a live run's ``jsonl`` sink.

    Returns:
        One record a stream; none when no face was ever looked for there.

    Raises:
        SourceError: a file cannot be read.
    """
    records: dict[str, ExpressionRecord] = {}
    damaged = 0
    for row in _rows(folder, PREDICTIONS):
        try:
            _take(row, records)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            damaged += 1
    for row in _rows(folder, (EPISODES_FILE, f"{EPISODES_FILE}.part")):
        try:
            if row["stream"] in records:
                records[row["stream"]].place(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged += 1
    found = [record for record in records.values() if record.time.begun]
    for record in found:
        record.damaged = damaged
        record.assumed = _assumed(folder / "health.json", record.stream)
    return found


def _assumed(path: Path, stream: str) -> tuple[str, ...]:
    """Return the assumptions that a replay has noted; none after a live run."""
    try:
        health = json.loads(path.read_bytes())
        return tuple(map(str, health["assumptions"])) if health["stream"] == stream else ()
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _take(row: Any, records: dict[str, ExpressionRecord]) -> None:
    record = records.setdefault(str(row["stream"]), ExpressionRecord(str(row["stream"])))
    if not record.take(row):
        fresh = ExpressionRecord(record.stream, earlier=record.earlier + 1)
        fresh.take(row)
        records[record.stream] = fresh


def _rows(folder: Path, names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the whole lines about facial expression of the first of these files; None: damaged."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n") and b'"task": "emotion"' in line:
                    yield _parsed(line)
    except OSError as error:
        raise SourceError(
            f"the results cannot be read: {error.strerror or error}",
            source=str(path),
            next_step="Name the folder that a replay or a run has written to",
        ) from error


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _unix_s(text: object) -> float:
    moment = datetime.fromisoformat(str(text).removesuffix("Z"))
    return moment.replace(tzinfo=timezone.utc).timestamp()


def remove_report(folder: Path) -> None:
    """Remove an earlier report, so that it is not taken for one on the newer predictions.

    Raises:
        SinkError: it cannot be removed.
    """
    for name in (SUMMARY_FILE, PICTURE_FILE):
        with writing_to(folder / name):
            (folder / name).unlink(missing_ok=True)
