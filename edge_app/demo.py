"""The demonstration device: a simulated face, a simulated sleeper over LSL, a simulated walker."""

from __future__ import annotations

from pathlib import Path

from edge_app.build import find_bundle
from edge_app.config import ConsoleConfig, DeviceConfig, JsonlConfig, StreamConfig
from edge_app.config_sources import SimulatedConfig


def demo_config(seed: int, out: Path | None) -> DeviceConfig:
    """Return the demonstration as a device configuration.

    ``device_configs/demo.yaml`` says the same for ``edge-app run``.

    Args:
        seed: of all three simulations.
        out: directory for results, None: none are kept.
    """

    def stream(name: str, task: str, source: SimulatedConfig) -> StreamConfig:
        return StreamConfig(name=name, bundle=find_bundle(task), source=source)

    face = SimulatedConfig(kind="simulated", sensor="face", seed=seed)
    eeg = SimulatedConfig(kind="simulated", sensor="eeg", seed=seed, transport="lsl")
    foot = SimulatedConfig(kind="simulated", sensor="imu", seed=seed)
    sinks: tuple[ConsoleConfig | JsonlConfig, ...] = (ConsoleConfig(kind="console"),)
    if out is not None:
        sinks += (JsonlConfig(kind="jsonl", directory=out),)
    return DeviceConfig(
        device="demo",
        streams=(
            stream("face", "emotion", face),
            stream("eeg", "sleep", eeg),
            stream("foot", "frailty", foot),
        ),
        sinks=sinks,
    )
