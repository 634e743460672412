"""A real LSL outlet in a process of its own, that can fail in every way a headset does.

    python -m tests.lsl_outlet '{"session": "x"}' '{"source_id": "band"}'

Channel k of sample i is ``amplitude * (i + 1000 k)`` (or a sine), and its stamp is exact until told
otherwise, so that whoever reads knows from the values what never came. Commands are JSON lines on
standard input: new values for the fields of ``OutletSpec`` that begin with "how". It ends when its
standard input does.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_app.sources.liblsl import LslNetwork, configure_liblsl, load_pylsl

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class OutletSpec:
    """What an outlet declares, and how it behaves."""

    source_id: str
    name: str = "band"
    stream_type: str = "EEG"
    labels: tuple[str, ...] = ("Fpz-Cz",)
    units: tuple[str, ...] | None = ("microvolts",)
    rate_hz: float = 100.0
    format: str = "float32"
    lives_s: float = 600.0
    chunk: int = 1
    how_sends_hz: float | None = None  # None: as declared
    how_unstamped_every: int = 0
    how_unstamped_burst: int = 0  # pushed so many at a time, stamped by LSL
    how_late_s: float = 0.0  # such a push is late by up to this
    how_clock_s: float = 0.0  # the stamps' clock, ahead of LSL's
    how_jump_s: float = 0.0
    how_jitter_s: float = 0.0
    how_drop: float = 0.0
    how_nan: bool = False
    how_sine_uv: float = 0.0
    push: str = ""  # a text for streams of text


class OutletProcess:
    """The parent's side.

    Args:
        spec: the outlet.
        network: whom it can be heard by.
    """

    def __init__(self, spec: OutletSpec, network: LslNetwork) -> None:
        command = [sys.executable, "-m", "tests.lsl_outlet"]
        command += [json.dumps(asdict(network)), json.dumps(asdict(spec))]
        self.spec, self.network = spec, network
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait_until_up(self) -> float:
        """Return the monotonic time at which the outlet was there."""
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())

    def tell(self, **how: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(how) + "\n")
        self._process.stdin.flush()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def again(self, **change: object) -> OutletProcess:
        """Start another one in its place, otherwise declared if wanted."""
        return OutletProcess(replace(self.spec, **change), self.network)  # type: ignore[arg-type]


def _make(spec: OutletSpec) -> Any:
    pylsl = load_pylsl()
    info = pylsl.StreamInfo(
        spec.name, spec.stream_type, len(spec.labels), spec.rate_hz, spec.format, spec.source_id
    )
    if any(spec.labels):
        info.set_channel_labels(list(spec.labels))
    if spec.units is not None:
        info.set_channel_units(list(spec.units))
    return pylsl.StreamOutlet(info, chunk_size=spec.chunk if spec.chunk > 1 else 0)


def _rows(spec: OutletSpec, index: np.ndarray) -> np.ndarray:
    channels = 1000.0 * np.arange(len(spec.labels))[None]
    rows = index[:, None] + channels
    if spec.how_sine_uv:
        rows = spec.how_sine_uv * np.sin(2 * np.pi * 0.0173 * (index[:, None] + channels))
    return np.full_like(rows, np.nan) if spec.how_nan else rows


def _push_bursts(outlet: Any, spec: OutletSpec, start_s: float) -> None:
    """Every sample a push of its own without a stamp, several in a row, until the end."""
    rng, sent = np.random.default_rng(1), 0
    while sent < spec.lives_s * spec.rate_hz:
        index = np.arange(sent, sent + spec.how_unstamped_burst)
        sent += spec.how_unstamped_burst
        due_s = start_s + sent / spec.rate_hz + rng.uniform(0.0, spec.how_late_s)
        time.sleep(max(0.0, due_s - time.monotonic()))
        for row in _rows(spec, index).tolist():
            outlet.push_sample(row)


def main() -> None:
    network = json.loads(sys.argv[1])
    configure_liblsl(LslNetwork(**network | {"known_peers": tuple(network["known_peers"])}))
    spec = OutletSpec(**json.loads(sys.argv[2]))
    outlet, commands, rng = _make(spec), queue.SimpleQueue[str](), np.random.default_rng(0)

    def listen() -> None:
        for line in sys.stdin:
            commands.put(line)
        commands.put("")

    threading.Thread(target=listen, daemon=True).start()
    start_s, first, sent = time.monotonic(), 0, 0
    sys.stdout.write(f"{start_s}\n")
    sys.stdout.flush()
    ends_s = start_s + spec.lives_s
    if spec.how_unstamped_burst:
        threading.Thread(target=_push_bursts, args=(outlet, spec, start_s), daemon=True).start()
        commands.get()  # empty: the parent has gone
        return
    while time.monotonic() < ends_s:
        while not commands.empty():
            line = commands.get()
            if not line:
                return
            before, spec = spec, replace(spec, **json.loads(line))
            if spec.push:
                outlet.push_sample([spec.push])
                spec = replace(spec, push="")
            if spec.how_sends_hz != before.how_sends_hz:
                start_s, first = time.monotonic(), sent
        sends_hz = spec.rate_hz if spec.how_sends_hz is None else spec.how_sends_hz
        due = first + int((time.monotonic() - start_s) * sends_hz)
        due -= (due - first) % spec.chunk
        if due > sent and spec.format != "string":
            index = np.arange(sent, due)
            stamps_s = start_s + (index - first) / sends_hz + spec.how_jump_s + spec.how_clock_s
            if spec.how_jitter_s:
                stamps_s += rng.uniform(-spec.how_jitter_s, spec.how_jitter_s, len(index))
            if spec.how_unstamped_every:
                stamps_s[index % spec.how_unstamped_every == 0] = np.nan
            kept = rng.random(len(index)) >= spec.how_drop
            if kept.any():
                rows = _rows(spec, index)[kept].astype(np.float32)
                outlet.push_chunk(rows, stamps_s[kept].tolist())
            sent = due
        time.sleep(0.005)


if __name__ == "__main__":
    main()
