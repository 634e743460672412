"""What is in reach: cameras, Bluetooth sensors, Lab Streaming Layer streams; and how to name them.

Each thing found carries the lines that make it a stream of a device configuration.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from edge_app.counted import counted
from edge_app.sources import camera_list
from edge_app.sources.ble_radio import find_ble_sensors
from edge_app.sources.imu_protocols.protocol import Advertised, ImuProtocol
from edge_app.sources.imu_protocols.registry import recognise
from edge_app.sources.liblsl import LslNetwork, configure_liblsl, load_pylsl

DESCRIBED_WITHIN_S = 1.0
SLOWEST_GAIT_HZ = 50.0


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


def entry(name: str, task: str, source: str, remark: str) -> str:
    """Return an entry of ``streams:`` in a device configuration.

    Args:
        name: of the stream.
        task: whose bundle reads it.
        source: in YAML, between braces.
        remark: what it is; in a comment above.
    """
    said = " ".join(remark.split())
    return f"  # {said}\n  - name: {name}\n    bundle: ../exports/{task}\n    source: {{{source}}}"


def find_cameras() -> list[Found]:
    """Return the V4L2 cameras that the kernel knows."""
    return [
        Found(
            camera.name,
            camera.address,
            camera.details,
            entry("face", "emotion", f"kind: camera, device: {camera.address}", camera.name),
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
    channels = counted(info.channel_count(), "channel")
    told = f"{info.type()}, {channels} at {info.nominal_srate():g} Hz"
    yaml = ""
    if info.type() == "EEG" and info.nominal_srate() > 0:
        labels, units = _described(info)
        named = "source_id" if source_id else "stream_name"
        parts = ["kind: lsl", f"{named}: {quoted(source_id or info.name())}"]
        if info.channel_count() > 1:
            parts.append(f"channel: {quoted(labels[0]) if labels else 0}")
        if not units:
            parts.append("unit: uV")
        remark = f"{info.name()}; channels {', '.join(labels) if labels else 'without labels'}"
        if not units:
            remark += "; the stream does not say its unit: uV is a guess"
        yaml = entry("eeg", "sleep", ", ".join(parts), remark)
    return Found(info.name(), source_id or "(no source_id)", f"{told}, on {info.hostname()}", yaml)


def _described(info: Any) -> tuple[list[str], list[str]]:
    """Return labels and units, which only the outlet itself tells; empty when it does not."""
    pylsl = load_pylsl()
    inlet = pylsl.StreamInlet(info, recover=False)
    try:
        whole = inlet.info(timeout=DESCRIBED_WITHIN_S)
    except (pylsl.util.TimeoutError, pylsl.util.LostError):
        return [], []
    labels, units = whole.get_channel_labels() or [], whole.get_channel_units() or []
    return [label for label in labels if label], [unit for unit in units if unit]


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
    told, yaml = "not recognised (device_configs/own_ble_sensor.yaml)", ""
    if protocol is not None:
        told, lacking = protocol.title, lacking_for_gait(protocol, advertised)
        if lacking:
            told += f", not for gait: {lacking}"
        else:
            named = f'protocol: {protocol.name}, address: "{advertised.address}"'
            remark = f"{protocol.title}, {advertised.name or 'without a name'}"
            yaml = entry("foot", "frailty", f"kind: ble_imu, {named}", remark)
    return Found(advertised.name or "(no name)", advertised.address, told + heard, yaml)


def lacking_for_gait(protocol: ImuProtocol, advertised: Advertised) -> str:
    """Return why a sensor cannot measure gait; empty when it can.

    Args:
        protocol: what it speaks.
        advertised: what it says of itself.
    """
    if max(protocol.rates_hz) < SLOWEST_GAIT_HZ:
        return f"{max(protocol.rates_hz):g} Hz at most"
    if protocol.name == "polar" and "H10" in advertised.name:
        return "no gyroscope"
    return ""


def quoted(text: str) -> str:
    """Return text as YAML takes it, whatever it holds.

    Args:
        text: any.
    """
    return "'" + text.replace("'", "''") + "'"
