"""Look at every part of the machine, side by side; a probe that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from edge_app.doctor.bluetooth import probe_bluetooth
from edge_app.doctor.board import probe_board
from edge_app.doctor.clock_sync import probe_clock
from edge_app.doctor.devices import probe_cameras, probe_groups
from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.gpu import probe_gpu, probe_tensorrt
from edge_app.doctor.host import Host
from edge_app.doctor.libraries import probe_liblsl, probe_onnxruntime, probe_opencv
from edge_app.doctor.power import probe_power
from edge_app.doctor.storage import probe_storage
from edge_app.doctor.thermal import probe_thermal

Probe = Callable[[Host], Iterable[Diagnosis]]
PROBES: dict[str, Probe] = {
    "machine": probe_board,
    "GPU": probe_gpu,
    "TensorRT": probe_tensorrt,
    "ONNX Runtime": probe_onnxruntime,
    "OpenCV": probe_opencv,
    "liblsl": probe_liblsl,
    "Bluetooth": probe_bluetooth,
    "cameras": probe_cameras,
    "groups": probe_groups,
    "clock": probe_clock,
    "power mode": probe_power,
    "heat and supply": probe_thermal,
}
AT_ONCE = 6
"""Most of the time they wait for a process."""


def examine(host: Host | None = None, results: Path = Path()) -> Iterator[Diagnosis]:
    """Look at the machine.

    Args:
        host: the machine; None: this one.
        results: where results go.

    Yields:
        What every probe found, in the order of ``PROBES`` and the disk last.
    """
    host = host or Host()
    probes: dict[str, Probe] = {**PROBES, "disk": partial(probe_storage, folder=results.absolute())}
    with ThreadPoolExecutor(AT_ONCE) as together:
        running = [together.submit(look, name, probe, host) for name, probe in probes.items()]
        for one in running:
            yield from one.result()


def look(name: str, probe: Probe, host: Host) -> list[Diagnosis]:
    """Run one probe; what it raises becomes a diagnosis of its own.

    Args:
        name: of the probe.
        probe: what to run.
        host: the machine.
    """
    found: list[Diagnosis] = []
    try:
        found.extend(probe(host))  # what it told before it failed stays
    except Exception as error:  # noqa: BLE001 - one probe must never stop the others
        said = f"cannot be told: {type(error).__name__}: {error}"
        mend = "Report it with the output of `edge-app check --json`"
        found.append(Diagnosis(name, State.DEGRADED, said, mend, "the doctor itself"))
    return found
