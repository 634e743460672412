"""All live sensors for half an hour under random faults: do they come back, and at what cost.

    python benchmarks/live_soak.py                     # 30 minutes, seed 0
    python benchmarks/live_soak.py --minutes 3 --seed 7

Every 4 to 20 seconds one sensor fails in one of the ways of ``live_faults.py`` and is well again
some seconds later; often two fail at once. Once a minute the memory, descriptors, threads and
D-Bus connections of the program are printed. At the end, a minute after the last fault, every
stream must be running and answering; the exit code says so.
"""

from __future__ import annotations

import argparse
import logging
import platform
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
from live_faults import FAULTS, Fault, spoiled_labels
from live_rig import STREAMS, LiveRig

KEPT_S = 90.0
CALM_S = 60.0
ALONE = ("BLE: clock wraps",)
"""Takes more than an hour of a real sensor's time; shown by the fault table."""


@dataclass
class Failing:
    """A fault under way."""

    fault: Fault
    begun_s: float
    ends_s: float


class Soak:
    """Faults at random, and what they cost."""

    def __init__(self, rig: LiveRig, seed: int) -> None:
        self._rig = rig
        self._rng = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self._failing: dict[str, Failing] = {}
        self._over: list[tuple[Fault, float, float]] = []
        self.counts: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()
        self._next_s = time.monotonic()

    def step(self, *, begin: bool) -> None:
        """Begin and end what is due."""
        now_s = time.monotonic()
        for stream, failing in list(self._failing.items()):
            if now_s >= failing.ends_s:
                del self._failing[stream]
                self._over.append((failing.fault, failing.begun_s, time.monotonic()))
                if failing.fault.end is not None:
                    failing.fault.end(self._rig)
        if begin and now_s >= self._next_s:
            self._next_s = now_s + self._rng.uniform(4.0, 20.0)
            self._begin(now_s)
        self._judge(now_s)

    def _begin(self, now_s: float) -> None:
        possible = [f for f in FAULTS if f.stream not in self._failing and f.name not in ALONE]
        if not possible:
            return
        fault = self._rng.choice(possible)
        lasts_s = fault.lasts_s and self._rng.uniform(1.0, 15.0)
        self.counts[fault.stream] += 1
        fault.begin(self._rig)
        self._failing[fault.stream] = Failing(fault, now_s, now_s + lasts_s)

    def _judge(self, now_s: float) -> None:
        """Count labels from spoiled windows, once every answer about them has been given."""
        due = [over for over in self._over if now_s > over[2] + 5.0]
        for fault, begun_s, ended_s in due:
            self.spoiled[fault.name] += spoiled_labels(self._rig, fault, begun_s, ended_s)
            self._over.remove((fault, begun_s, ended_s))


def cost(rig: LiveRig) -> str:
    """Return what the program holds at present."""
    process = psutil.Process()
    bus = rig.bluez.command("figures")["bus_connections"]
    return (
        f"{process.memory_info().rss / 1e6:7.1f} MB, {process.num_fds():3d} descriptors, "
        f"{process.num_threads():3d} threads, {bus:2d} D-Bus connections"
    )


def main() -> int:
    """Run the soak and print what it cost."""
    parser = argparse.ArgumentParser(description="Live sensors under random faults")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="also write what the program logs there")
    args = parser.parse_args()
    logging.basicConfig(filename=args.log, level=logging.INFO, format="%(asctime)s %(message)s")
    if args.log is None:
        logging.disable(logging.CRITICAL)
    print(f"Python {platform.python_version()}, {platform.machine()}, seed {args.seed}", flush=True)
    with LiveRig() as rig:
        rig.wait_until_all_run()
        soak = Soak(rig, args.seed)
        start_s, minute = time.monotonic(), 0
        end_s = start_s + 60.0 * args.minutes
        while time.monotonic() < end_s:
            soak.step(begin=time.monotonic() < end_s - CALM_S)
            if time.monotonic() >= start_s + 60.0 * minute:
                print(
                    f"{minute:3d} min  {cost(rig)}  faults {sum(soak.counts.values())}", flush=True
                )
                minute += 1
                for seen in rig.seen.values():
                    seen.forget(time.monotonic() - KEPT_S)
            time.sleep(0.05)
        print(f"    end  {cost(rig)}")
        well = True
        for name in STREAMS:
            health, said = rig.healths[name], rig.seen[name].said
            newest = [p for t, p in said if t > time.monotonic() - 5.0]
            # a face may be answered by "low confidence" while all is well
            answers = sum(p.label is not None or name == "face" for p in newest)
            healthy = health.state == "running" and not health.trouble and answers > 0
            well = well and healthy
            print(
                f"{name}: {health.state}, {'healthy' if healthy else 'NOT HEALTHY'}; "
                f"{soak.counts[name]} faults, {health.restarts} restarts, {answers} answers in the "
                f"last 5 s {health.trouble or ''} {'' if healthy else health.last_error}"
            )
        print(f"labels from spoiled windows: {soak.spoiled.total()} {dict(+soak.spoiled)}")
    return 0 if well and not soak.spoiled.total() else 1


if __name__ == "__main__":
    raise SystemExit(main())
