"""From a configured source to a source, closed. Libraries of a device load when it is used."""

from __future__ import annotations

from edge_app.clock import Clock
from edge_app.config import DeviceConfig, LslNetworkConfig, StreamConfig
from edge_app.config_sources import (
    BleImuConfig,
    CameraConfig,
    LslConfig,
    RecordingConfig,
    SimulatedConfig,
)
from edge_app.sources.liblsl import LslNetwork
from edge_app.sources.lsl_markers import LslMarkers
from edge_app.sources.protocol import Source
from edge_app.tasks.registry import KIND_OF_TASK


def build_source(
    config: StreamConfig, task: str, clock: Clock, network: LslNetworkConfig
) -> Source:
    """Return the source of a configured stream, closed.

    Args:
        config: the stream.
        task: what its bundle does; tells a recording which kind of stream to look for.
        clock: the stream clock of live and simulated sources.
        network: which LSL outlets this device hears.
    """
    given = config.source
    if isinstance(given, RecordingConfig):
        return _recording(config.name, given, task, clock)
    if isinstance(given, LslConfig):
        return _lsl(config.name, given, network)
    if isinstance(given, BleImuConfig):
        return _ble_imu(config.name, given)
    if isinstance(given, CameraConfig):
        return _camera(config.name, given)
    return _simulated(config.name, given, clock)


def _recording(name: str, given: RecordingConfig, task: str, clock: Clock) -> Source:
    from edge_app.sources.recording.player import RecordingSource

    return RecordingSource(
        given.path,
        kind=KIND_OF_TASK[task],
        channel=given.channel,
        unit=given.unit,
        gyr_unit=given.gyr_unit,
        rate_hz=given.rate_hz,
        name=name,
        speed=given.speed,
        clock=clock,
    )


def _lsl(name: str, given: LslConfig, network: LslNetworkConfig) -> Source:
    from edge_app.sources.lsl_eeg import LslEegSource

    return LslEegSource(
        name=name,
        source_id=given.source_id,
        stream_name=given.stream_name,
        stream_type=given.stream_type,
        hostname=given.hostname,
        channel=given.channel,
        unit=given.unit,
        jitter_s=given.jitter_s,
        resolve_timeout_s=given.resolve_timeout_s,
        stale_after_s=given.stale_after_s,
        network=lsl_network(network),
    )


def build_markers(config: DeviceConfig) -> LslMarkers | None:
    """Return what hears the LSL markers around a device; None for one without LSL.

    Args:
        config: the device.
    """
    if not any(isinstance(stream.source, LslConfig) for stream in config.streams):
        return None
    return LslMarkers(lsl_network(config.lsl))


def lsl_network(given: LslNetworkConfig) -> LslNetwork:
    """Return which LSL outlets a device hears, as the source takes it.

    Args:
        given: as configured.
    """
    return LslNetwork(given.session, given.known_peers, given.resolve_scope)


def _ble_imu(name: str, given: BleImuConfig) -> Source:
    from edge_app.sources.ble_imu import BleImuSource
    from edge_app.sources.imu_protocols.generic import GenericImu
    from edge_app.sources.imu_protocols.protocol import ImuProtocol, ImuSettings
    from edge_app.sources.imu_protocols.registry import make_protocol

    def protocol() -> ImuProtocol:
        described = given.sensor
        if described is None:
            return make_protocol(given.protocol)
        return GenericImu(described.layout())

    return BleImuSource(
        name=name,
        protocol=protocol,
        address=given.address,
        sensor_name=given.sensor_name,
        adapter=given.adapter,
        settings=ImuSettings(given.rate_hz, given.acc_range_g, given.gyr_range_dps),
        scan_timeout_s=given.scan_timeout_s,
        connect_timeout_s=given.connect_timeout_s,
        lost_after_s=given.lost_after_s,
    )


def _camera(name: str, given: CameraConfig) -> Source:
    from edge_app.sources.opencv_camera import CameraSource

    return CameraSource(
        name=name,
        device=given.device,
        width_px=given.width_px,
        height_px=given.height_px,
        rate_hz=given.rate_hz,
        pixel_format=given.pixel_format,
        open_timeout_s=given.open_timeout_s,
        lost_after_s=given.lost_after_s,
    )


def _simulated(name: str, given: SimulatedConfig, clock: Clock) -> Source:
    from edge_app.sources.simulated import simulated_eeg, simulated_face, simulated_imu

    makers = {"eeg": simulated_eeg, "imu": simulated_imu, "face": simulated_face}
    sensor = makers[given.sensor](name=name, seed=given.seed, clock=clock, paced=True)
    if given.transport == "lsl":
        from edge_app.loopback import LslLoopbackSource

        return LslLoopbackSource(name=name, sensor=sensor)
    return sensor
