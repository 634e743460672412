"""How long one answer of a bundle's graphs takes in ONNX Runtime on one thread.

    python benchmarks/bundle_latency.py exports/frailty_deepconvlstm exports/frailty

Feeds the golden inputs; prints p50 and p95 of each graph.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from edge_app.inference.bundle import load_bundle


def main() -> None:
    """Parse the command line, time every graph, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=500)
    given = parser.parse_args()
    for path in given.bundles:
        bundle = load_bundle(path)
        with np.load(path / bundle.manifest.golden.file) as archive:
            golden = {name: archive[name] for name in archive.files}
        for graph in bundle.manifest.graphs:
            inputs = {t.name: golden[f"{graph.role}/{t.name}"][:1] for t in graph.inputs}
            run = bundle.runners[graph.role].run
            took_s = []
            for _ in range(given.repeats):
                started_s = time.perf_counter()
                run(inputs)
                took_s.append(time.perf_counter() - started_s)
            print(
                f"{path.name}/{graph.role}: p50 {1e3 * np.median(took_s):.3f} ms, "
                f"p95 {1e3 * np.percentile(took_s, 95):.3f} ms"
            )


if __name__ == "__main__":
    main()
