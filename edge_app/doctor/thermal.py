"""Heat and supply: temperatures, and whether the machine has slowed itself down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_app.counted import counted
from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.host import Host

PART = "heat and supply"
WHOSE = "full speed"
COOL = "See that fan and vents are free, then: sudo nvpmodel -q; tegrastats"
_COOL_OTHER = "See that fan and vents are free, and that nothing else runs on it"
SUPPLY = "Take the supply made for this board, or a lower power mode: sudo nvpmodel -m 0"
OVER_CURRENT = {"1": "too low voltage", "2": "average over-current", "3": "short over-current"}
"""Jetson Orin's soctherm_oc counters, as NVIDIA's developer guide for L4T r36 numbers them."""
RASPBERRY_NOW = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_START = 16
"""``vcgencmd get_throttled``: bit n is now, bit 16 + n is at some time since the start."""


def probe_thermal(host: Host) -> Iterator[Diagnosis]:
    """Tell the hottest zone, and every sign that the machine slowed itself down.

    Args:
        host: the machine.
    """
    zones = list(_zones(host))
    slowed = [*_too_hot(zones), *_alerts(host), *_core_counters(host)]
    supply = [*_over_current(host), *_raspberry(host)]
    hottest = max(zones, key=lambda zone: zone[1], default=None)
    told = "no temperature can be read" if hottest is None else f"{hottest[0]} {hottest[1]:.0f} °C"
    if slowed or supply:
        cool = COOL if host.board == "jetson" else _COOL_OTHER
        weak = SUPPLY if host.board == "jetson" else "Take the supply made for this board"
        mend = "; ".join([*([cool] if slowed else []), *([weak] if supply else [])])
        yield Diagnosis(PART, State.DEGRADED, "; ".join([told, *slowed, *supply]), mend, WHOSE)
    elif hottest is None and host.board != "other":
        mend = "Look at /sys/class/thermal"
        yield Diagnosis(PART, State.DEGRADED, told, mend, WHOSE)
    else:
        yield Diagnosis(PART, State.OK, f"{told}, not slowed down", needed_for=WHOSE)


def _zones(host: Host) -> Iterator[tuple[str, float, float]]:
    """Yield name, temperature and the lowest temperature that slows down; degrees Celsius."""
    for folder in host.find("/sys/class/thermal/thermal_zone*"):
        milli = host.number(f"{folder}/temp")  # a zone that is switched off gives an error
        if milli is None or not -40_000 < milli < 200_000:
            continue
        limits = [
            limit
            for kind in host.find(f"{folder}/trip_point_*_type")
            if host.read(kind) in ("passive", "hot", "critical")
            for limit in [host.number(kind.replace("_type", "_temp"))]
            if limit is not None and limit > 0
        ]
        name = host.read(f"{folder}/type") or folder.rsplit("/", 1)[-1]
        yield name, milli / 1000.0, min(limits, default=200_000) / 1000.0


def _too_hot(zones: list[tuple[str, float, float]]) -> Iterator[str]:
    for name, celsius, limit in zones:
        if celsius >= limit:
            yield f"{name} has reached its limit of {limit:.0f} °C"


def _alerts(host: Host) -> Iterator[str]:
    """Yield cooling devices that are at work and slow down; fans do not."""
    for folder in host.find("/sys/class/thermal/cooling_device*"):
        kind = host.read(f"{folder}/type") or ""
        slows = kind.endswith("-alert") or kind.startswith(("cpufreq", "thermal-cpufreq"))
        if slows and (host.number(f"{folder}/cur_state") or 0) > 0:
            yield f"{kind} is at work: throttled now"


def _core_counters(host: Host) -> Iterator[str]:
    files = host.find("/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
    times = sum(host.number(file) or 0 for file in files)
    if times:
        yield f"cores throttled {counted(times, 'time')} since the start"


def _over_current(host: Host) -> Iterator[str]:
    for file in host.find("/sys/class/hwmon/hwmon*/oc*_event_cnt"):
        times = host.number(file) or 0
        match = re.search(r"/oc(\d+)_event_cnt$", file)
        if times and match:
            what = OVER_CURRENT.get(match[1], f"supply alarm {match[1]}")
            yield f"{what} {counted(times, 'time')} since the start"


def _raspberry(host: Host) -> Iterator[str]:
    if host.board != "raspberry-pi":
        return
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", host.say("vcgencmd", "get_throttled").text)
    bits = int(match[1], 16) if match else 0
    for bit, what in RASPBERRY_NOW.items():
        if bits >> bit & 1:
            yield f"{what} now"
        elif bits >> (bit + _SINCE_START) & 1:
            yield f"{what} since the start"
