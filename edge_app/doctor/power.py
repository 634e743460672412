"""Power mode: nvpmodel on a Jetson, the CPU governor elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.host import Host

PART = "power mode"
WHOSE = "full speed"
_CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"
_ADAPTIVE = ("intel_pstate", "amd-pstate", "amd-pstate-epp")
"""Drivers under which ``powersave`` still follows the load."""


def probe_power(host: Host) -> Iterator[Diagnosis]:
    """Tell in which power mode the machine runs.

    Args:
        host: the machine.
    """
    yield _nvpmodel(host) if host.board == "jetson" else _governor(host)


def _modes(host: Host) -> dict[int, str]:
    found = re.findall(
        r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)",
        host.read("/etc/nvpmodel.conf") or "",
        re.MULTILINE,
    )
    return {int(number): name for number, name in found}


def _watts(name: str) -> float:
    """Return a mode's power limit; MAXN has none."""
    match = re.search(r"(\d+)\s*W", name)
    return float(match[1]) if match else float("inf")


def _nvpmodel(host: Host) -> Diagnosis:
    modes = _modes(host)
    answer = host.say("nvpmodel", "-q")
    match = re.search(r"NV Power Mode:\s*(\S+)", answer.text)
    name = match[1] if match else ""
    if not name:  # in a container, or not allowed: the service leaves its word in a file
        status = re.search(r"pmode:(\d+)", host.read("/var/lib/nvpmodel/status") or "")
        name = modes.get(int(status[1]), "") if status else ""
    if not name:
        mend = "sudo nvpmodel -q" + (", outside the container" if host.in_container else "")
        why = answer.trouble or "nvpmodel names no mode"
        return Diagnosis(PART, State.DEGRADED, f"cannot be told: {why}", mend, WHOSE)
    others = sorted(modes.items(), key=lambda mode: (_watts(mode[1]), -mode[0]))
    told = f"{name} of {', '.join(mode for _, mode in others)}" if others else name
    if len(others) > 1 and _watts(name) <= _watts(others[0][1]) < _watts(others[-1][1]):
        mend = f"sudo nvpmodel -m {others[-1][0]} ({others[-1][1]}; it may ask for a reboot)"
        return Diagnosis(PART, State.DEGRADED, f"{told}: the slowest", mend, WHOSE)
    return Diagnosis(PART, State.OK, told, needed_for=WHOSE)


def _governor(host: Host) -> Diagnosis:
    governor = host.read(f"{_CPUFREQ}/scaling_governor")
    driver = host.read(f"{_CPUFREQ}/scaling_driver") or "unknown driver"
    if not governor:
        return Diagnosis(PART, State.OK, "this machine does not offer any", needed_for=WHOSE)
    told = f"CPU governor {governor} ({driver})"
    if governor == "powersave" and driver not in _ADAPTIVE:
        mend = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return Diagnosis(PART, State.DEGRADED, f"{told}: always the lowest clock", mend, WHOSE)
    return Diagnosis(PART, State.OK, told, needed_for=WHOSE)
