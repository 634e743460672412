"""Lights off and lights on as a person gives them: a time of day, or seconds from the start."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from edge_app.errors import ConfigError
from edge_app.sleep_record import Night

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_DAY = timedelta(days=1)


def lights(night: Night, off: str | None, on: str | None) -> tuple[float | None, float | None]:
    """Return lights off and lights on in seconds from the night's first epoch.

    A time of day is that of the recording's own clock in a replay, of this machine's time zone in a
    live run. Lights off is the last one before the end of the record, so that of days on end the
    last night is meant, else the one nearest to the start; lights on is the next one after it.

    Args:
        night: what it is about.
        off: such as ``22:45``, ``22:45:30`` or ``1260``; None: not known.
        on: likewise.

    Returns:
        Seconds, None where not given.

    Raises:
        ConfigError: neither form, or a time of day where the recording has none.
    """
    off_s = None if off is None else _seconds(night, off, "--lights-off", None)
    on_s = None if on is None else _seconds(night, on, "--lights-on", off_s or 0.0)
    return off_s, on_s


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
    zone = None if night.live else timezone.utc  # None: this machine's, summer time and all
    start = datetime.fromtimestamp(night.start_unix_s, zone).replace(tzinfo=None)
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
    return moment.replace(tzinfo=zone).timestamp() - night.start_unix_s


def _plain_seconds(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 10.0 * _DAY.total_seconds():
        raise ConfigError(
            f"{option} cannot be used",
            expected="a time of day such as 22:45, or seconds from the start",
            got=text,
            next_step=f"Correct {option}",
        )
    return value
