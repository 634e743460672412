"""Sleep statistics of a hypnogram, of a whole night or of the night so far.

Definitions: AASM manual; names of their own where two definitions are in use. Unknown epochs count
as nothing: not as W, not as the stage before. Latencies and spans that unknown time could have
shortened or lengthened say so by ``onset_uncertain``, ``rem_uncertain`` and ``lower_bound``. Lights
off and on count from the nearest border of an epoch, so that the parts add up to the time in bed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge_app.errors import ConfigError

WAKE = "W"
REM = "R"
STAGES = (WAKE, "N1", "N2", "N3", REM)
MAX_UNKNOWN_SHARE = 0.05
"""Beyond this share of TIB unknown, TST is a lower bound."""


@dataclass(frozen=True, slots=True)
class SleepStatistics:
    """What a night was; minutes, percent, counts an hour. None: not defined for this night.

    Args:
        tib_min: time in bed, lights off to lights on, so far.
        tib_is_recording: True where lights off or on was not given, or lights on is later than the
            last epoch: the recording's start or end stands for it.
        spt_min: sleep period, first to last sleep epoch inclusive.
        tst_min: total sleep time, N1 + N2 + N3 + R; a lower bound while epochs are unknown.
        se_percent: sleep efficiency, TST of TIB.
        sme_percent: sleep maintenance efficiency, TST of SPT.
        sol_min: sleep onset latency, lights off to the first epoch that is sleep.
        waso_min: W after sleep onset until lights on.
        waso_in_spt_min: W within the sleep period only.
        rem_latency_min: first sleep epoch to first R epoch (AASM).
        rem_latency_lights_off_min: lights off to first R epoch; other tools call it REM latency.
        stage_min: minutes by stage, W within TIB.
        stage_percent: percent of TST by sleep stage; None without sleep.
        unknown_min: of TIB, without a stage.
        lower_bound: more than 5 % of TIB is unknown: TST and stages are lower bounds.
        onset_uncertain: time before the first known sleep is unknown: sleep may have begun earlier.
        rem_uncertain: time between it and the first known R is unknown: R may have begun earlier.
        transitions: changes of stage between known neighbours within the sleep period.
        transitions_per_hour_tst: the same an hour of TST.
        transitions_per_hour_spt: the same an hour of SPT.
        changes_per_hour: changes of stage an hour of known neighbours, in the whole of TIB.
    """

    tib_min: float
    tib_is_recording: bool
    spt_min: float
    tst_min: float
    se_percent: float | None
    sme_percent: float | None
    sol_min: float | None
    waso_min: float | None
    waso_in_spt_min: float | None
    rem_latency_min: float | None
    rem_latency_lights_off_min: float | None
    stage_min: dict[str, float]
    stage_percent: dict[str, float] | None
    unknown_min: float
    lower_bound: bool
    onset_uncertain: bool
    rem_uncertain: bool
    transitions: int
    transitions_per_hour_tst: float | None
    transitions_per_hour_spt: float | None
    changes_per_hour: float | None


def sleep_statistics(
    stages: Sequence[str | None],
    *,
    epoch_s: float = 30.0,
    lights_off_s: float | None = None,
    lights_on_s: float | None = None,
) -> SleepStatistics:
    """Compute the statistics of a hypnogram.

    Args:
        stages: one of ``STAGES`` an epoch, None: unknown; any length, so also the night so far.
        epoch_s: length of an epoch.
        lights_off_s: from the start of the first epoch, may lie before it; None: that start.
        lights_on_s: likewise; None, or later than the end of the last epoch: that end.

    Returns:
        Statistics, defined for every night: no epochs, no sleep, no REM, nothing known.

    Raises:
        ConfigError: lights off is after lights on or after the last epoch, or a stage has another
            name.
    """
    odd = sorted({stage for stage in stages if stage is not None} - set(STAGES))
    if odd:
        raise ConfigError(
            "these are no sleep stages",
            expected=", ".join(STAGES),
            got=", ".join(odd),
            next_step="Correct the stages",
        )
    end_s = epoch_s * len(stages)
    off_s = 0.0 if lights_off_s is None else lights_off_s
    on_s = end_s if lights_on_s is None else lights_on_s
    if off_s > min(on_s, end_s):
        raise ConfigError(
            "lights off must come before lights on and before the end of the last epoch",
            expected=f"lights off at {min(on_s, end_s):g} s or earlier",
            got=f"lights off at {off_s:g} s, on at {on_s:g} s of {end_s:g} s",
            next_step="Correct --lights-off or --lights-on; if the night has just begun, ask later",
        )
    first = math.ceil(off_s / epoch_s - 0.5)  # an epoch counts if its middle is in bed
    last = math.ceil(min(on_s, end_s) / epoch_s - 0.5)
    before: list[str | None] = [None] * (min(last, 0) - first)  # in bed, not recorded yet
    given = lights_off_s is not None and lights_on_s is not None and lights_on_s <= end_s
    return _statistics(
        [*before, *stages[max(0, first) : max(0, last)]], epoch_s, is_recording=not given
    )


def _statistics(stages: list[str | None], epoch_s: float, *, is_recording: bool) -> SleepStatistics:
    """Return the statistics of the epochs in bed."""

    def minutes(epochs: int) -> float:
        return epochs * epoch_s / 60.0

    asleep = [n for n, stage in enumerate(stages) if stage not in (None, WAKE)]
    onset, end = (asleep[0], asleep[-1] + 1) if asleep else (len(stages), 0)
    rem = stages.index(REM) if REM in stages else None
    period = stages[onset:end]
    tib_min, spt_min, tst_min = minutes(len(stages)), minutes(len(period)), minutes(len(asleep))
    unknown_min = minutes(stages.count(None))
    transitions, _ = _changes(period)
    changes, pairs = _changes(stages)
    stage_min = {stage: minutes(stages.count(stage)) for stage in STAGES}
    return SleepStatistics(
        tib_min=tib_min,
        tib_is_recording=is_recording,
        spt_min=spt_min,
        tst_min=tst_min,
        se_percent=_ratio(100.0 * tst_min, tib_min),
        sme_percent=_ratio(100.0 * tst_min, spt_min),
        sol_min=minutes(onset) if asleep else None,
        waso_min=minutes(stages[onset:].count(WAKE)) if asleep else None,
        waso_in_spt_min=minutes(period.count(WAKE)) if asleep else None,
        rem_latency_min=None if rem is None else minutes(rem - onset),
        rem_latency_lights_off_min=None if rem is None else minutes(rem),
        stage_min=stage_min,
        stage_percent={stage: 100.0 * stage_min[stage] / tst_min for stage in STAGES[1:]}
        if asleep
        else None,
        unknown_min=unknown_min,
        lower_bound=unknown_min > MAX_UNKNOWN_SHARE * tib_min,
        onset_uncertain=None in stages[:onset],
        rem_uncertain=rem is not None and None in stages[onset:rem],
        transitions=transitions,
        transitions_per_hour_tst=_ratio(60.0 * transitions, tst_min),
        transitions_per_hour_spt=_ratio(60.0 * transitions, spt_min),
        changes_per_hour=_ratio(60.0 * changes, minutes(pairs)),
    )


def _changes(stages: Sequence[str | None]) -> tuple[int, int]:
    """Return changes of stage, and pairs of neighbours that are both known."""
    pairs = [
        (before, after)
        for before, after in pairwise(stages)
        if before is not None and after is not None
    ]
    return sum(before != after for before, after in pairs), len(pairs)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0.0 else None
