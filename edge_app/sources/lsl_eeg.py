"""EEG from Lab Streaming Layer: one channel of one stream, never silently recovered.

``recover=False``: a lost outlet raises ``SourceLostError`` and the supervisor resolves again,
because liblsl's own recovery hides the gap and ignores a changed rate. So an outlet with another
uid is always a new opening, with windows and state begun anew. A thread waits in liblsl; the
backlog that an inlet holds right after opening is thrown away, it is up to half a second old.

Stamps on a clock that is none of LSL's (Unix time) are seen on opening, and moved to their arrival.

Raw stamps -> gaps found -> jitter removed (``lsl_stamps``) -> this machine's clock. Every gap is
still in what is yielded, as a step of whole sample intervals; the jitter is not, so that the
StreamInfo declares none and windowing finds single lost samples.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import UNIT_UV, Array, Chunk, Overflow, StreamInfo
from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.liblsl import LslNetwork, configure_liblsl, load_pylsl
from edge_app.sources.lsl_inlet import LslInlet, Pulled
from edge_app.sources.lsl_reader import LslReader
from edge_app.sources.lsl_resolve import LslQuery, resolve
from edge_app.sources.lsl_stamps import ClockOffset, StampLine
from edge_app.sources.lsl_watch import LslWatch
from edge_app.sources.protocol import Source
from edge_app.units import VOLTAGE_UNITS, microvolts_per

_LOOK_EVERY_S = 0.25
_FIGURES_EVERY_S = 1.0


@dataclass(slots=True)
class _Opened:
    inlet: LslInlet
    info: StreamInfo
    scale: float
    line: StampLine
    offset: ClockOffset
    waiting: Array
    flushed: int = 0
    placed: bool = True
    reader: LslReader | None = None


class LslEegSource(Source):
    """One EEG channel of an LSL stream.

    Args:
        name: the stream's name in this program.
        source_id: the outlet's source id; the surest way to name a sensor.
        stream_name: the outlet's name.
        stream_type: the outlet's type. All that is given of these three and ``hostname`` must
            match, and one stream only; with none given, it is the only one of type EEG.
        hostname: the machine that sends.
        channel: label (as in the stream's metadata) or index of the channel; None: the only one.
        unit: of the samples, instead of the metadata's; uV, mV, V or nV. A stream that does not say
            is refused without it.
        jitter_s: how far the raw stamps may stray, in the first seconds; then what they really do
            counts, so that it need not be set for an outlet that pushes in bursts or late. 0: the
            stamps are exact and are passed on as they are, every longer step is a gap.
        resolve_timeout_s: how long to look for the stream.
        stale_after_s: no data for this long counts as lost.
        network: which outlets this process hears; the same for all sources of a process.
    """

    overflow = Overflow.BLOCK

    def __init__(
        self,
        *,
        name: str,
        source_id: str | None = None,
        stream_name: str | None = None,
        stream_type: str | None = None,
        hostname: str | None = None,
        channel: str | None = None,
        unit: str | None = None,
        jitter_s: float = 0.02,
        resolve_timeout_s: float = 5.0,
        stale_after_s: float = 3.0,
        network: LslNetwork | None = None,
    ) -> None:
        self._name = name
        self._query = LslQuery(source_id, stream_name, stream_type, hostname)
        self._channel = channel
        self._unit = unit
        self._jitter_s = jitter_s
        self._resolve_timeout_s = resolve_timeout_s
        self._stale_after_s = stale_after_s
        self._network = network or LslNetwork()
        self._opened: _Opened | None = None

    async def open(self) -> StreamInfo:
        """Resolve, connect and describe the stream."""
        await self.close()
        cancelled = threading.Event()  # of this opening alone
        loop = asyncio.get_running_loop()
        try:
            self._opened = await loop.run_in_executor(None, self._open, cancelled)
        except asyncio.CancelledError:
            cancelled.set()  # ends the search in the thread, which drops what it had opened
            raise
        return self._opened.info

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        opened, self._opened = self._opened, None
        if opened is not None:
            if opened.reader is not None:
                opened.reader.ask_to_stop()
            await asyncio.get_running_loop().run_in_executor(None, _disconnect, opened)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield what has arrived, as soon as it arrives."""
        opened = self._opened
        if opened is None:
            return
        if opened.reader is None:
            opened.reader = LslReader(opened.inlet, asyncio.get_running_loop())
        watch = LslWatch(
            name=self._name,
            rate_hz=opened.info.rate_hz,
            jitter_s=self._jitter_s,
            stale_after_s=self._stale_after_s,
            line=opened.line,
            now_s=time.monotonic(),
            host_clock=not opened.info.simulated,  # a demonstration may run faster than life
            placed=opened.placed,
        )
        figures_at_s = 0.0
        while opened is self._opened:
            for pulled in await opened.reader.take(_LOOK_EVERY_S):
                try:
                    watch.saw(pulled)
                except SourceLostError as error:
                    self.tell_trouble(error.problem)
                    raise
                chunk = self._chunk(opened, pulled)
                if chunk.times_s.shape[0]:
                    yield chunk
                if opened is not self._opened:
                    return
            now_s = time.monotonic()
            self.tell_trouble(watch.trouble(now_s))
            if now_s >= figures_at_s:
                figures_at_s = now_s + _FIGURES_EVERY_S
                self.figures = _figures(opened, watch)

    def _chunk(self, opened: _Opened, pulled: Pulled) -> Chunk:
        opened.offset.target_s = pulled.offset_s
        times_s = opened.offset.apply(opened.line.push(pulled.times_s))
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, and is marked invalid
            values = (pulled.values * opened.scale).astype(np.float32)
        values = np.concatenate([opened.waiting, values[:, np.newaxis]])
        n = times_s.shape[0]  # the others wait until it is certain what lies before them
        opened.waiting = values[n:]
        return Chunk(times_s, values[:n])

    def _open(self, cancelled: threading.Event) -> _Opened:
        configure_liblsl(self._network)
        self.assumptions = ()
        found = self._resolve(cancelled)
        inlet = LslInlet(
            found, name=self._name, timeout_s=self._resolve_timeout_s, cancelled=cancelled
        )
        try:
            opened = self._describe(inlet)
            opened.flushed = inlet.flush()
            if not opened.info.simulated:
                self._place(opened)
        except BaseException:
            inlet.close()
            raise
        if cancelled.is_set():
            inlet.close()
        return opened

    def _place(self, opened: _Opened) -> None:
        shift_s = opened.inlet.place()
        opened.placed = shift_s is not None
        if shift_s:
            opened.offset = ClockOffset(opened.inlet.offset_s + shift_s)
            self.assumptions = (
                "the sender's stamps are not on LSL's clock: shifted by "
                f"{shift_s:+.6g} s to their arrival",
            )

    def _resolve(self, cancelled: threading.Event) -> object:
        return resolve(
            self._query,
            name=self._name,
            timeout_s=self._resolve_timeout_s,
            cancelled=cancelled,
            session=self._network.session,
        )

    def _describe(self, inlet: LslInlet) -> _Opened:
        described = inlet.described
        if described.channel_format() == load_pylsl().cf_string:
            raise self._unusable("the stream sends text, not numbers", "Name the stream of samples")
        labels = [label or str(i) for i, label in enumerate(described.get_channel_labels() or [])]
        labels = labels or [str(i) for i in range(described.channel_count())]
        inlet.index = self._choose(labels)
        rate_hz = float(described.nominal_srate())
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            raise self._unusable(
                "the stream has no nominal rate", "Use an outlet that declares its sampling rate"
            )
        units = described.get_channel_units() or []
        info = StreamInfo(
            name=self._name,
            kind="eeg",
            rate_hz=rate_hz,
            channels=(labels[inlet.index],),
            units=(UNIT_UV,),
            device=f"LSL {described.name()} on {described.hostname()}",
            simulated=described.desc().child("acquisition").child_value("simulated") == "true",
        )
        return _Opened(
            inlet,
            info,
            self._scale(units[inlet.index] if inlet.index < len(units) else None),
            StampLine(rate_hz, self._jitter_s),
            ClockOffset(inlet.offset_s),
            np.empty((0, 1), np.float32),
        )

    def _scale(self, written: str | None) -> float:
        """Return the factor to microvolts."""
        unit = self._unit or written
        if not unit:
            raise self._unusable(
                "the stream does not say in which unit it sends",
                "Set `unit` in the source's settings",
                expected=VOLTAGE_UNITS,
            )
        scale = microvolts_per(unit)
        if scale is None:
            raise self._unusable(
                "the stream sends in a unit that is not known, or not clear",
                "Set `unit` in the source's settings",
                expected=VOLTAGE_UNITS,
                got=unit,
            )
        return scale

    def _choose(self, labels: list[str]) -> int:
        if self._channel is None and len(labels) == 1:
            return 0
        wanted = (self._channel or "").strip().lower()
        for index, label in enumerate(labels):
            if wanted == label.lower() or wanted == str(index):
                return index
        raise self._unusable(
            "the stream has several channels" if self._channel is None else "no such channel",
            "Set `channel` in the source's settings to one of them",
            expected=labels,
            got=self._channel,
        )

    def _unusable(
        self, problem: str, next_step: str, *, expected: object = None, got: object = None
    ) -> SourceError:
        return SourceError(
            problem, source=self._name, expected=expected, got=got, next_step=next_step
        )


def _disconnect(opened: _Opened) -> None:
    if opened.reader is not None:
        opened.reader.stop()
    opened.inlet.close()


def _figures(opened: _Opened, watch: LslWatch) -> tuple[tuple[str, float], ...]:
    line = opened.line
    return (
        ("rate_measured_hz", line.rate_hz),
        ("jitter_rms_s", line.jitter_rms_s),
        ("clock_offset_s", opened.offset.target_s),
        ("gaps", line.gaps),
        ("lost_samples", line.lost_samples),
        ("nan_samples", watch.nan_samples),
        ("unstamped_samples", opened.inlet.unstamped),
        ("backlog_flushed", opened.flushed),
    )
