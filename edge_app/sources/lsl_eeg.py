"""EEG from Lab Streaming Layer: one channel of one stream, never silently recovered.

``recover=False``: a lost outlet raises ``SourceLostError`` and the supervisor resolves again,
because liblsl's own recovery hides the gap and ignores a changed rate. The pull blocks in a
thread, shortly; the backlog that an inlet holds right after opening is thrown away, it is up to
half a second old.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_app.contracts import UNIT_UV, Chunk, Float64Array, Overflow, StreamInfo
from edge_app.errors import SourceError, SourceLostError, SourceNotFoundError
from edge_app.sources.liblsl import configure_liblsl, load_pylsl
from edge_app.sources.lsl_inlet import LslInlet
from edge_app.sources.protocol import Source
from edge_app.sources.rate_check import RateCheck
from edge_app.units import VOLTAGE_UNITS, microvolts_per

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class _Opened:
    inlet: LslInlet
    info: StreamInfo
    index: int
    scale: float
    rate_check: RateCheck


class LslEegSource(Source):
    """One EEG channel of an LSL stream.

    Args:
        name: the stream's name in this program.
        source_id: the outlet's source id; the surest way to name a sensor. None: by
            ``stream_name``.
        stream_name: the outlet's name; None: the only stream of type EEG.
        channel: label (as in the stream's metadata) or index of the channel; None: the only one.
        unit: of the samples, when the metadata do not say; uV, mV, V or nV.
        jitter_s: how far the raw stamps may stray; larger steps than 1.5 samples + this are gaps.
        resolve_timeout_s: how long to look for the stream.
        stale_after_s: no data for this long counts as lost.
        session: hear only outlets of this LSL session on this machine; None: all in reach.
    """

    overflow = Overflow.BLOCK

    def __init__(
        self,
        *,
        name: str,
        source_id: str | None = None,
        stream_name: str | None = None,
        channel: str | None = None,
        unit: str | None = None,
        jitter_s: float = 0.02,
        resolve_timeout_s: float = 5.0,
        stale_after_s: float = 3.0,
        session: str | None = None,
    ) -> None:
        self._name = name
        self._source_id = source_id
        self._stream_name = stream_name
        self._channel = channel
        self._unit = unit
        self._jitter_s = jitter_s
        self._resolve_timeout_s = resolve_timeout_s
        self._stale_after_s = stale_after_s
        self._session = session
        self._opened: _Opened | None = None

    async def open(self) -> StreamInfo:
        """Resolve, connect and describe the stream."""
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
            await asyncio.get_running_loop().run_in_executor(None, opened.inlet.close)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield what has arrived, as soon as it arrives."""
        loop = asyncio.get_running_loop()
        opened, last_s = self._opened, time.monotonic()
        while opened is not None and opened is self._opened:
            pulled = await loop.run_in_executor(None, opened.inlet.pull)
            if pulled is not None:
                last_s = time.monotonic()
                yield self._chunk(opened, *pulled)
            elif time.monotonic() - last_s > self._stale_after_s:
                raise SourceLostError(
                    f"no data for {self._stale_after_s:g} s, though the stream looks connected",
                    source=self._name,
                    next_step="Check the headset; the stream is being looked for again",
                )

    def _chunk(self, opened: _Opened, times_s: Float64Array, samples: Float64Array) -> Chunk:
        wrong_hz = opened.rate_check.wrong_rate_hz(times_s)
        if wrong_hz is not None:
            raise SourceError(
                "the stream does not send at the rate it declares",
                source=self._name,
                expected=f"{opened.info.rate_hz:g} Hz",
                got=f"{wrong_hz:.3g} Hz by its own stamps",
                next_step="Correct the rate in the program that sends, or look for lost samples",
            )
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, and is marked invalid
            values = (samples[:, [opened.index]] * opened.scale).astype(np.float32)
        return Chunk(times_s, values)

    def _open(self, cancelled: threading.Event) -> _Opened:
        configure_liblsl(self._session)
        found = self._resolve(cancelled)
        inlet = LslInlet(
            found, name=self._name, timeout_s=self._resolve_timeout_s, cancelled=cancelled
        )
        try:
            opened = self._describe(inlet)
        except SourceError:
            inlet.close()
            raise
        inlet.flush()
        if cancelled.is_set():
            inlet.close()
        return opened

    def _resolve(self, cancelled: threading.Event) -> Any:
        key, value = ("type", "EEG")
        if self._source_id is not None:
            key, value = "source_id", self._source_id
        elif self._stream_name is not None:
            key, value = "name", self._stream_name
        resolver = load_pylsl().ContinuousResolver()
        deadline_s = time.monotonic() + self._resolve_timeout_s
        found: list[Any] = []
        while not found and time.monotonic() < deadline_s:
            if cancelled.wait(_LOOK_EVERY_S):
                break
            found = [info for info in resolver.results() if getattr(info, key)() == value]
        if found:  # another of the same name answers about as soon
            cancelled.wait(2 * _LOOK_EVERY_S)
            found = [info for info in resolver.results() if getattr(info, key)() == value]
        if not found:
            seen = sorted(f"{info.name()} ({info.source_id()})" for info in resolver.results())
            raise SourceNotFoundError(
                f"no LSL stream with {key} {value!r} in {self._resolve_timeout_s:g} s",
                source=self._name,
                got=seen or "no stream at all",
                next_step="Start the outlet or correct its name; `edge-app devices` lists streams",
            )
        if len(found) > 1:
            names = sorted(f"{info.name()} (source_id {info.source_id()})" for info in found)
            raise SourceError(
                f"several LSL streams have {key} {value!r}",
                source=self._name,
                got=names,
                next_step="Name one by its source_id",
            )
        return found[0]

    def _describe(self, inlet: LslInlet) -> _Opened:
        described = inlet.described
        if described.channel_format() == load_pylsl().cf_string:
            raise self._unusable("the stream sends text, not numbers", "Name the stream of samples")
        labels = [label or str(i) for i, label in enumerate(described.get_channel_labels() or [])]
        labels = labels or [str(i) for i in range(described.channel_count())]
        index = self._choose(labels)
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
            channels=(labels[index],),
            units=(UNIT_UV,),
            device=f"LSL {described.name()} on {described.hostname()}",
            simulated=described.desc().child("acquisition").child_value("simulated") == "true",
            jitter_s=self._jitter_s,
        )
        scale = self._scale(units[index] if index < len(units) else None)
        return _Opened(inlet, info, index, scale, RateCheck(rate_hz, self._jitter_s))

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
