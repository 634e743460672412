"""How long the gait analysis takes: an hour of a SIMULATED foot sensor on one core.

python benchmarks/gait.py
python benchmarks/gait.py --minutes 10 --rate-hz 200
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from edge_app.preprocess.gait.analyser import GaitAnalyser
from edge_app.simulation.foot_imu import simulate_walk
from edge_app.simulation.gait_parameters import load_gait_rows


def main() -> None:
    """Simulate, analyse in blocks of a second as the task does, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate-hz", type=int, default=100)
    given = parser.parse_args()
    samples, _ = simulate_walk(
        load_gait_rows()[0], duration_s=60.0 * given.minutes, rate_hz=given.rate_hz, seed=1
    )
    times_s = np.arange(len(samples)) / given.rate_hz
    analyser = GaitAnalyser(float(given.rate_hz))
    took_s, found = [], 0
    for at in range(0, len(samples), given.rate_hz):
        block = slice(at, at + given.rate_hz)
        started_s = time.perf_counter()
        found += len(analyser.push(times_s[block], samples[block]))
        took_s.append(time.perf_counter() - started_s)
    print(
        f"{given.minutes:g} min at {given.rate_hz} Hz, SIMULATED: {found} strides in "
        f"{sum(took_s):.2f} s; a second of signal takes p50 {1e3 * np.median(took_s):.2f} ms, "
        f"p99 {1e3 * np.percentile(took_s, 99):.2f} ms"
    )


if __name__ == "__main__":
    main()
