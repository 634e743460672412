"""What is in reach: cameras, Bluetooth sensors, Lab Streaming Layer streams."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from edge_app.errors import SourceError
from edge_app.sources.liblsl import configure_liblsl, load_pylsl


@dataclass(frozen=True, slots=True)
class Found:
    """One device or stream.

    Args:
        name: what it calls itself.
        address: how to name it in a configuration.
        details: the rest, in words.
    """

    name: str
    address: str
    details: str


def find_cameras(root: Path = Path("/sys/class/video4linux")) -> list[Found]:
    """Return the V4L2 cameras that the kernel knows.

    Args:
        root: where the kernel lists them.
    """
    found = []
    for entry in sorted(root.glob("video*")) if root.is_dir() else []:
        name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
        index = (entry / "index").read_text(encoding="utf-8").strip()
        if index == "0":  # further nodes of a camera carry metadata
            found.append(Found(name, f"/dev/{entry.name}", "V4L2"))
    return found


def find_lsl_streams(seconds_s: float) -> list[Found]:
    """Return the LSL streams that answer.

    Args:
        seconds_s: how long to listen.

    Raises:
        SourceError: no liblsl.
    """
    configure_liblsl()
    resolver = load_pylsl().ContinuousResolver()
    time.sleep(seconds_s)
    return [
        Found(
            info.name(),
            info.source_id() or "(no source_id)",
            f"{info.type()}, {info.channel_count()} channels at {info.nominal_srate():g} Hz, "
            f"on {info.hostname()}",
        )
        for info in resolver.results()
    ]


def find_ble_devices(seconds_s: float) -> list[Found]:
    """Return the Bluetooth LE devices that advertise.

    Args:
        seconds_s: how long to listen.

    Raises:
        SourceError: no Bluetooth adapter, no BlueZ, or no permission.
    """
    from bleak import BleakScanner
    from bleak.exc import BleakError

    try:
        advertised = asyncio.run(BleakScanner.discover(timeout=seconds_s, return_adv=True))
    except (BleakError, OSError) as error:
        raise SourceError(
            f"Bluetooth cannot be used: {getattr(error, 'strerror', None) or error}",
            next_step="Install and start BlueZ (`sudo apt-get install bluez`), plug in an adapter",
        ) from error
    return [
        Found(device.name or "(no name)", device.address, f"{data.rssi} dBm")
        for device, data in advertised.values()
    ]
