"""Resident memory of `edge-app demo` over simulated minutes: is it small, and is it flat?

    python benchmarks/demo_memory.py --minutes 30 --speed 20

Starts the real command, reads its resident memory once a second from outside, and prints one JSON
line: the largest value, and the median of the first and of the last third after warm-up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np
import psutil


def main() -> None:
    """Parse the command line, run the demonstration, print what was read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="simulated minutes")
    parser.add_argument("--speed", type=float, default=20.0, help="simulated seconds a second")
    given = parser.parse_args()
    command = [sys.executable, "-m", "edge_app", "demo", "--speed", str(given.speed)]
    command += ["--duration", str(60 * given.minutes)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    watched, rss_mb, cpu_s = psutil.Process(process.pid), [], 0.0
    started_s = time.monotonic()
    while process.poll() is None:
        try:
            rss_mb.append(watched.memory_info().rss / 2**20)
            times = watched.cpu_times()
            cpu_s = times.user + times.system
        except psutil.Error:
            break
        time.sleep(1.0)
    code = process.wait()
    steady = np.array(rss_mb[5:])
    third = max(1, len(steady) // 3)
    print(
        json.dumps(
            {
                "simulated_minutes": given.minutes,
                "speed": given.speed,
                "wall_s": round(time.monotonic() - started_s, 1),
                "exit_code": code,
                "readings": len(rss_mb),
                "rss_max_mb": round(max(rss_mb), 1),
                "rss_first_third_mb": round(float(np.median(steady[:third])), 1),
                "rss_last_third_mb": round(float(np.median(steady[-third:])), 1),
                "cpu_s": round(cpu_s, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
