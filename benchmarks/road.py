"""What our road costs beside a bare loop: the same source, window and tiny model, both in one run.

    python benchmarks/road.py            # live 1000 Hz x 32 channels, then as fast as it goes

The job: a window of 200 samples every 50 through a small ONNX model on one thread, to a sink.
``bare`` is a ring buffer in the source's own loop, nothing else. ``road`` is the product: Source ->
Chunk -> SlidingWindows -> task -> Prediction -> FanOut -> sink, through ``Pipeline``. Both
alternate ``--repeats`` times and the medians are printed. Column 0 carries the moment a sample
was made; latency is arrival in the sink minus that of the window's newest sample. ``live`` is
paced; ``flood`` is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tiny_model import HOP, LABELS, WINDOW, write_tiny_model

from edge_app.contracts import Array, Chunk, Prediction, StreamInfo, Window
from edge_app.health import StreamHealth
from edge_app.inference.manifest import GraphSpec
from edge_app.inference.onnx_runtime import OnnxRuntimeRunner
from edge_app.inference.runner import Runner
from edge_app.pipeline import Pipeline
from edge_app.sinks.protocol import FanOut
from edge_app.sources.protocol import Source
from edge_app.tasks.protocol import Task, labelled
from edge_app.windowing import SlidingWindows, Windower

now = time.perf_counter


@dataclass(frozen=True, slots=True)
class Job:
    """One benchmark job."""

    rate_hz: int
    channels: int
    chunk: int
    live: bool
    n_samples: int


def blocks(job: Job) -> Iterator[tuple[float, Array]]:
    """Yield (seconds to wait first, stamped float32 block)."""
    base = np.random.default_rng(0).standard_normal((job.chunk, job.channels)).astype(np.float32)
    start_s, made = now(), 0
    while made < job.n_samples:
        due_s = start_s + (made + job.chunk) / job.rate_hz if job.live else 0.0
        yield due_s - now(), base
        made += job.chunk


def stamped(base: Array, origin_s: float) -> Array:
    """Return a copy that carries its moment of creation, relative so that float32 holds it."""
    block = base.copy()
    block[:, 0] = now() - origin_s
    return block


class Ring:
    """The bare loop's buffer: each sample is written twice, so any window is one view."""

    def __init__(self, channels: int, size: int = 1024) -> None:
        self.size, self.buffer = size, np.zeros((2 * size, channels), np.float32)
        self.head = self.total = 0
        self.next = WINDOW

    def push(self, block: Array) -> Iterator[Array]:
        """Write a block, yield every window that became complete."""
        for start in range(0, len(block), HOP):
            part = block[start : start + HOP]
            size, head, end = self.size, self.head, self.head + len(part)
            if end <= size:
                self.buffer[head:end] = part
                self.buffer[head + size : end + size] = part
            else:
                cut = size - head
                self.buffer[head:size] = self.buffer[head + size :] = part[:cut]
                self.buffer[: end - size] = self.buffer[size:end] = part[cut:]
            self.head, self.total = end % size, self.total + len(part)
            while self.total >= self.next:
                end = self.head + self.size - (self.total - self.next)
                yield self.buffer[end - WINDOW : end]
                self.next += HOP


def run_bare(job: Job, path: Path, _spec: GraphSpec) -> list[tuple[float, float]]:
    """Run the bare loop on a raw session; return (made, arrived) a window."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, {"x": np.zeros((1, WINDOW, job.channels), np.float32)})
    ring, pairs, origin_s = Ring(job.channels), [], now()
    for wait_s, base in blocks(job):
        if wait_s > 0:
            time.sleep(wait_s)
        for window in ring.push(stamped(base, origin_s)):
            session.run(None, {"x": window[None]})
            pairs.append((float(window[-1, 0]) + origin_s, now()))
    return pairs


class BenchmarkSource(Source):
    """The same blocks as a source."""

    def __init__(self, job: Job, origin_s: float) -> None:
        self._job, self._origin_s = job, origin_s

    async def open(self) -> StreamInfo:
        """Describe the stream."""
        names = tuple(f"c{i}" for i in range(self._job.channels))
        units = ("uV",) * len(names)
        return StreamInfo("benchmark", "eeg", self._job.rate_hz, names, units, "benchmark", True)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield the blocks with exact stamps."""
        n, rate_hz, index = self._job.chunk, self._job.rate_hz, np.arange(self._job.chunk)
        made = 0
        for wait_s, base in blocks(self._job):
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            yield Chunk((made + index) / rate_hz, stamped(base, self._origin_s))
            made += n


class TinyTask:
    """Runs the tiny model on every window."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.newest_made_s = 0.0

    def push(self, window: Window) -> list[Prediction]:
        """Return one prediction."""
        self.newest_made_s = float(window.samples[-1, 0])
        probabilities = self._runner.run({"x": window.samples[None]})["probabilities"][0]
        best = int(np.argmax(probabilities))
        return [
            Prediction(
                "sleep",
                "benchmark",
                window.end_s,
                window.start_s,
                window.end_s,
                LABELS[best],
                labelled(LABELS, probabilities),
                1.0,
                None,
                True,
                0,
                "tiny",
                True,
            )
        ]

    def finish(self) -> list[Prediction]:
        """Nothing is open."""
        return []

    def forget(self) -> None:
        """Nothing is kept."""

    def adopt(self, info: StreamInfo) -> None:
        """The stream never changes."""


class PairSink:
    """Notes when a prediction arrives."""

    def __init__(self, task: TinyTask, origin_s: float) -> None:
        self._task, self._origin_s = task, origin_s
        self.pairs: list[tuple[float, float]] = []

    def emit(self, _prediction: Prediction, _unix_s: float) -> None:
        """Take one prediction."""
        self.pairs.append((self._task.newest_made_s + self._origin_s, now()))

    def close(self) -> None:
        """Nothing is held."""


def run_road(job: Job, path: Path, spec: GraphSpec) -> list[tuple[float, float]]:
    """Run the product's pipeline; return (made, arrived) a window."""
    runner = OnnxRuntimeRunner(path, spec)
    runner.run({"x": np.zeros((1, WINDOW, job.channels), np.float32)})
    origin_s = now()
    task = TinyTask(runner)
    sink = PairSink(task, origin_s)

    def prepare(info: StreamInfo) -> tuple[Windower, Task]:
        return SlidingWindows(info, length_samples=WINDOW, hop_samples=HOP), task

    fan_out = FanOut([sink], strict=True)
    health = StreamHealth("benchmark")
    source = BenchmarkSource(job, origin_s)
    asyncio.run(Pipeline(source, prepare, fan_out.emit, health, clock=None).run())
    return sink.pairs


def measure(
    job: Job,
    model: tuple[Path, GraphSpec],
    run: Callable[[Job, Path, GraphSpec], list[tuple[float, float]]],
) -> dict[str, float]:
    """Run once and reduce to figures."""
    pairs = np.array(run(job, *model))
    expected = (job.n_samples - WINDOW) // HOP + 1
    if len(pairs) != expected:
        raise SystemExit(f"{run.__name__}: {len(pairs)} windows, {expected} expected")
    latency_s = pairs[:, 1] - pairs[:, 0]
    return {
        "p50_ms": 1e3 * float(np.percentile(latency_s, 50)),
        "p99_ms": 1e3 * float(np.percentile(latency_s, 99)),
        "samples_per_s": (len(pairs) - 1) * HOP / float(pairs[-1, 1] - pairs[0, 1]),
    }


def compare(job: Job, model: tuple[Path, GraphSpec], repeats: int) -> None:
    """Alternate bare and road, print medians and their ratio as one JSON line."""
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "road": []}
    for _ in range(repeats):
        runs["bare"].append(measure(job, model, run_bare))
        runs["road"].append(measure(job, model, run_road))
    key = "p50_ms" if job.live else "samples_per_s"
    medians = {
        name: {figure: float(np.median([r[figure] for r in rows])) for figure in rows[0]}
        for name, rows in runs.items()
    }
    ratios = [b[key] / a[key] for a, b in zip(runs["bare"], runs["road"], strict=True)]
    result = {
        "mode": "live" if job.live else "flood",
        "rate_hz": job.rate_hz,
        "channels": job.channels,
        "chunk": job.chunk,
        "repeats": repeats,
        **{n: {k: round(v, 3) for k, v in row.items()} for n, row in medians.items()},
        f"road_over_bare_{key}": round(float(np.median(ratios)), 3),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(result), flush=True)


def main() -> None:
    """Parse the command line and run both modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1000, help="samples a second in live mode")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=10, help="samples a chunk")
    parser.add_argument("--mode", choices=("live", "flood", "both"), default="both")
    parser.add_argument("--seconds", type=int, default=10, help="length of a live run")
    parser.add_argument("--samples", type=int, default=1_000_000, help="length of a flood run")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder), given.channels)
        if given.mode != "flood":
            n = given.rate * given.seconds
            job = Job(given.rate, given.channels, given.chunk, True, n)
            compare(job, model, given.repeats)
        if given.mode != "live":
            job = Job(given.rate, given.channels, given.chunk, False, given.samples)
            compare(job, model, given.repeats)


if __name__ == "__main__":
    main()
