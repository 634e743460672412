"""Marker streams of Lab Streaming Layer: texts at irregular times, from whoever sends them.

One thread looks for outlets of text without a rate, connects to each that comes, and forgets each
that goes; no call in it blocks. A marker pushed in the half second before an outlet has been found
and connected never arrives: LSL delivers only what is sent afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from edge_app.sources.liblsl import LslNetwork, configure_liblsl, load_pylsl

logger = logging.getLogger(__name__)

MAX_STREAMS = 32
_LOOK_EVERY_S = 0.05
_MAX_PULL = 256
_BUFFER_S = 10


@dataclass(frozen=True, slots=True)
class Marker:
    """One text.

    Args:
        time_s: when, on this machine's monotonic clock.
        stream: name of the stream it came from.
        text: as sent; several channels are joined by tabs.
    """

    time_s: float
    stream: str
    text: str


class LslMarkers:
    """Collects the markers of all streams of text in the LSL session.

    Args:
        network: which outlets this process hears; the same for all LSL sources of a process.
        max_held: markers that wait to be taken; further ones push out the oldest.

    Attributes:
        dropped: markers pushed out.
        streams: names of the streams connected at present.
        ignored: further streams that are there and not read, beyond ``MAX_STREAMS``.
    """

    def __init__(self, network: LslNetwork | None = None, *, max_held: int = 10_000) -> None:
        self.dropped = self.ignored = 0
        self.streams: tuple[str, ...] = ()
        self._network = network or LslNetwork()
        self._held: deque[Marker] = deque(maxlen=max_held)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen.

        Raises:
            SourceError: no liblsl.
            ConfigError: this process already uses another network.
        """
        configure_liblsl(self._network)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="lsl-markers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End listening; may be called twice. What has come can still be taken."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join()

    def take(self) -> list[Marker]:
        """Return what has come since the last call, in the order of arrival; from any thread."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._held.popleft())
        return taken

    async def __aiter__(self) -> AsyncIterator[Marker]:
        """Yield markers as they come, until ``stop``."""
        while self._thread is not None:
            for marker in self.take():
                yield marker
            await asyncio.sleep(_LOOK_EVERY_S)
        for marker in self.take():
            yield marker

    def _run(self) -> None:
        pylsl = load_pylsl()
        resolver = pylsl.ContinuousResolver(pred="channel_format='string' and nominal_srate=0")
        connected: dict[str, _Stream] = {}
        gone: deque[str] = deque(maxlen=4 * MAX_STREAMS)  # the resolver still names them a while
        while not self._stopping.wait(_LOOK_EVERY_S):
            found = [info for info in resolver.results() if info.uid() not in gone]
            self._tell_ignored(sum(info.uid() not in connected for info in found), len(connected))
            for info in found:
                if info.uid() not in connected and len(connected) < MAX_STREAMS:
                    self._connect(pylsl, info, connected, gone)
            for uid, stream in list(connected.items()):
                try:
                    self._hold(stream.pull())
                except pylsl.util.LostError:
                    logger.info("markers: %s has gone", stream.name)
                except Exception:  # one stream must never silence the others
                    logger.exception("markers: %s cannot be read and is dropped", stream.name)
                else:
                    continue
                del connected[uid]
                gone.append(uid)
            self.streams = tuple(sorted(stream.name for stream in connected.values()))
        self.streams = ()

    def _connect(
        self, pylsl: Any, info: Any, connected: dict[str, _Stream], gone: deque[str]
    ) -> None:
        try:
            connected[info.uid()] = _Stream(pylsl, info)
        except Exception:
            logger.exception("markers: %s cannot be connected", info.name())
            gone.append(info.uid())
        else:
            logger.info("markers: %s on %s", info.name(), info.hostname())

    def _tell_ignored(self, n_new: int, n_connected: int) -> None:
        ignored = max(0, n_new + n_connected - MAX_STREAMS)
        if ignored > self.ignored:
            logger.warning("markers: of more than %d streams %d are not read", MAX_STREAMS, ignored)
        self.ignored = ignored

    def _hold(self, markers: list[Marker]) -> None:
        for marker in markers:
            self.dropped += len(self._held) == self._held.maxlen
            self._held.append(marker)


class _Stream:
    """One outlet of text, read without ever waiting."""

    def __init__(self, pylsl: Any, info: Any) -> None:
        self.name = str(info.name())
        self._pylsl = pylsl
        self._inlet = pylsl.StreamInlet(info, max_buflen=_BUFFER_S, recover=False)
        self._correction_s: float | None = None

    def pull(self) -> list[Marker]:
        """Return what has come; the first call begins to connect.

        Raises:
            LostError: pylsl's, when the outlet has gone.
        """
        with contextlib.suppress(self._pylsl.util.TimeoutError):
            self._correction_s = float(self._inlet.time_correction(timeout=0.0))
        if self._correction_s is None:
            with contextlib.suppress(self._pylsl.util.TimeoutError):
                self._inlet.open_stream(timeout=0.0)  # what comes from now on is kept
            return []
        rows, stamps_s = self._inlet.pull_chunk(timeout=0.0, max_samples=_MAX_PULL)
        return [
            Marker(time_s + self._correction_s, self.name, "\t".join(row))
            for time_s, row in zip(stamps_s, rows, strict=True)
        ]
