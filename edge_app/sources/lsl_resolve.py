"""Which LSL stream is wanted, and looking for it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from edge_app.errors import SourceError, SourceNotFoundError
from edge_app.sources.liblsl import load_pylsl

_LOOK_EVERY_S = 0.05
_OTHERS_ANSWER_WITHIN_S = 0.3
"""Another outlet that fits may be asked only 0.1 s later (``liblsl``'s MulticastMinRTT)."""


@dataclass(frozen=True, slots=True)
class LslQuery:
    """What is known of the wanted stream; all that is given must match.

    Args:
        source_id: the outlet's source id, the surest way to name a sensor.
        stream_name: the outlet's name.
        stream_type: the outlet's type, upper and lower case alike; None where nothing else is given
            means EEG.
        hostname: the machine that sends, upper and lower case alike.
    """

    source_id: str | None = None
    stream_name: str | None = None
    stream_type: str | None = None
    hostname: str | None = None

    def __str__(self) -> str:
        wanted = (
            ("source_id", self.source_id),
            ("name", self.stream_name),
            ("type", self._type),
            ("hostname", self.hostname),
        )
        return " and ".join(f"{key} {value!r}" for key, value in wanted if value is not None)

    @property
    def _type(self) -> str | None:
        other = (self.source_id, self.stream_name, self.hostname)
        return "EEG" if self.stream_type is None and other == (None,) * 3 else self.stream_type

    def fits(self, info: Any) -> bool:
        """Return whether an outlet is one that is wanted.

        Args:
            info: pylsl's description of it.
        """
        stream_type, hostname = self._type, self.hostname
        return (
            (self.source_id is None or info.source_id() == self.source_id)
            and (self.stream_name is None or info.name() == self.stream_name)
            and (stream_type is None or info.type().lower() == stream_type.lower())
            and (hostname is None or info.hostname().lower() == hostname.lower())
        )


def resolve(
    query: LslQuery,
    *,
    name: str,
    timeout_s: float,
    cancelled: threading.Event,
    session: str | None = None,
) -> Any:
    """Return the one outlet that fits.

    Args:
        query: what is wanted.
        name: the stream's name in this program, for errors.
        timeout_s: how long to look.
        cancelled: set from another thread to give up.
        session: the only one that this process hears, for errors; None: liblsl's own.

    Raises:
        SourceNotFoundError: none.
        SourceError: more than one.
    """
    found, heard = _search(query, timeout_s, cancelled)
    if not found:
        raise SourceNotFoundError(
            f"no LSL stream with {query} in {timeout_s:g} s",
            source=name,
            got=heard or "no stream at all",
            next_step="Start the outlet or correct what names it; "
            f"{_heard(session)}; `edge-app devices --config YOUR.yaml` lists what this device "
            "hears",
        )
    if len(found) > 1:
        raise SourceError(
            f"several LSL streams have {query}",
            source=name,
            got=sorted(map(_said, found)),
            next_step="Name one by its source_id, or end the outlet that was left running",
        )
    return found[0]


def _search(
    query: LslQuery, timeout_s: float, cancelled: threading.Event
) -> tuple[list[Any], list[str]]:
    """Return the outlets that fit, and all that were heard in words.

    The resolver ends with this call: it has a thread and ten sockets, and the traceback of an error
    raised here would keep them for as long as the error is kept.
    """
    resolver = load_pylsl().ContinuousResolver()
    deadline_s = time.monotonic() + timeout_s
    found: list[Any] = []
    while not found and time.monotonic() < deadline_s and not cancelled.wait(_LOOK_EVERY_S):
        found = [info for info in resolver.results() if query.fits(info)]
    if found:
        cancelled.wait(_OTHERS_ANSWER_WITHIN_S)
    heard = resolver.results()
    if found:
        found = [info for info in heard if query.fits(info)]
    return found, sorted(map(_said, heard))


def _heard(session: str | None) -> str:
    if session is None:
        return "streams with a session of their own are not heard without `lsl: {session: ...}`"
    return f"this device hears session {session!r} only"


def _said(info: Any) -> str:
    return f"{info.name()} ({info.source_id()}) on {info.hostname()}"
