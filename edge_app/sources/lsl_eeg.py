"""EEG from Lab Streaming Layer: one channel of one stream, never silently recovered.

``recover=False``: a lost outlet raises ``SourceLostError`` and the supervisor resolves again,
because liblsl's own recovery hides the gap and ignores a changed rate. The pull blocks in a
thread with a timeout; the backlog that an inlet holds right after opening is thrown away, it is
up to half a second old.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from edge_app.contracts import UNIT_UV, Chunk, Overflow, StreamInfo
from edge_app.errors import SourceError, SourceLostError, SourceNotFoundError
from edge_app.sources.protocol import Source
from edge_app.units import VOLTAGE_UNITS, microvolts_per

_PULL_TIMEOUT_S = 0.2
_LOOK_EVERY_S = 0.1
_MAX_CHUNK = 4096


def load_pylsl() -> Any:
    """Import pylsl, and with it liblsl.

    Raises:
        SourceError: pylsl finds no liblsl (its aarch64 wheels carry none).
    """
    try:
        import pylsl
    except (ImportError, OSError, RuntimeError) as error:
        raise SourceError(
            f"liblsl cannot be loaded: {str(error).splitlines()[0] if str(error) else error!r}",
            source="Lab Streaming Layer",
            next_step="Install liblsl, or set PYLSL_LIB to a liblsl.so (the mne-lsl wheel has one)",
        ) from error
    return pylsl


def configure_liblsl(session: str | None = None) -> None:
    """Quieten liblsl, and with a session let it see only that session on this machine.

    Works before liblsl's first use in the process; a file named by LSLAPICFG goes before it. LSL
    has no authentication: a simulated outlet must never be taken for a patient's, so simulations
    have a session of their own.

    Args:
        session: outlets and inlets of another session are invisible; None: no restriction.
    """
    pylsl = load_pylsl()
    if "LSLAPICFG" in os.environ:
        return
    content = "[log]\nlevel = -2\n"
    if session is not None:
        content += f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {session}\n"
        content += "[ports]\nIPv6 = disable\n"
    pylsl.set_config_content(content)


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
        self._cancelled = threading.Event()
        self._inlet: Any = None
        self._index = 0
        self._scale = 1.0
        self._correction_s = 0.0

    async def open(self) -> StreamInfo:
        """Resolve, connect and describe the stream."""
        self._cancelled.clear()
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self._open)
        except asyncio.CancelledError:
            self._cancelled.set()  # ends the search in the thread
            raise

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            await asyncio.get_running_loop().run_in_executor(None, inlet.close_stream)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield what has arrived, as soon as it arrives."""
        loop = asyncio.get_running_loop()
        last_s = time.monotonic()
        while self._inlet is not None:
            chunk = await loop.run_in_executor(None, self._pull, self._inlet)
            if chunk is not None:
                last_s = time.monotonic()
                yield chunk
            elif time.monotonic() - last_s > self._stale_after_s:
                raise SourceLostError(
                    f"no data for {self._stale_after_s:g} s, though the stream looks connected",
                    source=self._name,
                    next_step="Check the headset; the stream is being looked for again",
                )

    def _pull(self, inlet: Any) -> Chunk | None:
        """Wait for a sample, then take what else is there."""
        pylsl = load_pylsl()
        try:
            first, stamp_s = inlet.pull_sample(timeout=_PULL_TIMEOUT_S)
            if first is None:
                return None
            rows, stamps_s = inlet.pull_chunk(timeout=0.0, max_samples=_MAX_CHUNK)
        except pylsl.util.LostError as error:
            raise SourceLostError(
                "the LSL outlet has gone",
                source=self._name,
                next_step="Check the headset; the stream is being looked for again",
            ) from error
        samples = np.array([first, *rows], np.float64)[:, [self._index]] * self._scale
        times_s = np.array([stamp_s, *stamps_s], np.float64) + self._correction_s
        return Chunk(times_s, samples.astype(np.float32))

    def _open(self) -> StreamInfo:
        configure_liblsl(self._session)
        pylsl = load_pylsl()
        found = self._resolve(pylsl)
        inlet = pylsl.StreamInlet(found, max_buflen=60, recover=False)
        try:
            inlet.open_stream(timeout=self._resolve_timeout_s)
            described = inlet.info(timeout=self._resolve_timeout_s)
            self._correction_s = float(inlet.time_correction(timeout=self._resolve_timeout_s))
            info = self._describe(described)
            inlet.flush()
        except (pylsl.util.LostError, pylsl.util.TimeoutError) as error:
            inlet.close_stream()
            raise SourceLostError(
                "the LSL outlet was found but does not answer",
                source=self._name,
                next_step="Check that nothing blocks its ports, and that it still runs",
            ) from error
        except SourceError:
            inlet.close_stream()
            raise
        self._inlet = inlet
        return info

    def _resolve(self, pylsl: Any) -> Any:
        key, value = ("type", "EEG")
        if self._source_id is not None:
            key, value = "source_id", self._source_id
        elif self._stream_name is not None:
            key, value = "name", self._stream_name
        resolver = pylsl.ContinuousResolver()
        deadline_s = time.monotonic() + self._resolve_timeout_s
        found: list[Any] = []
        while not found and time.monotonic() < deadline_s:
            if self._cancelled.wait(_LOOK_EVERY_S):
                break
            found = [info for info in resolver.results() if getattr(info, key)() == value]
        if found:  # another of the same name answers about as soon
            self._cancelled.wait(2 * _LOOK_EVERY_S)
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

    def _describe(self, described: Any) -> StreamInfo:
        labels = [label or str(i) for i, label in enumerate(described.get_channel_labels() or [])]
        labels = labels or [str(i) for i in range(described.channel_count())]
        self._index = self._choose(labels)
        units = described.get_channel_units() or []
        unit = self._unit or (units[self._index] if self._index < len(units) else None)
        scale = microvolts_per(unit or "")
        if scale is None:
            raise SourceError(
                "the stream does not say in which unit it sends",
                source=self._name,
                expected=VOLTAGE_UNITS,
                got=unit,
                next_step="Set `unit` in the source's settings",
            )
        self._scale = scale
        rate_hz = float(described.nominal_srate())
        if rate_hz <= 0:
            raise SourceError(
                "the stream has no nominal rate",
                source=self._name,
                next_step="Use an outlet that declares its sampling rate",
            )
        return StreamInfo(
            name=self._name,
            kind="eeg",
            rate_hz=rate_hz,
            channels=(labels[self._index],),
            units=(UNIT_UV,),
            device=f"LSL {described.name()} on {described.hostname()}",
            simulated=described.desc().child("acquisition").child_value("simulated") == "true",
            jitter_s=self._jitter_s,
        )

    def _choose(self, labels: list[str]) -> int:
        if self._channel is None and len(labels) == 1:
            return 0
        wanted = (self._channel or "").strip().lower()
        for index, label in enumerate(labels):
            if wanted == label.lower() or wanted == str(index):
                return index
        raise SourceError(
            "the stream has several channels" if self._channel is None else "no such channel",
            source=self._name,
            expected=labels,
            got=self._channel,
            next_step="Set `channel` in the source's settings to one of them",
        )
