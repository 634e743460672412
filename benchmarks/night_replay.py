"""How long an 8-h one-channel 256-Hz EEG file takes to replay on one core, whole process.

    python benchmarks/night_replay.py

Writes a simulated night as EDF, then runs `edge-app replay` on it, pinned to one processor, several
times. Prints one JSON line; seconds include starting Python and verifying the bundle.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import edfio
import numpy as np


def write_night(path: Path, hours: float, rate_hz: int) -> None:
    """Write noise with a slow wave in it, which costs the same to stage as sleep."""
    rng = np.random.default_rng(0)
    n = int(hours * 3600) * rate_hz
    wave = 30 * np.sin(2 * np.pi * 1.5 * np.arange(n) / rate_hz)
    signal = edfio.EdfSignal(
        wave + rng.normal(0, 10, n),
        rate_hz,
        label="EEG Fpz-Cz",
        physical_dimension="uV",
        physical_range=(-200, 200),
    )
    edfio.Edf([signal]).write(path)


def main() -> None:
    """Parse the command line, write the file, time the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--rate", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "simulated_night.edf"
        write_night(night, given.hours, given.rate)
        command = [sys.executable, "-m", "edge_app", "replay", str(night)]
        command += ["--task", "sleep", "--out", str(Path(folder) / "out")]
        processor = {min(os.sched_getaffinity(0))}
        wall_s = []
        for _ in range(given.repeats):
            started_s = time.perf_counter()
            subprocess.run(
                command,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: os.sched_setaffinity(0, processor),
            )
            wall_s.append(time.perf_counter() - started_s)
        lines = (Path(folder) / "out" / "predictions.jsonl").read_text().count("\n")
    print(
        json.dumps(
            {
                "hours": given.hours,
                "rate_hz": given.rate,
                "predictions": lines,
                "wall_s": [round(value, 2) for value in wall_s],
                "median_s": round(float(np.median(wall_s)), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
