"""Lights off and lights on as a person gives them: a time of day, or seconds from the start."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

from edge_app.errors import ConfigError
from edge_app.sleep_record import Night

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_LIKE_CLOCK = re.compile(r"([01]?\d|2[0-3])[.,]([0-5]\d)")
"""22.45: half the world writes a time of day like that."""
_DAY = timedelta(days=1)


def lights(night: Night, off: str | None, on: str | None) -> tuple[float | None, float | None]:
    """Return lights off and lights on in seconds from the night's first epoch.

    A time of day is that of the recording's own clock in a replay, of this machine's time zone in a
    live run. Lights off is the last one before the end of the record, so that of days on end the
    last night is meant, else the one nearest to the start; lights on is the next one after it.

    Args:
        night: what it is about.
        off: such as ``22:45``, ``22:45:30``, ``1260`` or ``1260.5s``; None: not known.
        on: likewise.

    Returns:
        Seconds, None where not given.

    Raises:
        ConfigError: neither form, or both such as ``22.45``, or a time of day where the recording
            has none.
    """
    off_s = None if off is None else _seconds(night, off, "--lights-off", None)
    on_s = None if on is None else _seconds(night, on, "--lights-on", off_s or 0.0)
    return off_s, on_s


def span(night: Night, off_s: float | None, on_s: float | None) -> tuple[int, int]:
    """Return the first epoch between the lights and the one after the last, as counted in bed.

    Args:
        night: what it is about.
        off_s: lights off from the first epoch; None: that start.
        on_s: lights on likewise; None: the end of the last epoch.

    Returns:
        Epochs; the first is negative where lights off came before the recording.

    Raises:
        ConfigError: no epoch is between the lights.
    """
    length, epoch_s = len(night.epochs), night.epoch_s
    off_s, on_s = off_s or 0.0, length * epoch_s if on_s is None else on_s
    first = math.ceil(off_s / epoch_s - 0.5)  # an epoch counts if its middle is in bed
    end = min(length, math.ceil(on_s / epoch_s - 0.5))
    if max(first, 0) >= end:
        raise ConfigError(
            _wrong(night, off_s, on_s),
            source="--lights-off, --lights-on",
            expected=f"lights within {_clock(night, 0.0)} to {_clock(night, length * epoch_s)}",
            got=f"off {_moment(night, off_s)}, on {_moment(night, on_s)}",
            next_step="Correct them; if the night has just begun, ask later",
        )
    return first, end


def _wrong(night: Night, off_s: float, on_s: float) -> str:
    if off_s >= len(night.epochs) * night.epoch_s:
        return "lights off is after the end of the recording"
    if on_s <= 0.0:
        return "lights on is before the start of the recording"
    return "lights on is before lights off" if on_s < off_s else "no epoch is between the lights"


def in_words(night: Night, off_s: float | None, on_s: float | None) -> list[str]:
    """Return what was taken for lights off and on, in sentences.

    Args:
        night: what it is about.
        off_s: lights off from the first epoch, None: not given.
        on_s: lights on likewise.

    Returns:
        Sentences; the first names both.
    """
    end_s = len(night.epochs) * night.epoch_s
    off = "not given" if off_s is None else _moment(night, off_s)
    on = "not given" if on_s is None else _moment(night, on_s)
    said = [f"lights off {off}, lights on {on}"]
    if off_s is None:
        said.append("lights off is missing: the start of the recording stands for it")
    elif off_s < -0.5 * night.epoch_s:
        said.append("lights off is before the recording: the time until its start is unknown")
    if on_s is None:
        said.append("lights on is missing: the end of the recording so far stands for it")
    elif on_s > end_s:
        said.append(
            f"lights on is {(on_s - end_s) / 60.0:.1f} min after the last epoch: the end of the"
            " recording so far stands for it"
        )
    if off_s is not None or on_s is not None:
        said.append("all figures are of the time between the lights, the picture is of all")
    return said


def _moment(night: Night, at_s: float) -> str:
    side = "before" if at_s < 0.0 else "after"
    far = f"{abs(at_s) / 60.0:.1f} min {side} the start"
    return f"{_clock(night, at_s)} ({far})" if night.dated else far


def _clock(night: Night, at_s: float) -> str:
    return f"{clock_time(night, at_s):%H:%M:%S}" if night.dated else f"{at_s:g}s"


def clock_time(night: Night, at_s: float) -> datetime:
    """Return a time of day: of the recording's own clock, live of this machine's time zone.

    Args:
        night: what it is about, dated.
        at_s: from its first epoch.

    Returns:
        The moment, without a time zone.
    """
    zone = None if night.live else timezone.utc  # None: this machine's, summer time and all
    return datetime.fromtimestamp(night.start_unix_s + at_s, zone).replace(tzinfo=None)


def _seconds(night: Night, text: str, option: str, after_s: float | None) -> float:
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return _plain_seconds(text, option)
    if not night.dated:
        raise ConfigError(
            "the recording does not say when it began",
            source=option,
            got=text,
            next_step="Give seconds from the start instead",
        )
    start = clock_time(night, 0.0)
    hour, minute, second = (int(part or 0) for part in match.groups())
    moment = start.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if after_s is None:
        end = start + timedelta(seconds=len(night.epochs) * night.epoch_s)
        moment += _DAY * round((start - moment) / _DAY)
        while moment + _DAY < end:
            moment += _DAY
    else:
        earliest = start + timedelta(seconds=after_s)
        moment -= _DAY
        while moment <= earliest:
            moment += _DAY
    zone = None if night.live else timezone.utc
    return moment.replace(tzinfo=zone).timestamp() - night.start_unix_s


def _plain_seconds(text: str, option: str) -> float:
    text = text.strip()
    if like := _LIKE_CLOCK.fullmatch(text):
        hour, minute = like.groups()
        raise ConfigError(
            "this could be a time of day or seconds",
            source=option,
            got=text,
            next_step=f"Write {hour}:{minute}, or {hour}.{minute}s for seconds from the start",
        )
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = float("nan")
    if not abs(value) < 10.0 * _DAY.total_seconds():
        raise ConfigError(
            f"{option} cannot be used",
            expected="a time of day such as 22:45, or seconds from the start such as 1260s",
            got=text,
            next_step=f"Correct {option}",
        )
    return value
