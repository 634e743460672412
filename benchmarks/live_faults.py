"""Every fault of a live sensor, one after another, beside two sensors that are well: one table.

    python benchmarks/live_faults.py                  # all faults, about six minutes
    python benchmarks/live_faults.py --only camera    # those whose name holds this word

For each fault: what the stream told first and how soon; how much data is missing, by the stamps;
how soon after the sensor was well again data came; the longest pause between two answers of either
neighbour; and how many labels were given to windows that the fault had spoiled (must be 0). What
the sensors are is said in ``live_rig.py``; no radio and no real camera is involved.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from live_rig import OUTLET, SENSOR, STREAMS, LiveRig, Seen

Act = Callable[[LiveRig], object]
SETTLE_S = 3.0
BACK_WITHIN_S = 20.0
EDGE_S = 0.1
"""A fault's moments are known to this precision."""
RANDOM_EDGE_S = 0.5
ON_THE_WAY_S = 0.3
"""Pictures that a network camera had sent before it failed still come for so long."""


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Args:
        name: for the table.
        stream: whose.
        begin: makes it fail.
        end: makes it well again; None: it is well again at once.
        lasts_s: how long it fails.
        spoils: whether what is measured meanwhile must not become a label.
        edge_s: a window that overlaps the fault by less may be whole: its moments are known to this
            precision, and where samples are lost at random some stretches lose none.
        sends_later: what was measured meanwhile is sent afterwards, whole and with its stamps, if
            the link has not been given up: only labels said while it lasts are wrong.
    """

    name: str
    stream: str
    begin: Act
    end: Act | None = None
    lasts_s: float = 5.0
    spoils: bool = True
    edge_s: float = EDGE_S
    sends_later: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was seen of a fault; times in seconds, None: did not happen."""

    told: str
    told_after_s: float | None
    lost_s: float
    back_after_s: float | None
    neighbours_gap_s: float
    spoiled_labels: int


def _replace_outlet(rig: LiveRig, **change: object) -> None:
    rig.outlet.kill()
    rig.outlet = rig.outlet.again(**change)
    rig.outlet.wait_until_up()
    rig.outlet.tell(how_sine_uv=20.0)


def _as_it_was(rig: LiveRig) -> None:
    _replace_outlet(rig, rate_hz=OUTLET.rate_hz, labels=OUTLET.labels, units=OUTLET.units)


def _outlet(**how: object) -> Act:
    return lambda rig: rig.outlet.tell(**how)


def _sensor(do: str, **order: object) -> Act:
    return lambda rig: rig.bluez.command(do, address=SENSOR.address, **order)


def _packets(**faults: float) -> Act:
    return lambda rig: rig.bluez.command("faults", address=SENSOR.address, **faults)


def _camera(fault: str) -> Act:
    return lambda rig: rig.camera.begin(fault)  # type: ignore[arg-type]


def _camera_well(rig: LiveRig) -> object:
    return rig.camera.end()


def _wrong_table(rig: LiveRig) -> None:
    rig.bluez.command("set", address=SENSOR.address, wrong_table=True)
    rig.bluez.command("drop_link", address=SENSOR.address)


def _unpaired(rig: LiveRig) -> None:
    rig.bluez.command("set", address=SENSOR.address, needs_pairing=True, paired=False)
    rig.bluez.command("drop_link", address=SENSOR.address)


def _refusing(rig: LiveRig) -> None:
    rig.bluez.command("set", address=SENSOR.address, refuse_connects=3)
    rig.bluez.command("drop_link", address=SENSOR.address)


def _camera_fault(name: str, fault: str, *, spoils: bool = True, lasts_s: float = 6.0) -> Fault:
    return Fault(f"camera: {name}", "face", _camera(fault), _camera_well, lasts_s, spoils)


def _door(fault: str | None) -> Act:
    return lambda rig: setattr(rig.door, "fault", fault)


def _door_fault(name: str, fault: str) -> Fault:
    return Fault(f"network camera: {name}", "door", _door(fault), _door(None), 6.0)


FAULTS = [
    Fault("LSL: outlet killed", "eeg", lambda rig: rig.outlet.kill(), _as_it_was),
    Fault(
        "LSL: frozen",
        "eeg",
        lambda rig: rig.outlet.freeze(),
        lambda rig: rig.outlet.resume(),
        6.0,
        sends_later=True,
    ),
    Fault(
        "LSL: back at another rate",
        "eeg",
        lambda rig: _replace_outlet(rig, rate_hz=500.0),
        None,
        0.0,
    ),
    Fault("LSL: back at the rate before", "eeg", _as_it_was, None, 0.0),
    Fault(
        "LSL: back with other channels",
        "eeg",
        lambda rig: _replace_outlet(rig, labels=("O1", "O2")),
        _as_it_was,
    ),
    Fault("LSL: clock +20 s", "eeg", _outlet(how_jump_s=20.0), _outlet(how_jump_s=0.0), 4.0, False),
    Fault(
        "LSL: clock -20 s", "eeg", _outlet(how_jump_s=-20.0), _outlet(how_jump_s=0.0), 4.0, False
    ),
    Fault(
        "LSL: 5 % dropped",
        "eeg",
        _outlet(how_drop=0.05),
        _outlet(how_drop=0.0),
        8.0,
        edge_s=RANDOM_EDGE_S,
    ),
    Fault(
        "LSL: half the declared rate",
        "eeg",
        _outlet(how_sends_hz=OUTLET.rate_hz / 2),
        _outlet(how_sends_hz=None),
        4.0,
    ),
    Fault("LSL: NaN burst", "eeg", _outlet(how_nan=True), _outlet(how_nan=False), 3.0),
    Fault("BLE: link lost", "foot", _sensor("drop_link"), None, 0.0),
    Fault(
        "BLE: out of reach", "foot", _sensor("set", in_range=False), _sensor("set", in_range=True)
    ),
    Fault(
        "BLE: zombie link",
        "foot",
        _sensor("set", muted=True, mute_stays=True),
        _sensor("set", muted=False, mute_stays=False),
    ),
    Fault("BLE: sensor reboots (0.5 s)", "foot", _sensor("reboot", off_s=0.5), None, 0.0),
    Fault("BLE: wrong UUID", "foot", _wrong_table, _sensor("set", wrong_table=False)),
    Fault("BLE: pairing refused", "foot", _unpaired, _sensor("set", needs_pairing=False)),
    Fault("BLE: three connects refused", "foot", _refusing, None, 0.0),
    Fault(  # a second of 60 samples may be whole all the same, and is then rightly used
        "BLE: 5 % lost",
        "foot",
        _sensor("set", drop_fraction=0.05),
        _sensor("set", drop_fraction=0.0),
        8.0,
        spoils=False,
    ),
    Fault(
        "BLE: truncated 20 %",
        "foot",
        _packets(truncate=0.2),
        _packets(),
        8.0,
        edge_s=RANDOM_EDGE_S,
    ),
    Fault("BLE: merged 20 %", "foot", _packets(merge=0.2), _packets(), 5.0, False),
    Fault("BLE: split 20 %", "foot", _packets(split=0.2), _packets(), 5.0, False),
    Fault("BLE: reordered 20 %", "foot", _packets(reorder=0.2), _packets(), 5.0, False),
    Fault("BLE: repeated 20 %", "foot", _packets(repeat=0.2), _packets(), 5.0, False),
    Fault("BLE: clock wraps", "foot", _packets(wrap_soon=True), _packets(), 8.0, False),
    Fault(
        "BLE: adapter gone",
        "foot",
        lambda rig: rig.bluez.command("remove_adapter", name="hci0"),
        lambda rig: rig.bluez.command("return_adapter", name="hci0"),
    ),
    Fault(
        "BLE: adapter switched off",
        "foot",
        lambda rig: rig.bluez.command("power", name="hci0", on=False),
        lambda rig: rig.bluez.command("power", name="hci0", on=True),
    ),
    Fault(
        "BLE: BlueZ restarts",
        "foot",
        lambda rig: (rig.bluez.stop_bluez(), rig.bluez.start_bluez()),
        None,
        0.0,
    ),
    Fault("BLE: D-Bus restarts", "foot", lambda rig: rig.bluez.restart(pause_s=0.5), None, 0.0),
    _camera_fault("unplugged", "unplugged"),
    _camera_fault("silent", "silent"),
    _camera_fault("read blocks", "blocked"),
    _camera_fault("frozen", "frozen"),
    _camera_fault("black", "black"),
    _camera_fault("garbage", "garbage"),
    _camera_fault("other size", "small", spoils=False),
    _camera_fault("5 fps", "slow", spoils=False),
    Fault("network camera: gone", "door", lambda r: r.door.stop(), lambda r: r.door.start(), 6.0),
    _door_fault("stalled", "stall"),
    _door_fault("damaged", "damaged"),
    _door_fault("frozen", "frozen"),
]


def lost_s(seen: Seen, since_s: float) -> float:
    """Return how much data never came since a moment: time that went by, less samples that came.

    Stamps do not count, for a clock that jumps loses nothing. A sensor's pace comes from the median
    step of its stamps, so a camera that slows down has lost the pictures that it did not take.
    """
    came = [(a, t) for a, t in zip(seen.arrivals_s, seen.stamps_s, strict=True) if a >= since_s]
    if len(came) < 2:
        return 0.0
    usual_s = float(np.median(np.diff(np.concatenate([t for _, t in came]))))
    n = sum(t.size for _, t in came[1:])
    return max(0.0, came[-1][0] - came[0][0] - n * usual_s)


def longest_pause_s(seen: Seen, since_s: float) -> float:
    """Return the longest time between two answers since a moment."""
    moments = [t for t, _ in seen.said if t >= since_s] + [time.monotonic()]
    return max((b - a for a, b in pairwise(moments)), default=float("inf"))


def spoiled_labels(rig: LiveRig, fault: Fault, begun_s: float, ended_s: float) -> int:
    """Return how many labels were given to windows that the fault had spoiled."""
    if not fault.spoils:
        return 0
    said = [
        p
        for at_s, p in rig.seen[fault.stream].said
        if p.label is not None and (not fault.sends_later or at_s < ended_s)
    ]
    if fault.stream == "face":  # the double itself knows to the frame when it showed nothing
        return sum(
            rig.camera.spoiled_at(p.start_s - EDGE_S) and rig.camera.spoiled_at(p.start_s)
            for p in said
        )
    if ended_s - begun_s < EDGE_S:
        middle_s = (begun_s + ended_s) / 2.0
        return sum(p.start_s < middle_s < p.end_s for p in said)
    edge_s = ON_THE_WAY_S if fault.stream == "door" else fault.edge_s
    return sum(p.start_s < ended_s - edge_s and p.end_s > begun_s + edge_s for p in said)


def run(rig: LiveRig, fault: Fault) -> Outcome:
    """Let one sensor fail and come back."""
    health, seen = rig.healths[fault.stream], rig.seen[fault.stream]
    number = max((event.number for event in health.events_after(0)), default=0)
    begun_s, begun_unix_s = time.monotonic(), time.time()
    fault.begin(rig)
    down_s = time.monotonic()
    time.sleep(fault.lasts_s)
    ended_s = time.monotonic()
    if fault.end is not None:
        fault.end(rig)
        ended_s = time.monotonic()
    opened = health.restarts
    while time.monotonic() < ended_s + BACK_WITHIN_S:
        came = [t for t in seen.arrivals_s if t > ended_s]
        well = [t for t, p in seen.said if t > ended_s and p.label is not None]
        if came and well and health.state == "running":
            break
        time.sleep(0.02)
    time.sleep(SETTLE_S)
    told = [e for e in health.events_after(number) if e.kind in ("trouble", "error")]
    came = [t for t in seen.arrivals_s if t > ended_s]
    if fault.end is None:  # data that was under way when it failed does not count as back
        opened_at = [e.unix_s for e in health.events_after(number) if e.kind == "open"]
        if opened_at or health.restarts > opened:
            back_from_s = begun_s + (opened_at[0] - begun_unix_s) if opened_at else ended_s
            came = [t for t in came if t >= back_from_s]
    others = [rig.seen[name] for name in STREAMS if name != fault.stream]
    return Outcome(
        told[0].text if told else "nothing",
        told[0].unix_s - begun_unix_s if told else None,
        lost_s(seen, begun_s - 1.0),
        came[0] - max(ended_s, down_s) if came else None,
        max(longest_pause_s(other, begun_s) for other in others),
        spoiled_labels(rig, fault, begun_s, ended_s),
    )


def shown(value: float | None) -> str:
    """Return seconds for the table."""
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Run the faults and print the table."""
    parser = argparse.ArgumentParser(description="What happens when a live sensor fails")
    parser.add_argument("--only", default="", help="a part of the fault's name")
    parser.add_argument("--json", type=Path, help="also write the table there")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"Python {platform.python_version()}, {platform.machine()}; seconds")
    head = f"{'fault':<30} {'told':>5} {'lost':>6} {'back':>5} {'others':>6} {'wrong':>5}  what"
    print(head)
    rows = {}
    with LiveRig() as rig:
        rig.wait_until_all_run()
        time.sleep(SETTLE_S)
        for fault in FAULTS:
            if args.only.lower() not in fault.name.lower():
                continue
            for seen in rig.seen.values():
                seen.forget(time.monotonic() - 5.0)
            got = run(rig, fault)
            rows[fault.name] = got.__dict__
            print(
                f"{fault.name:<30} {shown(got.told_after_s):>5} {got.lost_s:>6.2f} "
                f"{shown(got.back_after_s):>5} {got.neighbours_gap_s:>6.2f} "
                f"{got.spoiled_labels:>5}  {got.told}",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
