"""A night as a person would look at it: statistics, how sure, what is unknown, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from edge_app.counted import counted
from edge_app.sleep_lights import in_words, lights, span
from edge_app.sleep_record import NO_DATA, EpochAnswer, Night
from edge_app.sleep_smoothing import without_flicker
from edge_app.sleep_statistics import STAGES, SleepStatistics, sleep_statistics
from edge_app.tasks.sleep import WARM_UP_EPOCHS

SURE_ABOVE = (0.5, 0.7, 0.9)
NOTE = "Not a medical device: estimated stages, for trend and research."
ROWS = (
    ("tib_min", "time in bed (TIB)", "min"),
    ("spt_min", "sleep period (SPT)", "min"),
    ("tst_min", "total sleep time (TST)", "min"),
    ("se_percent", "sleep efficiency, TST of TIB", "%"),
    ("sme_percent", "sleep maintenance, TST of SPT", "%"),
    ("sol_min", "sleep onset latency", "min"),
    ("waso_min", "wake after sleep onset, until lights on", "min"),
    ("waso_in_spt_min", "wake after sleep onset, within SPT", "min"),
    ("rem_latency_min", "REM latency from sleep onset (AASM)", "min"),
    ("rem_latency_lights_off_min", "REM latency from lights off", "min"),
    ("unknown_min", "unknown", "min"),
    ("transitions_per_hour_tst", "transitions", "an hour of TST"),
    ("transitions_per_hour_spt", "transitions", "an hour of SPT"),
    ("changes_per_hour", "stage changes", "an hour in bed"),
)
"""Statistic, what people call it, unit."""


@dataclass(frozen=True, slots=True)
class SleepReport:
    """What can be said of a night, between the lights where they are given.

    Args:
        night: the answers.
        statistics: of the raw answers.
        smoothed: stages of ``sleep_smoothing``, for display; None: unknown.
        smoothed_statistics: of them.
        lights_off_s: from the first epoch, None: not given.
        lights_on_s: likewise.
    """

    night: Night
    statistics: SleepStatistics
    smoothed: tuple[str | None, ...]
    smoothed_statistics: SleepStatistics
    lights_off_s: float | None
    lights_on_s: float | None

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return statistic, unit, raw and smoothed value, as text."""
        raw, calm = self.statistics, self.smoothed_statistics
        return [
            (title, unit, _text(getattr(raw, name)), _text(getattr(calm, name)))
            for name, title, unit in ROWS
        ]

    def stage_table(self) -> list[tuple[str, ...]]:
        """Return stage, minutes, % of TST, then the shares of its epochs that are surer than each.

        The shares are of ``SURE_ABOVE``, raw answers.
        """
        statistics, coverage, rows = self.statistics, self.coverage(), []
        for stage in STAGES:
            percent = None if stage == "W" else (statistics.stage_percent or {}).get(stage)
            sure = coverage[stage].values()
            shares = [_text(None if share is None else 100.0 * share) for share in sure]
            rows.append((stage, _text(statistics.stage_min[stage]), _text(percent), *shares))
        return rows

    def coverage(self) -> dict[str, dict[str, float | None]]:
        """Return by stage and limit the share of its epochs at least so sure; None: no epochs."""
        found: dict[str, dict[str, float | None]] = {}
        for stage in STAGES:
            sure = [a.confidence or 0.0 for a in self._answered if a.stage == stage]
            found[stage] = {
                f"{limit:g}": float(np.mean(np.array(sure) >= limit)) if sure else None
                for limit in SURE_ABOVE
            }
        return found

    def reasons(self) -> dict[str, int]:
        """Return how many epochs are unknown, by reason; ``no_data``: nothing was said.

        ``not_recorded``: lights were off before the recording began.
        """
        unknown = Counter(reason for reason in map(_reason, self._in_bed) if reason)
        unknown["not_recorded"] = max(0, -self._span[0])
        return {reason: n for reason, n in unknown.most_common() if n}

    def revision_rate(self) -> float | None:
        """Return the share of first answers that the final one contradicts; None without any."""
        settled = [a for a in self._answered if a.final and a.first_stage is not None]
        return float(np.mean([a.stage != a.first_stage for a in settled])) if settled else None

    def delays_s(self) -> tuple[float, float] | None:
        """Return median and largest time from an epoch's end to its final stage."""
        delays_s = [a.delay_s for a in self._answered if a.stage and a.delay_s is not None]
        return (median(delays_s), max(delays_s)) if delays_s else None

    def warming_up(self) -> int:
        """Return how many stages rest on less than ten minutes of history."""
        return sum(map(_warming_up, self._in_bed))

    @property
    def _span(self) -> tuple[int, int]:
        return span(self.night, self.lights_off_s, self.lights_on_s)

    @property
    def _in_bed(self) -> list[EpochAnswer | None]:
        first, end = self._span
        return self.night.epochs[max(0, first) : end]

    @property
    def _answered(self) -> list[EpochAnswer]:
        return [answer for answer in self._in_bed if answer is not None]


def report_on(night: Night, *, off: str | None = None, on: str | None = None) -> SleepReport:
    """Compute everything that a report says.

    Args:
        night: the answers so far.
        off: lights off, see ``sleep_lights.lights``.
        on: lights on.

    Returns:
        The report.

    Raises:
        ConfigError: lights that cannot be used.
    """
    off_s, on_s = lights(night, off, on)
    span(night, off_s, on_s)  # says in words what is wrong with them
    raw = night.stages
    calm = without_flicker(raw)

    def statistics(stages: Sequence[str | None]) -> SleepStatistics:
        return sleep_statistics(stages, epoch_s=night.epoch_s, lights_off_s=off_s, lights_on_s=on_s)

    return SleepReport(night, statistics(raw), tuple(calm), statistics(calm), off_s, on_s)


def lines(report: SleepReport) -> list[str]:
    """Return what the tables do not say, in sentences."""
    night, statistics = report.night, report.statistics
    said = in_words(night, report.lights_off_s, report.lights_on_s)
    if statistics.lower_bound:
        share = 100.0 * statistics.unknown_min / statistics.tib_min
        said.append(f"{share:.0f} % of the time is unknown: sleep times are lower bounds")
    if statistics.onset_uncertain and statistics.sol_min is not None:
        said.append("time before the first known sleep is unknown: sleep may have begun earlier")
    if statistics.rem_uncertain:
        said.append("time before the first known REM is unknown: REM may have begun earlier")
    for reason, n in report.reasons().items():
        said.append(f"unknown, {reason.replace('_', ' ')}: {counted(n, 'epoch')}")
    rate, delays_s = report.revision_rate(), report.delays_s()
    if rate is not None and delays_s is not None:
        said.append(
            f"{100.0 * rate:.1f} % of first answers were revised; final after "
            f"{delays_s[0]:.0f} s, {delays_s[1]:.0f} s at most"
        )
    said.append(
        "smoothed: for display; the statistics to quote are the estimated ones. A single epoch "
        "between two of one other stage is shown as that stage; W always stays"
    )
    if warming := report.warming_up():
        verb = "rests" if warming == 1 else "rest"
        said.append(
            f"warming up: {counted(warming, 'epoch')} {verb} on less than ten minutes of history"
        )
    open_epochs = sum(not answer.final for answer in night.answers.values())
    if open_epochs:
        said.append(f"not over yet: {counted(open_epochs, 'epoch')} provisional")
    if night.earlier:
        said.append(f"not shown: {counted(night.earlier, 'earlier night')} in the same file")
    if night.damaged:
        said.append(f"left out: {counted(night.damaged, 'damaged line')}")
    if night.simulated:
        said.append("SIMULATED: nothing here says anything about a person")
    return [*said, NOTE]


def in_short(report: SleepReport) -> str:
    """Return a night in one sentence."""
    found = report.statistics
    if not found.tst_min:
        return f"no sleep known; unknown {found.unknown_min:.1f} of {found.tib_min:.1f} min"
    bound = "at least " if found.lower_bound else ""
    rem = (
        "no REM known"
        if found.rem_latency_min is None
        else f"REM {found.rem_latency_min:.1f} min later"
    )
    return (
        f"asleep {bound}{found.tst_min:.1f} of {found.tib_min:.1f} min ({found.se_percent:.0f} %), "
        f"onset after {found.sol_min:.1f} min, {rem}, awake {found.waso_min:.1f} min after onset, "
        f"{_text(found.changes_per_hour)} stage changes an hour, "
        f"{found.unknown_min:.1f} min unknown"
    )


def unknown_stretches(night: Night) -> list[tuple[int, int, str]]:
    """Return first epoch, end and reason of every run of unknown epochs with one reason."""
    return _stretches([_reason(answer) for answer in night.epochs])


def warm_up_stretches(night: Night) -> list[tuple[int, int]]:
    """Return first epoch and end of every run of stages on less than ten minutes of history."""
    marks = ["warming up" if _warming_up(answer) else "" for answer in night.epochs]
    return [(first, end) for first, end, _ in _stretches(marks)]


def _stretches(marks: Sequence[str]) -> list[tuple[int, int, str]]:
    borders = [0, *(n for n, (a, b) in enumerate(pairwise(marks), 1) if a != b), len(marks)]
    return [(a, b, marks[a]) for a, b in pairwise(borders) if a < b and marks[a]]


def _warming_up(answer: EpochAnswer | None) -> bool:
    seen = None if answer is None or answer.stage is None else answer.epochs_seen
    return seen is not None and seen < WARM_UP_EPOCHS


def _reason(answer: EpochAnswer | None) -> str:
    if answer is None:
        return NO_DATA
    return "" if answer.stage is not None else (answer.reason or "unknown")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
