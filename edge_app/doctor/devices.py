"""Device files of cameras, sound and serial sensors, and the groups that open them."""

from __future__ import annotations

from collections.abc import Iterator

from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.host import Host

WHOSE_CAMERA = "camera streams"
GROUPS = (
    ("audio", "/dev/snd/pcm*", "sound"),
    ("dialout", "/dev/tty[UA][SC][BM]*", "sensors on a serial port"),
    ("render", "/dev/dri/renderD*", "the GPU"),
)
"""Group, the devices it opens, whose they are. Groups without such a device are not needed."""


def probe_cameras(host: Host) -> Iterator[Diagnosis]:
    """Tell which cameras the kernel knows and whether this user may open them.

    Args:
        host: the machine.
    """
    nodes = host.find("/dev/video*")
    if not nodes:
        mend = "Plug one in; `v4l2-ctl --list-devices` shows it"
        if host.in_container:
            mend = "Pass it on: `docker run --device /dev/video0 --group-add video ...`"
        yield Diagnosis("cameras", State.MISSING, "no /dev/video*", mend, WHOSE_CAMERA)
        return
    told = ", ".join(_named(host, node) for node in nodes)
    denied = [node for node in nodes if not host.may_use(node)]
    if denied:
        detail = f"{told}; this user may not open {', '.join(denied)}"
        yield Diagnosis("cameras", State.DEGRADED, detail, _join(host, "video"), WHOSE_CAMERA)
    else:
        yield Diagnosis("cameras", State.OK, told, needed_for=WHOSE_CAMERA)


def _named(host: Host, node: str) -> str:
    name = host.read(f"/sys/class/video4linux/{node.rsplit('/', 1)[-1]}/name")
    return f"{node} ({name})" if name else node


def _join(host: Host, group: str) -> str:
    if host.in_container:
        return f"Give the container the group: `docker run --group-add {group} ...`"
    return f"sudo usermod -aG {group} $USER; log in again"


def probe_groups(host: Host) -> Iterator[Diagnosis]:
    """Tell this user's groups, and where a device is there that another group would open.

    Args:
        host: the machine.
    """
    answer = host.say("id", "-nG")
    mine = answer.text.split() if answer.text.strip() else []
    told = f"member of {', '.join(mine)}" if mine else f"cannot be told: {answer.trouble}"
    well = bool(mine)
    for group, pattern, what in GROUPS:
        denied = [node for node in host.find(pattern) if not host.may_use(node)]
        if denied:
            well = False
            detail = f"this user may not use {', '.join(denied)}"
            mend = _join(host, group)
            yield Diagnosis(f"group {group}", State.DEGRADED, detail, mend, what)
    if well or not mine:
        state = State.OK if well else State.DEGRADED
        yield Diagnosis("groups", state, told, "" if well else "Look at `id`", "devices")
