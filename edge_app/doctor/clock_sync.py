"""Is the wall clock set by a time server: without it results of two devices cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.host import Host

PART = "clock"
WHOSE = "the date and time of results"
_START = "sudo timedatectl set-ntp true (or: sudo apt-get install chrony)"
_OUTSIDE = "On the machine outside the container: sudo timedatectl set-ntp true"


def probe_clock(host: Host) -> Iterator[Diagnosis]:
    """Tell whether the wall clock is synchronised: by chrony, systemd, or the kernel's own word.

    Args:
        host: the machine.
    """
    told: dict[str, bool] = {}
    said = []
    for ask in (_chrony, _timedatectl, _kernel):
        found = ask(host)
        if found is not None:
            synchronised, detail = found
            told[detail] = synchronised
            if synchronised:
                break
        else:
            said.append(ask.__name__.strip("_"))
    mend = _OUTSIDE if host.in_container else _START
    if not told:
        detail = f"cannot be told: neither {', '.join(said)} answers"
        yield Diagnosis(PART, State.DEGRADED, detail, mend, WHOSE)
    elif any(told.values()):
        yield Diagnosis(PART, State.OK, list(told)[-1], needed_for=WHOSE)
    else:
        detail = "; ".join(told)
        yield Diagnosis(PART, State.DEGRADED, f"not synchronised: {detail}", mend, WHOSE)


def _chrony(host: Host) -> tuple[bool, str] | None:
    answer = host.say("chronyc", "-n", "tracking")
    shown = dict(re.findall(r"^([A-Z][\w ]*?)\s*:\s*(.+)$", answer.text, re.MULTILINE))
    if not answer.good or "Leap status" not in shown:
        return None
    source = shown.get("Reference ID", "?")
    off = shown.get("System time", "?")
    told = f"chrony: {shown['Leap status']}, {source}, {off}"
    return shown["Leap status"] != "Not synchronised", told


def _timedatectl(host: Host) -> tuple[bool, str] | None:
    answer = host.say("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    word = answer.text.strip()
    if not answer.good or word not in ("yes", "no"):
        return None
    return word == "yes", f"timedatectl says NTPSynchronized={word}"


def _kernel(host: Host) -> tuple[bool, str] | None:
    said, _ = host.ask("clock")
    synchronised = said.get("synchronised")
    if not isinstance(synchronised, bool):
        return None
    if synchronised:
        return True, f"the kernel says synchronised, error at most {said.get('max_error_s')} s"
    return False, "the kernel says unsynchronised"
