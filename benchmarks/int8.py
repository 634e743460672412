"""How long a face takes in bundles on one thread, in turns: float beside 8-bit integers.

    python benchmarks/int8.py exports/emotion exports/emotion_int8

Feeds golden inputs, a call of each bundle after the other, so that what slows one slows all; prints
p50 and p95 of the time on the wall and of the CPU time of the thread, and the ratio to the first.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from edge_app.inference.bundle import load_bundle
from trainer.latency import cpu_times_s, wall_times_s


def main() -> None:
    """Parse the command line, time all bundles in turns, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=1000)
    given = parser.parse_args()
    calls, sizes_mb = [], []
    for path in given.bundles:
        bundle = load_bundle(path)
        spec = bundle.manifest.graphs[0]
        if len(bundle.manifest.graphs) > 1:
            parser.error(f"{path} has more than one graph: see benchmarks/bundle_latency.py")
        with np.load(path / bundle.manifest.golden.file) as golden:
            fed = {t.name: golden[f"{spec.role}/{t.name}"][:1] for t in spec.inputs}
        calls.append(partial(bundle.runners[spec.role].run, fed))
        sizes_mb.append((path / spec.file).stat().st_size / 1e6)
    wall_ms = 1e3 * wall_times_s(calls, given.repeats)
    cpu_ms = 1e3 * cpu_times_s(calls, given.repeats)
    for i, path in enumerate(given.bundles):
        wall = np.percentile(wall_ms[i], (50, 95))
        cpu = np.percentile(cpu_ms[i], (50, 95))
        ratio = np.median(cpu_ms[0]) / cpu[0]
        print(
            f"{path}: {sizes_mb[i]:.2f} MB, wall p50 {wall[0]:.3f} ms p95 {wall[1]:.3f} ms,"
            f" thread CPU p50 {cpu[0]:.3f} ms p95 {cpu[1]:.3f} ms, {ratio:.2f} x the first"
        )


if __name__ == "__main__":
    main()
