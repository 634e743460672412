"""Many Bluetooth sensors at once over a fake BlueZ: what is lost, and what it costs the client.

    python benchmarks/ble_load.py --sensors 10 --rate-hz 200 --seconds 60
    python benchmarks/ble_load.py --sensors 5 --rate-hz 100 --reconnects 200

The sensors are simulated, in a process of their own, behind a private dbus-daemon; this process is
the client: bleak's real BlueZ backend, the product's radio and sources, a thread a stream. Lost is
what the fake sent less what the sources were given. Gaps are between two chunks of one sensor;
latency is arrival of a chunk less the stamp of its newest sample. With ``--reconnects`` links are
dropped again and again, and file descriptors, D-Bus connections and memory are watched.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import platform
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the rigs of the tests

from edge_app.errors import SourceError
from edge_app.sources.ble_radio import Radio
from edge_app.sources.imu_protocols.protocol import ImuSettings
from tests.fake_bluez import Rig, SensorSpec, ble_source, bluez_rig, wait_until

AGAIN_AFTER_S = 0.3


class Reader:
    """Reads one sensor in a thread, for ever, and counts."""

    def __init__(self, spec: SensorSpec, radio: Radio, rate_hz: float) -> None:
        self.spec, self.radio, self.rate_hz = spec, radio, rate_hz
        self.samples = self.opened = 0
        self.packets_before = 0.0  # of connections that ended
        self.source = ble_source(spec, radio=radio, settings=ImuSettings(rate_hz=rate_hz))
        self.arrivals_s: list[float] = []
        self.latencies_s: list[float] = []
        self.measuring = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Open, read, open again."""
        while not self.stopping.is_set():
            with contextlib.suppress(asyncio.CancelledError, SourceError):
                asyncio.run(self.read())
            self.stopping.wait(AGAIN_AFTER_S)

    async def read(self) -> None:
        """One connection."""
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        settings = ImuSettings(rate_hz=self.rate_hz)
        self.source = source = ble_source(self.spec, radio=self.radio, settings=settings)
        try:
            await source.open()
            self.opened += 1
            async for chunk in source:
                self.samples += chunk.times_s.size
                if self.measuring:
                    now_s = time.monotonic()
                    self.arrivals_s.append(now_s)
                    self.latencies_s.append(now_s - float(chunk.times_s[-1]))
        finally:
            await source.close()
            self.loop = None

    def stop(self) -> None:
        """End the thread."""
        self.stopping.set()
        if self.loop is not None and self.task is not None:
            self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(10.0)

    def figure(self, name: str) -> float:
        """Return one of the source's own figures."""
        return dict(self.source.figures).get(name, 0.0)


def load(rig: Rig, readers: list[Reader], seconds: float) -> dict[str, object]:
    """Measure a steady run."""
    process = psutil.Process()
    wait_until(lambda: all(reader.samples > reader.rate_hz for reader in readers), 60.0)
    fake = [psutil.Process(pid) for pid in rig.pids]
    for reader in readers:
        reader.measuring = True
    samples, cpu, at_s = sum(r.samples for r in readers), process.cpu_times(), time.monotonic()
    fake_cpu = [p.cpu_times() for p in fake]
    time.sleep(seconds)
    span_s, after = time.monotonic() - at_s, process.cpu_times()
    samples = sum(r.samples for r in readers) - samples
    for reader in readers:
        reader.measuring = False
    used_s = after.user + after.system - cpu.user - cpu.system
    fake_s = sum(
        p.cpu_times().user + p.cpu_times().system - before.user - before.system
        for p, before in zip(fake, fake_cpu, strict=True)
    )
    connections = rig.command("figures")["bus_connections"]
    for reader in readers:  # silence, so that what was sent can be compared with what came
        rig.command("set", address=reader.spec.address, muted=True)
    time.sleep(1.5)  # the sources' figures are written once a second
    sent = rig.command("figures")["sent"]
    packets = sum(reader.figure("packets") for reader in readers)
    gaps_s = [b - a for r in readers for a, b in pairwise(r.arrivals_s)]
    latencies_s = [latency for r in readers for latency in r.latencies_s]
    return {
        "samples_per_s": round(samples / span_s, 1),
        "samples_expected_per_s": sum(reader.rate_hz for reader in readers),
        "packets_sent": sent,
        "packets_received": int(packets),
        "packets_lost": int(sent - packets),
        "samples_lost_by_stamps": int(sum(r.figure("lost") for r in readers)),
        "dropped_packets": int(sum(reader.figure("dropped_packets") for reader in readers)),
        "client_cpu_percent_of_a_core": round(100 * used_s / span_s, 1),
        "fake_cpu_percent_of_a_core": round(100 * fake_s / span_s, 1),
        "chunk_gap_p99_ms": round(1e3 * float(np.percentile(gaps_s, 99)), 1),
        "chunk_gap_max_ms": round(1e3 * max(gaps_s), 1),
        "latency_p50_ms": round(1e3 * float(np.percentile(latencies_s, 50)), 1),
        "latency_p99_ms": round(1e3 * float(np.percentile(latencies_s, 99)), 1),
        "rss_mb": round(process.memory_info().rss / 2**20, 1),
        "bus_connections": connections,
        "file_descriptors": process.num_fds(),
        "threads": process.num_threads(),
    }


def until_more(readers: list[Reader], count: str, before: list[int]) -> None:
    """Wait until a count of every reader has grown."""
    wait_until(
        lambda: all(getattr(r, count) > n for r, n in zip(readers, before, strict=True)), 60.0
    )


def reconnects(rig: Rig, readers: list[Reader], n_reconnects: int) -> dict[str, object]:
    """Drop links, all sensors' at once, until each figure has been read often enough."""
    process = psutil.Process()
    wait_until(lambda: all(reader.samples > reader.rate_hz for reader in readers), 60.0)
    rounds = -(-n_reconnects // len(readers))
    readings, back_s = [], []
    for _ in range(rounds):
        opened = [reader.opened for reader in readers]
        for reader in readers:
            rig.command("drop_link", address=reader.spec.address)
        at_s = time.monotonic()
        until_more(readers, "opened", opened)
        back_s.append(time.monotonic() - at_s)
        samples = [reader.samples for reader in readers]
        until_more(readers, "samples", samples)
        connections = rig.command("figures")["bus_connections"]
        rss_mb = process.memory_info().rss / 2**20
        readings.append((process.num_fds(), connections, process.num_threads(), rss_mb))
    table = np.array(readings)
    third = max(1, len(table) // 3)
    first, last = np.median(table[:third], axis=0), np.median(table[-third:], axis=0)
    names = ("file_descriptors", "bus_connections", "threads", "rss_mb")
    figures = {
        name: {
            "first_third": round(float(first[k]), 1),
            "last_third": round(float(last[k]), 1),
            "max": round(float(table[:, k].max()), 1),
        }
        for k, name in enumerate(names)
    }
    return {
        "reconnects": sum(reader.opened for reader in readers) - len(readers),
        **figures,
        "all_open_again_median_s": round(float(np.median(back_s)), 2),
        "all_open_again_max_s": round(max(back_s), 2),
        **{
            key: rig.command("figures")[key]
            for key in ("connects_while_scanning", "most_connecting")
        },
    }


def main() -> None:
    """Parse the command line, run, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sensors", type=int, default=10)
    parser.add_argument("--sensor", default="witmotion", help="kind, as in tests/imu_sensors.py")
    parser.add_argument("--rate-hz", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--reconnects", type=int, default=0, help="links to drop instead")
    given = parser.parse_args()
    logging.getLogger("bleak").setLevel(logging.ERROR)
    specs = [
        SensorSpec(given.sensor, f"F1:00:00:00:{k >> 8:02X}:{k & 255:02X}", seed=k)
        for k in range(given.sensors)
    ]
    busy = os.getloadavg()[0]
    with bluez_rig(specs) as rig:
        radio = Radio()
        readers = [Reader(spec, radio, given.rate_hz) for spec in specs]
        try:
            if given.reconnects:
                figures = reconnects(rig, readers, given.reconnects)
            else:
                figures = load(rig, readers, given.seconds)
        finally:
            for reader in readers:
                reader.stop()
            radio.close()
    about = {
        "sensors": f"{given.sensors} x {given.sensor}, simulated",
        "rate_hz": given.rate_hz,
        **figures,
        "load_average_before": round(busy, 2),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main()
