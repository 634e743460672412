"""Which machine it is: board, JetPack and L4T, system, Python."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.host import Host
from edge_app.inference.l4t import L4T_FILE, parse_l4t

L4T_AT_LEAST = 36
"""L4T r36 is JetPack 6, Ubuntu 22.04 with Python 3.10, the oldest that Bedside supports."""
JETPACK_OF_L4T = {32: "4", 34: "5", 35: "5", 36: "6", 38: "7"}
_FLASH = (
    "Install JetPack 6: developer.nvidia.com/embedded/jetpack (L4T below 35.5 cannot be upgraded"
    " over the air)"
)


def probe_board(host: Host) -> Iterator[Diagnosis]:
    """Tell the machine, and on a Jetson its L4T and JetPack.

    Args:
        host: the machine.
    """
    names = dict(
        re.findall(r'^(\w+)="?([^"\n]*)', host.read("/etc/os-release") or "", re.MULTILINE)
    )
    kernel = host.read("/proc/sys/kernel/osrelease") or "unknown kernel"
    model = host.read("/proc/device-tree/model") or "no board name"
    where = ", in a container" if host.in_container else ""
    system = names.get("PRETTY_NAME", "unknown system")
    yield Diagnosis("machine", State.OK, f"{model}, {system}, kernel {kernel}{where}")
    if host.board == "jetson":
        yield _l4t(host)


def l4t_version(host: Host) -> tuple[int, str] | None:
    """Return the major version of L4T and the whole of it, such as (36, "36.4.3").

    Args:
        host: the machine.

    Returns:
        None where neither /etc/nv_tegra_release nor the package says it.
    """
    release = parse_l4t(host.read(str(L4T_FILE)) or "")
    if release is None:
        match = re.match(r"\d+\.[\d.]+", package_version(host, "nvidia-l4t-core") or "")
        release = match[0] if match else None
    return (int(release.partition(".")[0]), release) if release else None


def package_version(host: Host, name: str) -> str | None:
    """Return the version of an installed Debian package, None when it is not installed.

    Args:
        host: the machine.
        name: of the package.
    """
    answer = host.say("dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", name)
    status, _, version = answer.text.strip().partition(" ")
    return version if answer.good and status == "installed" and version else None


def _l4t(host: Host) -> Diagnosis:
    part, whose = "JetPack", "TensorRT and the GPU"
    found = l4t_version(host)
    if found is None:
        mend = "sudo apt-get install nvidia-l4t-core nvidia-jetpack"
        if host.in_container:
            mend = "Pass it on: `docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro ...`"
        return Diagnosis(part, State.DEGRADED, "a Jetson that does not tell its L4T", mend, whose)
    major, whole = found
    jetpack = package_version(host, "nvidia-jetpack")
    told = f"L4T {whole}, JetPack {jetpack or JETPACK_OF_L4T.get(major, 'of unknown number')}"
    if major < L4T_AT_LEAST:
        told += f"; Bedside needs L4T {L4T_AT_LEAST} or later"
        return Diagnosis(part, State.MISSING, told, _FLASH, whose)
    if major not in JETPACK_OF_L4T:
        return Diagnosis(part, State.DEGRADED, f"{told}: not known to Bedside", "", whose)
    if jetpack is None and not host.in_container:
        mend = "sudo apt-get install nvidia-jetpack"
        without = f"{told} by its L4T; CUDA and TensorRT may not be installed"
        return Diagnosis(part, State.DEGRADED, without, mend, whose)
    return Diagnosis(part, State.OK, told, needed_for=whose)
