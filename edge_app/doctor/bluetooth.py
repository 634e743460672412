"""Bluetooth: BlueZ and its version, D-Bus, this user's permission, the adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_app.doctor.diagnosis import Diagnosis, State, unclear
from edge_app.doctor.host import Host

WHOSE = "Bluetooth sensors"
OLDEST_BLUEZ = (5, 55)
"""What bleak's BlueZ backend asks for."""
BUS = "/run/dbus/system_bus_socket"
_NOT_THERE = ("ServiceUnknown", "NameHasNoOwner", "Spawn.", "TimedOut")
_DENIED = ("AccessDenied", "AuthError", "AuthFailed", "PermissionError")
_START = "sudo systemctl enable --now bluetooth"
_INSTALL = "sudo apt-get install bluez"


def probe_bluetooth(host: Host) -> Iterator[Diagnosis]:
    """Tell BlueZ's version, and what it answers this user over D-Bus.

    Args:
        host: the machine.
    """
    yield from _version(host)
    yield _dbus(host)


def _version(host: Host) -> Iterator[Diagnosis]:
    answer = host.say("bluetoothctl", "--version")
    match = re.search(r"(\d+)\.(\d+)", answer.text) if answer.good else None
    if match is None:
        if host.in_container:  # the daemon is outside; D-Bus tells the rest
            return
        told = answer.trouble or "bluetoothctl does not tell its version"
        state = State.MISSING if "no command" in told else State.DEGRADED
        yield Diagnosis("BlueZ", state, told, _INSTALL, WHOSE)
    elif (int(match[1]), int(match[2])) < OLDEST_BLUEZ:
        detail = f"{match[0]}; {OLDEST_BLUEZ[0]}.{OLDEST_BLUEZ[1]} or later is needed"
        mend = "sudo apt-get update; sudo apt-get install --only-upgrade bluez"
        yield Diagnosis("BlueZ", State.DEGRADED, detail, mend, WHOSE)
    else:
        yield Diagnosis("BlueZ", State.OK, match[0], needed_for=WHOSE)


def _dbus(host: Host) -> Diagnosis:
    part = "Bluetooth"
    said, answer = host.ask("bluez")
    if not said:
        return unclear(part, answer, _START, WHOSE)
    if "error" in said:
        return _refused(host, f"{said['error']}: {said.get('detail', '')}")
    adapters = said.get("adapters")
    if not isinstance(adapters, list):
        return Diagnosis(part, State.DEGRADED, "cannot be told: a strange answer", _START, WHOSE)
    on = [str(adapter.get("name")) for adapter in adapters if adapter.get("powered")]
    off = [str(adapter.get("name")) for adapter in adapters if not adapter.get("powered")]
    if on:
        return Diagnosis(part, State.OK, f"D-Bus answers, {', '.join(on)} is on", needed_for=WHOSE)
    if off:
        mend = "sudo rfkill unblock bluetooth; bluetoothctl power on"
        return Diagnosis(part, State.DEGRADED, f"{', '.join(off)} is switched off", mend, WHOSE)
    return Diagnosis(part, State.MISSING, "BlueZ knows no adapter", "Plug one in", WHOSE)


def _refused(host: Host, said: str) -> Diagnosis:
    part = "Bluetooth"
    if any(mark in said for mark in _DENIED):
        mend = "sudo usermod -aG bluetooth $USER; log in again"
        if host.in_container:
            mend = "Give the container the group: `--group-add bluetooth`, and the host's policy"
        return Diagnosis(part, State.DEGRADED, f"this user may not use it ({said})", mend, WHOSE)
    if any(mark in said for mark in _NOT_THERE):
        detail = f"D-Bus answers, BlueZ does not ({said})"
        return Diagnosis(part, State.MISSING, detail, f"{_INSTALL}; {_START}", WHOSE)
    if "ModuleNotFoundError" in said:
        return Diagnosis(part, State.MISSING, said, "pip install dbus-fast bleak", WHOSE)
    mend = "sudo apt-get install dbus bluez; sudo systemctl start dbus bluetooth"
    if host.in_container:
        mend = f"Pass the host's D-Bus on: `docker run -v {BUS}:{BUS} ...`"
    return Diagnosis(part, State.MISSING, f"no D-Bus ({said})", mend, WHOSE)
