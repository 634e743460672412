"""How long from an LSL outlet in another process to a window, and what it costs.

    python benchmarks/lsl_latency.py         # 1000 Hz x 32 channels in chunks of 10, 20 s

An outlet in a process of its own pushes chunks as an amplifier does. The product's road reads them:
``LslEegSource`` (one channel of the 32), ``SlidingWindows``, ``Pipeline``. Channel 0 carries the
moment at which its chunk was pushed; the latency is from there to the window whose newest sample it
is. CPU is that of this process, all its threads, liblsl's too, in per cent of one core, while
windows are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time

import numpy as np

from edge_app.contracts import Prediction, StreamInfo, Window
from edge_app.health import StreamHealth
from edge_app.pipeline import Pipeline
from edge_app.sources.liblsl import LslNetwork, configure_liblsl, liblsl_facts, load_pylsl
from edge_app.sources.lsl_eeg import LslEegSource
from edge_app.tasks.protocol import Task
from edge_app.windowing import SlidingWindows, Windower

WINDOW, HOP = 200, 50
SETTLE_S = 2.0
WRAP_S = 16.0
"""Moments are sent modulo this: a float32 below 16 tells a microsecond."""


def send(session: str, rate_hz: int, channels: int, chunk: int, seconds: float) -> None:
    """Push chunks at their time; runs in a process of its own."""
    configure_liblsl(LslNetwork(session, resolve_scope="machine"))
    pylsl = load_pylsl()
    info = pylsl.StreamInfo("benchmark", "EEG", channels, rate_hz, "double64", session)
    info.set_channel_units(["microvolts"] * channels)
    outlet = pylsl.StreamOutlet(info, chunk_size=chunk)
    block = np.random.default_rng(0).standard_normal((chunk, channels))
    start_s, made = time.monotonic(), 0
    while made < seconds * rate_hz:
        due_s = start_s + (made + chunk) / rate_hz
        time.sleep(max(0.0, due_s - time.monotonic()))
        stamps_s = start_s + (made + np.arange(chunk)) / rate_hz
        block[:, 0] = time.monotonic() % WRAP_S
        outlet.push_chunk(block, stamps_s.tolist())
        made += chunk


class Latencies:
    """A task that answers nothing and notes when a window is there."""

    def __init__(self) -> None:
        self.pairs: list[tuple[float, float]] = []
        self.begun = asyncio.Event()

    def push(self, window: Window) -> list[Prediction]:
        """Note the moment a window came, and that of its newest chunk's pushing."""
        self.begun.set()
        self.pairs.append((float(window.samples[-1, 0]), time.monotonic() % WRAP_S))
        return []

    def finish(self) -> list[Prediction]:
        """Nothing is open."""
        return []

    def forget(self) -> None:
        """Nothing is kept."""

    def adopt(self, info: StreamInfo) -> None:
        """The stream never changes."""


async def read(session: str, seconds: float) -> tuple[Latencies, float, StreamHealth]:
    """Run the road; return the latencies, the share of a core used, and the counters."""
    source = LslEegSource(
        name="eeg",
        source_id=session,
        channel="0",
        network=LslNetwork(session, resolve_scope="machine"),
    )
    task, health = Latencies(), StreamHealth("eeg")

    def prepare(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=WINDOW, hop_samples=HOP), task

    running = asyncio.ensure_future(
        Pipeline(source, prepare, lambda _: None, health, clock=None).run()
    )
    await asyncio.wait_for(task.begun.wait(), 30.0)
    await asyncio.sleep(SETTLE_S)
    task.pairs.clear()
    used_s, from_s = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (time.process_time() - used_s) / (time.monotonic() - from_s)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return task, share, health


def main() -> None:
    """Parse the command line, run once, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1000, help="samples a second")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=10, help="samples a chunk")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--send", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send:
        send(given.send, given.rate, given.channels, given.chunk, given.seconds + 60.0)
        return
    session = f"bedside-benchmark-{os.getpid()}"
    command = [sys.executable, __file__, "--send", session]
    for key in ("rate", "channels", "chunk", "seconds"):
        command += [f"--{key}", str(getattr(given, key))]
    busy = os.getloadavg()[0]
    sender = subprocess.Popen(command)
    try:
        task, share, health = asyncio.run(read(session, given.seconds))
    finally:
        sender.kill()
        sender.wait()
    pairs = np.array(task.pairs)
    latency_s = (pairs[:, 1] - pairs[:, 0]) % WRAP_S
    p50, p95, p99 = 1e3 * np.percentile(latency_s, (50, 95, 99))
    result = {
        "rate_hz": given.rate,
        "channels": given.channels,
        "chunk": given.chunk,
        "windows": len(pairs),
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "p99_ms": round(float(p99), 3),
        "cpu_percent_of_a_core": round(100.0 * share, 2),
        "gaps": health.windowing.gaps,
        "load_before": round(busy, 2),
        "liblsl": liblsl_facts().version,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
