"""The GPU, and TensorRT with its Python module."""

from __future__ import annotations

from collections.abc import Iterator

from edge_app.doctor.board import package_version
from edge_app.doctor.diagnosis import Diagnosis, State
from edge_app.doctor.host import Host

WHOSE_GPU = "TensorRT; without it models run on the CPU"
WHOSE_TENSORRT = "TensorRT engines; without it models run by ONNX Runtime"
JETSON_NODES = ("/dev/nvgpu/igpu0/ctrl", "/dev/nvhost-ctrl-gpu", "/dev/nvhost-gpu", "/dev/nvidia0")
"""At least one of them is the way to a Jetson's GPU; which, depends on the L4T release."""
TENSORRT_MAJOR = 10
_QUERY = ("--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader")
_RUNTIME = "Start the container with the GPU: `docker run --runtime nvidia ...`"


def probe_gpu(host: Host) -> Iterator[Diagnosis]:
    """Tell whether there is an NVIDIA GPU that this user may use.

    Args:
        host: the machine.
    """
    nodes = [node for node in JETSON_NODES if host.exists(node)]
    if host.board == "jetson":
        yield _jetson(host, nodes)
        return
    answer = host.say("nvidia-smi", *_QUERY)
    first = answer.text.strip().splitlines()[0] if answer.text.strip() else ""
    fields = [field.strip() for field in first.split(",")]
    if answer.good and len(fields) == 3 and all(fields):
        name, driver, sm = fields
        told = f"{name}, driver {driver}, compute capability {sm}"
        yield Diagnosis("GPU", State.OK, told, needed_for=WHOSE_GPU)
    elif host.find("/dev/nvidia[0-9]*"):
        why = f"there is one, but {answer.trouble or 'nvidia-smi says nothing of it'}"
        mend = _RUNTIME if host.in_container else "sudo apt-get install nvidia-driver, then reboot"
        yield Diagnosis("GPU", State.DEGRADED, why, mend, WHOSE_GPU)
    else:
        yield Diagnosis("GPU", State.MISSING, "no NVIDIA GPU", "", WHOSE_GPU)


def _jetson(host: Host, nodes: list[str]) -> Diagnosis:
    if not nodes:
        mend = _RUNTIME if host.in_container else "sudo apt-get install nvidia-l4t-cuda; reboot"
        detail = f"none of {', '.join(JETSON_NODES)} is there"
        return Diagnosis("GPU", State.MISSING, detail, mend, WHOSE_GPU)
    denied = [node for node in nodes if not host.may_use(node)]
    if denied:
        mend = "sudo usermod -aG video,render $USER; log in again"
        if host.in_container:
            mend = "Give the container the groups: `--group-add video --group-add render`"
        detail = f"this user may not use {', '.join(denied)}"
        return Diagnosis("GPU", State.DEGRADED, detail, mend, WHOSE_GPU)
    return Diagnosis("GPU", State.OK, f"Jetson's own, by {', '.join(nodes)}", needed_for=WHOSE_GPU)


def probe_tensorrt(host: Host) -> Iterator[Diagnosis]:
    """Tell TensorRT's version, whether Python has its module, and why not.

    Args:
        host: the machine.
    """
    part, whose = "TensorRT", WHOSE_TENSORRT
    library = package_version(host, f"libnvinfer{TENSORRT_MAJOR}")
    said, answer = host.ask("tensorrt")
    if "version" in said:
        version = str(said["version"])
        told = f"{version} of {said.get('file', 'an unknown place')}"
        if version.split(".")[0] == str(TENSORRT_MAJOR):
            yield Diagnosis(part, State.OK, told, needed_for=whose)
        else:
            other = f"{told}; Bedside is written for {TENSORRT_MAJOR}.x"
            yield Diagnosis(part, State.DEGRADED, other, "Install JetPack 6 or 7", whose)
        return
    if not said:
        yield Diagnosis(part, State.DEGRADED, f"cannot be told: {answer.trouble}", "", whose)
        return
    beside = host.find("/usr/lib/python3*/dist-packages/tensorrt")
    why = str(said.get("detail", "it does not load"))
    if "absent" in said and beside:
        detail = f"JetPack has the Python module in {beside[0]}, but this Python does not see it"
        mend = "python3 -m venv --system-site-packages .venv-bedside; install Bedside into it again"
        yield Diagnosis(part, State.DEGRADED, detail, mend, whose)
    elif "absent" in said and library:
        mend = "sudo apt-get install python3-libnvinfer"
        yield Diagnosis(part, State.DEGRADED, f"{library}, without Python module", mend, whose)
    elif "absent" in said:
        mend = {"jetson": "sudo apt-get install tensorrt python3-libnvinfer"}.get(host.board, "")
        yield Diagnosis(part, State.MISSING, "not installed", mend, whose)
    else:
        mend = _RUNTIME if host.in_container else "sudo apt-get install --reinstall tensorrt"
        yield Diagnosis(part, State.DEGRADED, f"it does not load: {why}", mend, whose)
