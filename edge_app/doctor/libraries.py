"""The libraries that models and sensors need: ONNX Runtime, OpenCV, liblsl."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edge_app.doctor.diagnosis import EVERY_DEVICE, Diagnosis, State, unclear
from edge_app.doctor.host import Host

OLDEST_ONNXRUNTIME = (1, 23)
CPU = "CPUExecutionProvider"
WHOSE_OPENCV = "cameras, videos and faces"
WHOSE_LSL = "EEG over Lab Streaming Layer"
_SPEED = ("TensorrtExecutionProvider", "CUDAExecutionProvider")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _broken(part: str, said: dict[str, Any], install: str, whose: str = EVERY_DEVICE) -> Diagnosis:
    detail = str(said.get("detail") or "an answer without a version")
    if "absent" in said:
        return Diagnosis(part, State.MISSING, detail, install, whose)
    again = install.replace("install ", "install --force-reinstall --no-deps ", 1)
    return Diagnosis(part, State.MISSING, f"it does not load: {detail}", again, whose)


def probe_onnxruntime(host: Host) -> Iterator[Diagnosis]:
    """Tell ONNX Runtime's version and execution providers.

    Args:
        host: the machine.
    """
    part, install = "ONNX Runtime", "pip install 'onnxruntime>=1.23.2'"
    said, answer = host.ask("onnxruntime")
    if not said:
        yield unclear(part, answer, install)
        return
    if "version" not in said:
        yield _broken(part, said, install)
        return
    providers = [str(name) for name in said.get("providers", [])]
    packages = [str(name) for name in said.get("packages", [])]
    short = [name.replace("ExecutionProvider", "") for name in providers]
    told = f"{said['version']}, providers {', '.join(short) or 'none'}"
    if CPU not in providers:
        yield Diagnosis(part, State.MISSING, f"{told}: no CPU provider", install)
    elif len(packages) > 1:
        clash = f"{told}; {' and '.join(packages)} lie in one folder and spoil each other"
        names = " ".join(package.split()[0] for package in packages)
        mend = f"pip uninstall -y {names}; {install}"
        yield Diagnosis(part, State.DEGRADED, clash, mend)
    elif _numbers(str(said["version"])) < OLDEST_ONNXRUNTIME:
        older = f"{told}; bundles are tried from 1.23.2 on"
        yield Diagnosis(part, State.DEGRADED, older, install)
    else:
        cpu = "" if set(providers) & set(_SPEED) else "; the CPU is enough for all shipped models"
        yield Diagnosis(part, State.OK, told + cpu)


def probe_opencv(host: Host) -> Iterator[Diagnosis]:
    """Tell which OpenCV is loaded and which cameras it can open.

    Args:
        host: the machine.
    """
    part, install = "OpenCV", "pip install 'opencv-python-headless>=4.10,<5'"
    said, answer = host.ask("opencv")
    if not said:
        yield unclear(part, answer, install, WHOSE_OPENCV)
        return
    if "version" not in said:
        yield _broken(part, said, install, WHOSE_OPENCV)
        return
    can = {
        name: bool(said.get(key)) for name, key in (("V4L2", "v4l2"), ("GStreamer", "gstreamer"))
    }
    has = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in can.items())
    told = f"{said['version']} of {said.get('file', 'an unknown place')}, {has}"
    packages = [str(name) for name in said.get("packages", [])]
    own = host.find("/usr/lib/python3*/dist-packages/cv2*")
    if len(packages) > 1:
        names = " ".join(package.split()[0] for package in packages)
        clash = f"{told}; {' and '.join(packages)} lie in one folder and spoil each other"
        yield Diagnosis(
            part, State.DEGRADED, clash, f"pip uninstall -y {names}; {install}", WHOSE_OPENCV
        )
    elif not can["V4L2"]:
        yield Diagnosis(
            part, State.DEGRADED, f"{told}: no USB camera can be opened", install, WHOSE_OPENCV
        )
    elif host.board == "jetson" and not can["GStreamer"]:
        detail = f"{told}: no CSI camera or pipeline; USB cameras work"
        mend = "For a CSI camera: `sudo apt-get install libopencv-python`, then "
        if own:
            detail += f"; it hides JetPack's own in {own[0]}"
            mend = "For a CSI camera, in an environment with --system-site-packages: "
        mend += "`pip uninstall -y opencv-python-headless`"
        yield Diagnosis(part, State.DEGRADED, detail, mend, "CSI cameras")
    else:
        yield Diagnosis(part, State.OK, told, needed_for=WHOSE_OPENCV)


def probe_liblsl(host: Host) -> Iterator[Diagnosis]:
    """Tell which liblsl is loaded and from where.

    Args:
        host: the machine.
    """
    part = "liblsl"
    said, answer = host.ask("liblsl")
    if not said:
        yield unclear(part, answer, "pip install mne-lsl", WHOSE_LSL)
    elif "version" in said:
        told = f"{said['version']} of {said.get('origin', '?')}, {said.get('path', '?')}"
        told += f", pylsl {said.get('pylsl', '?')}"
        yield Diagnosis(part, State.OK, told, needed_for=WHOSE_LSL)
    else:
        detail = "; ".join(str(said[key]) for key in ("detail", "tried") if key in said)
        if "mend" in said:
            detail = f"{said.get('error', '')}; {detail}"
        mend = str(said.get("mend") or "pip install pylsl mne-lsl")
        yield Diagnosis(part, State.MISSING, detail, mend, WHOSE_LSL)
