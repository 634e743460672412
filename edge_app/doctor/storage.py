"""Room for results and recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_app.doctor.diagnosis import Diagnosis, State, unclear
from edge_app.doctor.host import Host

ENOUGH_GB = 2.0
"""A night of results is some megabytes; recorded signals are half a gigabyte a day."""
TOO_LITTLE_GB = 0.1
_FREE = "Free space: sudo apt-get clean; sudo journalctl --vacuum-size=100M; du -xsh /var/*"


def probe_storage(host: Host, folder: Path) -> Iterator[Diagnosis]:
    """Tell how much is free where results go.

    Args:
        host: the machine.
        folder: where results go; it may not exist yet.
    """
    there = next((path for path in (folder, *folder.parents) if host.exists(str(path))), Path("/"))
    answer = host.say("df", "-Pk", "--", str(there))
    lines = answer.text.strip().splitlines()
    fields = lines[-1].split() if len(lines) > 1 else []
    if not answer.good or len(fields) < 6 or not (fields[1].isdigit() and fields[3].isdigit()):
        trouble = answer if answer.trouble else type(answer)(None, "", "df says nothing of use")
        yield unclear("disk", trouble, f"df -h {there}")
        return
    free_gb, total_gb = (int(fields[i]) * 1024 / 1e9 for i in (3, 1))
    told = f"{free_gb:.1f} GB free of {total_gb:.1f} GB at {there}"
    if free_gb >= ENOUGH_GB:
        yield Diagnosis("disk", State.OK, told)
    elif free_gb >= TOO_LITTLE_GB:
        yield Diagnosis("disk", State.DEGRADED, f"{told}: below {ENOUGH_GB:g} GB", _FREE)
    else:
        yield Diagnosis("disk", State.MISSING, f"{told}: no room for results", _FREE)
