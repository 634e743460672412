"""Made-up machines for the doctor: a folder of files, and what their commands would say.

Written after public documentation and forum posts; none of it was recorded on such a machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_app.doctor.diagnosis import Diagnosis
from edge_app.doctor.examine import examine
from edge_app.doctor.host import Answer, Host

PYTHON = "made-up-python"


def failed(code: int, said: str) -> Answer:
    return Answer(code, "", f"it ended with {code}: {said}")


@dataclass(frozen=True)
class Machine:
    """A made-up machine.

    Args:
        files: absolute path to content; None for a file whose reading fails.
        commands: a whole command line to its output, or its failure.
        libraries: a question of ``edge_app.doctor.ask`` to what is said, or the failure.
        denied: devices that this user may not use.
        environ: environment variables.
    """

    files: Mapping[str, str | None]
    commands: Mapping[str, str | Answer] = field(default_factory=dict)
    libraries: Mapping[str, dict[str, Any] | Answer] = field(default_factory=dict)
    denied: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, command: Sequence[str], _within_s: float = 0.0) -> Answer:
        if command[0] == "test":
            return (
                Answer(1, "", "test ended with 1") if command[2] in self.denied else Answer(0, "")
            )
        said: object
        if command[0] == PYTHON:
            said = self.libraries.get(command[-1], {"error": "ModuleNotFoundError", "absent": "x"})
            said = "\n" + json.dumps(said) if isinstance(said, dict) else said
        else:
            missing = Answer(None, "", f"there is no command {command[0]}")
            said = self.commands.get(" ".join(command), missing)
        return said if isinstance(said, Answer) else Answer(0, str(said))

    def host(self, root: Path, run: Callable[..., Answer] | None = None) -> Host:
        for name, content in self.files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()  # reading a folder is an OSError, for root too
            else:
                path.write_text(content, encoding="utf-8")
        return Host(root, run or self.run, self.environ, PYTHON)

    def but(
        self,
        files: Mapping[str, str | None] | None = None,
        commands: Mapping[str, str | Answer] | None = None,
        libraries: Mapping[str, dict[str, Any] | Answer] | None = None,
        without: Sequence[str] = (),
        denied: tuple[str, ...] = (),
    ) -> Machine:
        """Return a machine that differs in this; ``without`` removes files and folders."""
        kept = {
            name: text for name, text in self.files.items() if not name.startswith(tuple(without))
        }
        return replace(
            self,
            files={**kept, **(files or {})},
            commands={**self.commands, **(commands or {})},
            libraries={**self.libraries, **(libraries or {})},
            denied=denied,
        )


def looked_at(machine: Machine, root: Path) -> dict[str, Diagnosis]:
    """Run the whole doctor on a machine."""
    found = list(examine(machine.host(root), Path("/")))
    assert len({one.part for one in found}) == len(found)
    return {one.part: one for one in found}


def installed(version: str) -> str:
    return f"installed {version}"


def package(name: str) -> str:
    return f"dpkg-query -W -f=${{db:Status-Status}} ${{Version}} {name}"


DF = (
    "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"
    "/dev/nvme0n1p1   238787584 54321000 172000000      25% /\n"
)
CHRONY = """Reference ID    : C0000201 (192.0.2.1)
Stratum         : 3
System time     : 0.000012345 seconds slow of NTP time
Leap status     : Normal
"""
NVIDIA_SMI = "nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader"
POWERED = {"adapters": [{"name": "hci0", "powered": True}]}
LIBLSL = {"version": "1.17", "path": "/x/liblsl.so", "origin": "mne_lsl", "pylsl": "1.18.6"}


def opencv(**changes: object) -> dict[str, Any]:
    said = {"version": "4.12.0", "file": "/venv/cv2/__init__.py", "gstreamer": False, "v4l2": True}
    return {**said, "packages": ["opencv-python-headless 4.12.0.88"], **changes}


def onnxruntime(**changes: object) -> dict[str, Any]:
    said = {"version": "1.23.2", "providers": ["CPUExecutionProvider"]}
    return {**said, "packages": ["onnxruntime 1.23.2"], **changes}


JETSON = Machine(
    files={
        "/etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
        "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
        "/proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "/proc/sys/kernel/osrelease": "5.15.148-tegra\n",
        "/dev/nvgpu/igpu0/ctrl": "",
        "/dev/video0": "",
        "/sys/class/video4linux/video0/name": "HD Webcam C615\n",
        "/dev/ttyTHS1": "",
        "/etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n"
        "< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
        "< POWER_MODEL ID=3 NAME=7W >\n",
        "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "/sys/class/thermal/thermal_zone0/temp": "51250\n",
        "/sys/class/thermal/thermal_zone0/trip_point_0_type": "passive\n",
        "/sys/class/thermal/thermal_zone0/trip_point_0_temp": "99000\n",
        "/sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",
        "/sys/class/thermal/thermal_zone1/temp": None,  # switched off: an error when read
        "/sys/class/thermal/cooling_device0/type": "pwm-fan\n",
        "/sys/class/thermal/cooling_device0/cur_state": "2\n",
        "/sys/class/thermal/cooling_device1/type": "cpu-throttle-alert\n",
        "/sys/class/thermal/cooling_device1/cur_state": "0\n",
        "/sys/class/hwmon/hwmon3/oc1_event_cnt": "0\n",
        "/sys/class/hwmon/hwmon3/oc3_event_cnt": "0\n",
    },
    commands={
        package("nvidia-jetpack"): installed("6.2+b77"),
        package("libnvinfer10"): installed("10.3.0.30-1+cuda12.5"),
        "bluetoothctl --version": "bluetoothctl: 5.64\n",
        "id -nG": "bedside video render bluetooth\n",
        "chronyc -n tracking": CHRONY,
        "nvpmodel -q": "NV Power Mode: 25W\n1\n",
        "df -Pk -- /": DF,
    },
    libraries={
        "tensorrt": {"version": "10.3.0", "file": "/usr/lib/python3.10/dist-packages/tensorrt"},
        "onnxruntime": onnxruntime(),
        "opencv": opencv(version="4.8.0", gstreamer=True, packages=[]),
        "liblsl": LIBLSL,
        "bluez": POWERED,
    },
)
RASPBERRY = Machine(
    files={
        "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "/proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
        "/dev/video0": "",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver": "cpufreq-dt\n",
        "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "/sys/class/thermal/thermal_zone0/temp": "48000\n",
    },
    commands={
        "bluetoothctl --version": "bluetoothctl: 5.66\n",
        "id -nG": "pi dialout video bluetooth\n",
        "timedatectl show -p NTPSynchronized --value": "yes\n",
        "vcgencmd get_throttled": "throttled=0x0\n",
        "df -Pk -- /": DF,
    },
    libraries={
        "onnxruntime": onnxruntime(),
        "opencv": opencv(),
        "liblsl": LIBLSL,
        "bluez": POWERED,
    },
)
CONTAINER = Machine(
    files={"/.dockerenv": "", "/proc/sys/kernel/osrelease": "6.8.0-generic\n"},
    commands={"id -nG": "bedside\n", "df -Pk -- /": DF},
    libraries={
        "onnxruntime": onnxruntime(),
        "opencv": opencv(),
        "liblsl": LIBLSL,
        "bluez": {"error": "FileNotFoundError", "detail": "[Errno 2] No such file or directory"},
        "clock": {"synchronised": True, "max_error_s": 0.02},
    },
    environ={"container": "docker"},
)
WORKSTATION = Machine(
    files={
        "/etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\n',
        "/proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
        "/dev/nvidia0": "",
        "/dev/video0": "",
        "/dev/video1": "",
        "/dev/snd/pcmC0D0p": "",
        "/dev/dri/renderD128": "",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
        "/sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
        "/sys/class/thermal/thermal_zone0/temp": "63000\n",
        "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0\n",
    },
    commands={
        NVIDIA_SMI: "NVIDIA RTX A2000, 550.90.07, 8.6\n",
        "bluetoothctl --version": "bluetoothctl: 5.72\n",
        "id -nG": "ada sudo video audio render\n",
        "timedatectl show -p NTPSynchronized --value": "yes\n",
        "df -Pk -- /": DF,
    },
    libraries={
        "tensorrt": {"version": "10.13.0", "file": "/venv/tensorrt/__init__.py"},
        "onnxruntime": onnxruntime(
            providers=[
                "TensorrtExecutionProvider",
                "CUDAExecutionProvider",
                "CPUExecutionProvider",
            ],
            packages=["onnxruntime-gpu 1.23.2"],
        ),
        "opencv": opencv(),
        "liblsl": LIBLSL,
        "bluez": POWERED,
    },
)
