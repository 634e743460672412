"""What is in reach: cameras, Bluetooth sensors, Lab Streaming Layer streams; and how to name them.

Each thing found carries the lines that make it a stream of a device configuration.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from edge_app.sources import camera_list
from edge_app.sources.ble_radio import find_ble_sensors
from edge_app.sources.imu_protocols.protocol import Advertised
from edge_app.sources.imu_protocols.registry import recognise
from edge_app.sources.liblsl import LslNetwork, configure_liblsl, load_pylsl


@dataclass(frozen=True, slots=True)
class Found:
    """One device or stream.

    Args:
        name: what it calls itself.
        address: how to name it in a configuration.
        details: the rest, in words.
        yaml: the entry of ``streams:`` that uses it; empty when it cannot be used.
    """

    name: str
    address: str
    details: str
    yaml: str = ""


def entry(name: str, task: str, source: str) -> str:
    """Return an entry of ``streams:`` in a device configuration.

    Args:
        name: of the stream.
        task: whose bundle reads it.
        source: in YAML, between braces.
    """
    return f"  - name: {name}\n    bundle: ../exports/{task}\n    source: {{{source}}}"


def find_cameras() -> list[Found]:
    """Return the V4L2 cameras that the kernel knows."""
    return [
        Found(
            camera.name,
            camera.address,
            camera.details,
            entry("face", "emotion", f"kind: camera, device: {camera.address}"),
        )
        for camera in camera_list.find_cameras()
    ]


def find_lsl_streams(seconds_s: float, network: LslNetwork | None = None) -> list[Found]:
    """Return the LSL streams that answer.

    Args:
        seconds_s: how long to listen.
        network: which outlets to hear; None: the default.

    Raises:
        SourceError: no liblsl.
    """
    configure_liblsl(network or LslNetwork())
    resolver = load_pylsl().ContinuousResolver()
    time.sleep(seconds_s)
    return [_lsl_stream(info) for info in resolver.results()]


def _lsl_stream(info: Any) -> Found:
    source_id = info.source_id()
    named = (
        f"source_id: {quoted(source_id)}" if source_id else f"stream_name: {quoted(info.name())}"
    )
    channel = ", channel: 0" if info.channel_count() > 1 else ""
    usable = info.type() == "EEG" and info.nominal_srate() > 0
    return Found(
        info.name(),
        source_id or "(no source_id)",
        f"{info.type()}, {info.channel_count()} channels at {info.nominal_srate():g} Hz, "
        f"on {info.hostname()}",
        entry("eeg", "sleep", f"kind: lsl, {named}{channel}") if usable else "",
    )


def find_ble_devices(seconds_s: float, adapter: str | None = None) -> list[Found]:
    """Return the Bluetooth LE devices that advertise, sensors with a known protocol first.

    Args:
        seconds_s: how long to listen.
        adapter: which adapter; None: the first.

    Raises:
        SourceError: no Bluetooth adapter, no BlueZ, or no permission.
    """
    found = [_ble_device(advertised) for advertised in find_ble_sensors(seconds_s, adapter)]
    return sorted(found, key=lambda device: (not device.yaml, device.name, device.address))


def _ble_device(advertised: Advertised) -> Found:
    protocol = recognise(advertised)
    heard = "" if advertised.rssi_dbm is None else f", {advertised.rssi_dbm} dBm"
    yaml = ""
    if protocol is not None:
        named = f'protocol: {protocol.name}, address: "{advertised.address}"'
        yaml = entry("foot", "frailty", f"kind: ble_imu, {named}")
    return Found(
        advertised.name or "(no name)",
        advertised.address,
        ("not recognised" if protocol is None else protocol.title) + heard,
        yaml,
    )


def quoted(text: str) -> str:
    """Return text as YAML takes it, whatever it holds.

    Args:
        text: any.
    """
    return "'" + text.replace("'", "''") + "'"
