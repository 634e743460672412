"""How long `edge-app replay` takes for a simulated 8-h one-channel EEG night, on one core.

    python benchmarks/sleep_night.py

Writes a SIMULATED night as EDF, replays it in a process of its own pinned to one processor, several
times, and prints a table: wall and processor seconds include starting Python and verifying the
bundle. Passing estimates are counted where the bundle makes them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import edfio
import numpy as np

from edge_app.build import find_bundle
from edge_app.simulation.sleep_eeg import EPOCH_S, simulate_night

TARGET_S = 5.0


def write_night(path: Path, hours: float, rate_hz: int) -> None:
    """Write a simulated night as EDF, 16 bits from -500 to 500 uV."""
    n_epochs = round(hours * 3600.0 / EPOCH_S)
    night = islice(simulate_night(rate_hz=float(rate_hz), seed=0), n_epochs)
    samples = np.concatenate([epoch.samples[:, 0] for epoch in night]).astype(np.float64)
    signal = edfio.EdfSignal(
        np.clip(samples, -500, 500),
        rate_hz,
        label="EEG Fpz-Cz",
        physical_dimension="uV",
        physical_range=(-500, 500),
    )
    recording = edfio.Recording(equipment_code="Bedside_simulated")
    edfio.Edf([signal], recording=recording).write(path)


def replay_once(command: list[str]) -> tuple[float, float]:
    """Return wall and processor seconds of one replay on one processor."""
    processor = {min(os.sched_getaffinity(0))}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, processor),
    )
    wall_s = time.perf_counter() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall_s, used_s


def main() -> None:
    """Parse the command line, write the file, time the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--rate", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bundle", type=Path, default=None, help="default: the shipped one")
    given = parser.parse_args()
    bundle = given.bundle or find_bundle("sleep")
    with tempfile.TemporaryDirectory() as folder:
        night, out = Path(folder) / "simulated_night.edf", Path(folder) / "out"
        write_night(night, given.hours, given.rate)
        command = [sys.executable, "-m", "edge_app", "replay", str(night), "--task", "sleep"]
        command += ["--bundle", str(bundle), "--out", str(out)]
        times_s = [replay_once(command) for _ in range(given.repeats)]
        kinds: Counter[str] = Counter()
        for line in (out / "predictions.jsonl").read_bytes().splitlines():
            passing, final = b'"passing": true' in line, b'"final": true' in line
            kinds["passing" if passing else "final" if final else "provisional"] += 1
    print(f"SIMULATED night, {given.hours:g} h at {given.rate} Hz, bundle {bundle}, one core")
    print(f"{'run':>4} {'wall s':>8} {'processor s':>12}")
    for number, (wall_s, used_s) in enumerate(times_s, 1):
        print(f"{number:>4} {wall_s:8.2f} {used_s:12.2f}")
    wall_s, used_s = np.median(times_s, axis=0)
    verdict = "met" if wall_s <= TARGET_S else "missed"
    print(f" all {wall_s:8.2f} {used_s:12.2f}   medians; target {TARGET_S:g} s wall: {verdict}")
    print(", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))


if __name__ == "__main__":
    main()
