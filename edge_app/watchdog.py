"""Tells whoever keeps this process that it lives: systemd by a socket, a container by a file.

    READY=1      every bundle is loaded and held against its golden outputs, every stream is started
    WATCHDOG=1   the main loop runs, and so does the event loop of every stream
    STOPPING=1   asked to stop, or all streams have ended

A thread that hangs in native code cannot be ended from within, so when one stops beating the pings
stop, and after ``WatchdogSec=`` systemd starts the process anew. Protocol: sd_notify(3), a datagram
each. Without ``NOTIFY_SOCKET`` and ``BEDSIDE_ALIVE_FILE`` in the environment nothing is done.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

PING_EVERY_S = 5.0
"""Without a watchdog of systemd; with one, at most half its time."""
STALLED_AFTER_S = 10.0
"""An event loop that has not turned for so long hangs; an honest pause is one inference."""


class Watchdog:
    """Reports this process to systemd, and touches a file for a container's health check.

    Args:
        environment: where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC``, ``WATCHDOG_PID`` and
            ``BEDSIDE_ALIVE_FILE`` stand; None: the process's own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._socket = given.get("NOTIFY_SOCKET", "")
        self._file = Path(given["BEDSIDE_ALIVE_FILE"]) if given.get("BEDSIDE_ALIVE_FILE") else None
        self.every_s = _ping_every_s(given)
        self._next_s = 0.0
        self._said: list[str] = []

    def ready(self) -> None:
        """Tell that all is started."""
        self._send("READY=1")
        self._touch()

    def beat(self, stalled: Sequence[str], status: str) -> None:
        """Ping if it is time to and nothing hangs; call it often.

        Args:
            stalled: names of the streams whose event loop hangs.
            status: one line for `systemctl status`; no patient in it.
        """
        if list(stalled) != self._said:
            self._said = list(stalled)
            if stalled:
                logger.error(
                    "%s: hangs in native code for %g s; the watchdog gets no more pings",
                    ", ".join(stalled),
                    STALLED_AFTER_S,
                )
        if stalled or time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + self.every_s
        self._send(f"WATCHDOG=1\nSTATUS={status}")
        self._touch()

    def stopping(self) -> None:
        """Tell that it ends, and that the file is no sign of life any more."""
        self._send("STOPPING=1")
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _send(self, state: str) -> None:
        if not self._socket:
            return
        # "@" stands for the NUL byte of an abstract address.
        address = "\0" + self._socket[1:] if self._socket.startswith("@") else self._socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1.0)
                sender.sendto(state.encode(), address)
        except OSError as error:
            logger.warning("systemd was not told %s: %s", state.partition("\n")[0], error)

    def _touch(self) -> None:
        if self._file is None:
            return
        try:
            self._file.touch(mode=0o600)
        except OSError as error:
            logger.warning("%s: no sign of life can be left there: %s", self._file, error.strerror)


def _ping_every_s(given: Mapping[str, str]) -> float:
    if given.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return PING_EVERY_S
    try:
        watchdog_s = int(given.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return PING_EVERY_S
    return min(PING_EVERY_S, watchdog_s / 2.0) if watchdog_s > 0.0 else PING_EVERY_S
