"""What the doctor says of whole machines, and of each thing that can be wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_app.doctor.diagnosis import State
from edge_app.doctor.host import Answer
from tests.doctor_machines import (
    CHRONY,
    CONTAINER,
    DF,
    JETSON,
    NVIDIA_SMI,
    RASPBERRY,
    WORKSTATION,
    Machine,
    failed,
    installed,
    looked_at,
    onnxruntime,
    opencv,
    package,
)

OK, DEGRADED, MISSING = State.OK, State.DEGRADED, State.MISSING
HANGS = Answer(None, "", "it did not end within 10 s")
DENIED = Answer(None, "", "it cannot be run: Permission denied")
GARBAGE = "\x00\ufffd{{{ ]] 17 :::: \n\n ,,,"


def test_a_jetson_as_it_should_be_is_ok_in_every_part(tmp_path: Path) -> None:
    found = looked_at(JETSON, tmp_path)
    assert {part: one.detail for part, one in found.items() if one.state is not OK} == {}
    assert found["JetPack"].detail == "L4T 36.4.3, JetPack 6.2+b77"
    assert found["machine"].detail.startswith("NVIDIA Jetson Orin Nano Developer Kit, Ubuntu 22.04")
    assert found["TensorRT"].detail.startswith("10.3.0 of /usr/lib")
    assert "GStreamer yes" in found["OpenCV"].detail
    assert found["cameras"].detail == "/dev/video0 (HD Webcam C615)"
    assert found["power mode"].detail == "25W of 7W, 15W, 25W, MAXN_SUPER"
    assert found["heat and supply"].detail == "cpu-thermal 51 °C, not slowed down"
    assert found["disk"].detail.startswith("176.1 GB free of 244.5 GB")
    assert "12345 seconds slow" in found["clock"].detail


def test_a_raspberry_pi_lacks_only_what_it_cannot_have(tmp_path: Path) -> None:
    found = looked_at(RASPBERRY, tmp_path)
    lacks = {part for part, one in found.items() if one.state is not OK}
    assert lacks == {"GPU", "TensorRT"}
    assert not any(one.mend for one in found.values())
    assert not any(one.failed for one in found.values())
    assert "JetPack" not in found


def test_a_bare_container_is_told_what_to_pass_on(tmp_path: Path) -> None:
    found = looked_at(CONTAINER, tmp_path)
    lacks = {part: one.mend for part, one in found.items() if one.state is not OK}
    assert set(lacks) == {"GPU", "TensorRT", "Bluetooth", "cameras"}
    assert "/run/dbus/system_bus_socket" in lacks["Bluetooth"]
    assert "--device /dev/video0" in lacks["cameras"]
    assert not any(one.failed for one in found.values())


def test_a_workstation_with_a_gpu_is_ok_in_every_part(tmp_path: Path) -> None:
    found = looked_at(WORKSTATION, tmp_path)
    assert {part: one.detail for part, one in found.items() if one.state is not OK} == {}
    assert found["GPU"].detail == "NVIDIA RTX A2000, driver 550.90.07, compute capability 8.6"
    assert "Tensorrt, CUDA, CPU" in found["ONNX Runtime"].detail


NODE = "/dev/nvgpu/igpu0/ctrl"
ALERT = "/sys/class/thermal/cooling_device1/cur_state"
FAULTS: dict[str, tuple[Machine, str, State, str, str]] = {
    "JetPack 5": (
        JETSON.but({"/etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1"}),
        *("JetPack", MISSING, "L4T 35.4.1", "JetPack 6"),
    ),
    "an L4T of the future": (
        JETSON.but({"/etc/nv_tegra_release": "# R41 (release), REVISION: 1.0, GCID: 1"}),
        *("JetPack", DEGRADED, "not known", ""),
    ),
    "L4T without the JetPack packages": (
        JETSON.but(commands={package("nvidia-jetpack"): failed(1, "no packages found")}),
        *("JetPack", DEGRADED, "CUDA and TensorRT may not be", "apt-get install nvidia-jetpack"),
    ),
    "L4T told by its package only": (
        JETSON.but(
            {"/etc/nv_tegra_release": GARBAGE},
            {package("nvidia-l4t-core"): installed("36.4.0-20240912212859")},
        ),
        *("JetPack", OK, "L4T 36.4.0", ""),
    ),
    "a Jetson's container without L4T": (
        JETSON.but({"/.dockerenv": ""}, without=["/etc/nv_tegra_release"]),
        *("JetPack", DEGRADED, "does not tell", "docker run -v /etc/nv_tegra_release"),
    ),
    "a Jetson's container without GPU": (
        JETSON.but({"/.dockerenv": ""}, without=["/dev/nvgpu"]),
        *("GPU", MISSING, NODE, "--runtime nvidia"),
    ),
    "no right to the GPU": (
        JETSON.but(denied=(NODE,)),
        *("GPU", DEGRADED, NODE, "usermod -aG video,render"),
    ),
    "a driver that does not answer": (
        WORKSTATION.but(commands={NVIDIA_SMI: failed(9, "couldn't communicate with the driver")}),
        *("GPU", DEGRADED, "couldn't communicate", "nvidia-driver"),
    ),
    "an environment that hides TensorRT": (
        JETSON.but(
            {"/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": ""},
            libraries={"tensorrt": {"error": "ModuleNotFoundError", "absent": "tensorrt"}},
        ),
        *("TensorRT", DEGRADED, "does not see it", "--system-site-packages"),
    ),
    "TensorRT without its Python module": (
        JETSON.but(libraries={"tensorrt": {"error": "ModuleNotFoundError", "absent": "tensorrt"}}),
        *("TensorRT", DEGRADED, "10.3.0.30", "apt-get install python3-libnvinfer"),
    ),
    "no TensorRT on a Jetson": (
        JETSON.but(
            commands={package("libnvinfer10"): failed(1, "no packages found")},
            libraries={"tensorrt": {"error": "ModuleNotFoundError", "absent": "tensorrt"}},
        ),
        *("TensorRT", MISSING, "not installed", "apt-get install tensorrt"),
    ),
    "TensorRT that does not load": (
        JETSON.but(libraries={"tensorrt": {"error": "ImportError", "detail": "libcuda.so.1: no"}}),
        *("TensorRT", DEGRADED, "libcuda.so.1", "--reinstall tensorrt"),
    ),
    "TensorRT 8": (
        JETSON.but(libraries={"tensorrt": {"version": "8.6.2", "file": "x"}}),
        *("TensorRT", DEGRADED, "written for 10.x", "JetPack 6"),
    ),
    "no ONNX Runtime": (
        JETSON.but(libraries={"onnxruntime": {"absent": "onnxruntime", "detail": "No module"}}),
        *("ONNX Runtime", MISSING, "No module", "pip install 'onnxruntime"),
    ),
    "an old ONNX Runtime": (
        JETSON.but(libraries={"onnxruntime": onnxruntime(version="1.9.0")}),
        *("ONNX Runtime", DEGRADED, "1.9.0", "pip install 'onnxruntime>=1.23.2'"),
    ),
    "two ONNX Runtimes in one folder": (
        JETSON.but(
            libraries={
                "onnxruntime": onnxruntime(
                    packages=["onnxruntime 1.23.2", "onnxruntime-gpu 1.23.0"]
                )
            }
        ),
        *("ONNX Runtime", DEGRADED, "spoil", "uninstall -y onnxruntime onnxruntime-gpu;"),
    ),
    "pip's OpenCV over JetPack's": (
        JETSON.but(
            {"/usr/lib/python3.10/dist-packages/cv2/__init__.py": ""},
            libraries={"opencv": opencv()},
        ),
        *("OpenCV", DEGRADED, "hides JetPack's own", "pip uninstall -y opencv-python-headless"),
    ),
    "an OpenCV without V4L2": (
        RASPBERRY.but(libraries={"opencv": opencv(v4l2=False)}),
        *("OpenCV", DEGRADED, "no USB camera", "pip install 'opencv-python-headless"),
    ),
    "an OpenCV for another machine": (
        RASPBERRY.but(libraries={"opencv": {"error": "ImportError", "detail": "wrong ELF class"}}),
        *("OpenCV", MISSING, "wrong ELF class", "--force-reinstall"),
    ),
    "two OpenCVs in one folder": (
        RASPBERRY.but(
            libraries={"opencv": opencv(packages=["opencv-python 4.1", "opencv-contrib 4.2"])}
        ),
        *("OpenCV", DEGRADED, "spoil", "uninstall -y opencv-python opencv-contrib;"),
    ),
    "no liblsl": (
        JETSON.but(
            libraries={
                "liblsl": {
                    "error": "there is none",
                    "tried": "a; b",
                    "mend": "`pip install mne-lsl`",
                }
            }
        ),
        *("liblsl", MISSING, "there is none; a; b", "pip install mne-lsl"),
    ),
    "no BlueZ": (
        JETSON.but(commands={"bluetoothctl --version": Answer(None, "", "there is no command it")}),
        *("BlueZ", MISSING, "no command", "apt-get install bluez"),
    ),
    "an old BlueZ": (
        JETSON.but(commands={"bluetoothctl --version": "bluetoothctl: 5.48"}),
        *("BlueZ", DEGRADED, "5.48", "--only-upgrade bluez"),
    ),
    "BlueZ not started": (
        JETSON.but(
            libraries={
                "bluez": {
                    "error": "ConnectionError",
                    "detail": "org.freedesktop.DBus.Error.ServiceUnknown",
                }
            }
        ),
        *("Bluetooth", MISSING, "BlueZ does not", "systemctl enable --now bluetooth"),
    ),
    "no right to Bluetooth": (
        JETSON.but(
            libraries={
                "bluez": {
                    "error": "ConnectionError",
                    "detail": "org.freedesktop.DBus.Error.AccessDenied",
                }
            }
        ),
        *("Bluetooth", DEGRADED, "may not use", "usermod -aG bluetooth"),
    ),
    "an adapter switched off": (
        JETSON.but(libraries={"bluez": {"adapters": [{"name": "hci0", "powered": False}]}}),
        *("Bluetooth", DEGRADED, "hci0 is switched off", "rfkill unblock bluetooth"),
    ),
    "no adapter": (
        JETSON.but(libraries={"bluez": {"adapters": []}}),
        *("Bluetooth", MISSING, "no adapter", "Plug one in"),
    ),
    "no right to the camera": (
        WORKSTATION.but(denied=("/dev/video1",)),
        *("cameras", DEGRADED, "may not open /dev/video1", "usermod -aG video"),
    ),
    "no right to sound": (
        WORKSTATION.but(denied=("/dev/snd/pcmC0D0p",)),
        *("group audio", DEGRADED, "pcmC0D0p", "usermod -aG audio"),
    ),
    "no right to a serial sensor": (
        RASPBERRY.but({"/dev/ttyACM0": ""}, denied=("/dev/ttyACM0",)),
        *("group dialout", DEGRADED, "ttyACM0", "usermod -aG dialout"),
    ),
    "chrony without a server": (
        JETSON.but(
            commands={"chronyc -n tracking": CHRONY.replace("Normal", "Not synchronised")},
            libraries={"clock": {"synchronised": False, "max_error_s": 16.0}},
        ),
        *("clock", DEGRADED, "not synchronised", "timedatectl set-ntp true"),
    ),
    "no word of the clock": (
        RASPBERRY.but(
            commands={"timedatectl show -p NTPSynchronized --value": failed(1, "no bus")}
        ),
        *("clock", DEGRADED, "cannot be told", "timedatectl set-ntp true"),
    ),
    "the slowest power mode": (
        JETSON.but(commands={"nvpmodel -q": "NV Power Mode: 7W\n3\n"}),
        *("power mode", DEGRADED, "7W of 7W", "nvpmodel -m 2"),
    ),
    "a power mode told by its file": (
        JETSON.but(
            {"/var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull"}, {"nvpmodel -q": DENIED}
        ),
        *("power mode", OK, "MAXN_SUPER of", ""),
    ),
    "a power mode not told": (
        JETSON.but(commands={"nvpmodel -q": DENIED}),
        *("power mode", DEGRADED, "Permission denied", "sudo nvpmodel -q"),
    ),
    "a governor that saves power": (
        RASPBERRY.but({"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave"}),
        *("power mode", DEGRADED, "lowest clock", "scaling_governor"),
    ),
    "throttled by heat": (
        JETSON.but({ALERT: "1"}),
        *("heat and supply", DEGRADED, "cpu-throttle-alert is at work", "fan"),
    ),
    "at its temperature limit": (
        JETSON.but({"/sys/class/thermal/thermal_zone0/temp": "99500"}),
        *("heat and supply", DEGRADED, "limit of 99 °C", "fan"),
    ),
    "a weak supply": (
        JETSON.but({"/sys/class/hwmon/hwmon3/oc1_event_cnt": "12"}),
        *("heat and supply", DEGRADED, "too low voltage 12 times", "supply"),
    ),
    "cores throttled": (
        WORKSTATION.but(
            {"/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "31"}
        ),
        *("heat and supply", DEGRADED, "31 times", "fan"),
    ),
    "a disk nearly full": (
        JETSON.but(commands={"df -Pk -- /": DF.replace("172000000", "  900000")}),
        *("disk", DEGRADED, "0.9 GB free", "journalctl --vacuum"),
    ),
    "a full disk": (
        JETSON.but(commands={"df -Pk -- /": DF.replace("172000000", "    9000")}),
        *("disk", MISSING, "no room", "journalctl --vacuum"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_what_mends_it_and_spoils_nothing_else(
    fault: str, tmp_path: Path
) -> None:
    machine, part, state, detail, mend = FAULTS[fault]
    found = looked_at(machine, tmp_path)
    assert found[part].state is state
    assert detail in found[part].detail
    assert mend in found[part].mend
    assert bool(found[part].mend) == bool(mend)
    others = {name for name, one in found.items() if one.state is not OK} - {part}
    on_a_pi = found["machine"].detail.startswith("Raspberry Pi")
    assert others == ({"GPU", "TensorRT"} if on_a_pi else set())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("0x50005", ["under-voltage now", "throttled now"]),
        ("0x80000", ["soft temperature limit since the start"]),
        ("0x20002", ["clock capped now"]),
    ],
)
def test_a_raspberry_pi_tells_throttling_by_its_bits(
    word: str, told: list[str], tmp_path: Path
) -> None:
    machine = RASPBERRY.but(commands={"vcgencmd get_throttled": f"throttled={word}\n"})
    found = looked_at(machine, tmp_path)["heat and supply"]
    assert found.state is DEGRADED
    assert found.detail.split("; ")[1:] == told


@pytest.mark.parametrize("nothing", [HANGS, DENIED, failed(139, "Segmentation fault")])
@pytest.mark.parametrize("machine", [JETSON, RASPBERRY, CONTAINER, WORKSTATION])
def test_a_machine_whose_commands_all_fail_is_looked_at_to_the_end(
    machine: Machine, nothing: Answer, tmp_path: Path
) -> None:
    broken = Machine(
        machine.files,
        dict.fromkeys(machine.commands, nothing),
        dict.fromkeys(machine.libraries, nothing),
    )
    found = looked_at(broken, tmp_path)
    assert not any(one.failed for one in found.values())  # not seen is no proof of missing
    for part in ("ONNX Runtime", "OpenCV", "liblsl", "Bluetooth", "clock", "disk", "groups"):
        assert found[part].state is DEGRADED
    for part in ("ONNX Runtime", "OpenCV", "liblsl", "Bluetooth", "disk"):
        assert nothing.trouble in found[part].detail
    assert found["machine"].state is OK


@pytest.mark.parametrize("machine", [JETSON, RASPBERRY, WORKSTATION])
def test_garbage_from_every_file_and_command_is_no_crash_and_nothing_good(
    machine: Machine, tmp_path: Path
) -> None:
    broken = Machine(
        {name: GARBAGE if text is not None else None for name, text in machine.files.items()},
        dict.fromkeys(machine.commands, GARBAGE),
        {name: Answer(0, GARBAGE) for name in machine.libraries},
    )
    found = looked_at(broken, tmp_path)
    assert not any("the doctor itself" in one.needed_for for one in found.values())
    for part in ("ONNX Runtime", "OpenCV", "liblsl", "Bluetooth", "clock", "disk"):
        assert found[part].state is DEGRADED
    assert found["BlueZ"].state is not OK
