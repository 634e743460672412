"""The sources that a device configuration can name, one class a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_app.config_units import AngularRateUnit, SignalUnit, VoltageUnit
from edge_app.errors import ConfigError
from edge_app.sources.imu_protocols.struct_layout import (
    StructCounter,
    StructField,
    StructLayout,
    StructTime,
    StructWrite,
)

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0.0, le=600.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64)]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Address = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")]
Hex = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2} ?)+$")]
Channel = Annotated[str, BeforeValidator(lambda given: str(given) if type(given) is int else given)]
"""A label, or an index with or without quotes."""
ProtocolName = Literal[
    "witmotion",
    "movella_dot",
    "movesense",
    "polar",
    "metamotion",
    "thingy52",
    "sensortag",
    "generic",
]


class Part(BaseModel):
    """A mapping of the file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordingConfig(Part):
    """A file or image folder, played as if it were a sensor."""

    kind: Literal["recording"]
    path: Path = Field(description="EDF, BDF, XDF, CSV or text, video, or folder of images.")
    channel: str | None = Field(None, description="EEG channel by name.")
    unit: SignalUnit | None = Field(None, description="Unit of the signal, if not in the file.")
    gyr_unit: AngularRateUnit | None = Field(
        None, description="Unit of the gyroscope where it is not clear."
    )
    rate_hz: Positive | None = Field(None, description="Rate where the file does not say.")
    speed: Positive | None = Field(1.0, description="1 = real time; null = as fast as possible.")


class SimulatedConfig(Part):
    """A simulated sensor; everything made of it is marked as simulated."""

    kind: Literal["simulated"]
    sensor: Literal["eeg", "imu", "face"] = Field(description="Which sensor to simulate.")
    seed: int = Field(0, ge=0, description="The same seed gives the same signal.")
    transport: Literal["direct", "lsl"] = Field(
        "direct", description="lsl: through a real LSL outlet and inlet on this machine (eeg only)."
    )

    @model_validator(mode="after")
    def _transportable(self) -> SimulatedConfig:
        if self.transport == "lsl" and self.sensor != "eeg":
            raise ValueError("transport lsl carries the simulated eeg only")
        return self


class LslConfig(Part):
    """One EEG channel of a Lab Streaming Layer stream; all names given must fit."""

    kind: Literal["lsl"]
    source_id: str | None = Field(None, description="The outlet's source id: the surest name.")
    stream_name: str | None = Field(None, description="The outlet's name.")
    stream_type: str | None = Field(None, description="The outlet's type; null: EEG if nameless.")
    hostname: str | None = Field(None, description="The computer that sends.")
    channel: Channel | None = Field(
        None, description="Channel by label or index; null: the only one."
    )
    unit: VoltageUnit | None = Field(
        None, description="uV, mV, V or nV, where the stream does not say."
    )
    jitter_s: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.02, description="How far raw stamps may stray in the first second; then it is learnt."
    )
    resolve_timeout_s: Seconds = Field(5.0, description="How long to look for the stream.")
    stale_after_s: Seconds = Field(3.0, description="Silence that counts as a lost stream.")


class CameraConfig(Part):
    """A webcam, network camera, GStreamer pipeline, or a video file in a loop for trials."""

    kind: Literal["camera"]
    device: int | str = Field(
        description="Number, /dev/v4l/by-id/..., rtsp:// or http:// address, or pipeline."
    )
    width_px: Annotated[int, Field(ge=16, le=8192)] | None = Field(None, description="Asked for.")
    height_px: Annotated[int, Field(ge=16, le=8192)] | None = Field(None, description="Asked for.")
    rate_hz: Annotated[float, Field(gt=0.0, le=240.0)] | None = Field(
        None, description="Frames a second asked for."
    )
    pixel_format: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{4}$")] | None = Field(
        None, description="Four letters, such as MJPG or YUYV; null: the camera's own choice."
    )
    open_timeout_s: Seconds = Field(5.0, description="How long opening may take.")
    lost_after_s: Seconds = Field(3.0, description="Silence that counts as a lost camera.")


class FieldConfig(Part):
    """One axis in the packets of a generic sensor."""

    index: int = Field(ge=0, description="Position among the numbers of struct_format.")
    scale: float = Field(description="Factor to the unit.")
    unit: Literal["g", "m/s^2", "deg/s", "rad/s"]


class WriteConfig(Part):
    """A command of a generic sensor."""

    uuid: Uuid
    hex: Hex = Field(description="Bytes, such as `01 ff`.")
    response: bool = Field(False, description="Whether the sensor confirms the write.")
    reply_uuid: Uuid | None = Field(None, description="Characteristic that acknowledges it.")
    reply_hex: Hex | None = Field(None, description="How the acknowledgement begins.")

    def write(self) -> StructWrite:
        """Return it as the protocol takes it."""
        return StructWrite(
            uuid=self.uuid.lower(),
            data=bytes.fromhex(self.hex),
            reply_uuid=(self.reply_uuid or "").lower(),
            reply_starts=bytes.fromhex(self.reply_hex or ""),
            response=self.response,
        )


class ClockConfig(Part):
    """The device clock of a generic sensor."""

    index: int = Field(ge=0, description="Position among the values of struct_format.")
    tick_s: Positive = Field(description="Seconds a tick, such as 1e-6.")
    bits: int = Field(ge=8, le=64, description="Width, after which it wraps.")


class CounterConfig(Part):
    """The sample counter of a generic sensor."""

    index: int = Field(ge=0, description="Position among the values of struct_format.")
    bits: int = Field(ge=4, le=64, description="Width, after which it wraps.")


class GenericSensorConfig(Part):
    """A sensor that has no driver here, described by its packets."""

    service_uuid: Uuid | None = None
    notify_uuid: Uuid
    struct_format: str = Field(description="Python struct of one sample, such as `<I6f`.")
    rate_hz: Positive
    samples_per_packet: int = Field(1, ge=1)
    header_bytes: int = Field(0, ge=0)
    fields: dict[str, FieldConfig] = Field(description="acc_x ... gyr_z.")
    time: ClockConfig | None = None
    counter: CounterConfig | None = None
    start_writes: tuple[WriteConfig, ...] = ()
    stop_writes: tuple[WriteConfig, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> GenericSensorConfig:
        try:
            self.layout()
        except ConfigError as error:
            raise ValueError(
                f"{error.problem}, expected {error.expected}, got {error.got}"
            ) from error
        return self

    def layout(self) -> StructLayout:
        """Return the sensor as the protocol takes it.

        Raises:
            ConfigError: it contradicts itself.
        """
        clock, counter = self.time, self.counter
        return StructLayout(
            notify_uuid=self.notify_uuid.lower(),
            struct_format=self.struct_format,
            nominal_rate_hz=self.rate_hz,
            fields=tuple(
                StructField(channel, field.index, field.scale, field.unit)
                for channel, field in self.fields.items()
            ),
            samples_per_packet=self.samples_per_packet,
            header_bytes=self.header_bytes,
            time=None if clock is None else StructTime(clock.index, clock.tick_s, clock.bits),
            counter=None if counter is None else StructCounter(counter.index, counter.bits),
            start_writes=tuple(write.write() for write in self.start_writes),
            stop_writes=tuple(write.write() for write in self.stop_writes),
            service_uuid=(self.service_uuid or "").lower(),
        )


class BleImuConfig(Part):
    """One IMU over Bluetooth LE."""

    kind: Literal["ble_imu"]
    protocol: ProtocolName = Field(description="What the sensor speaks; `edge-app devices` tells.")
    address: Address | None = Field(None, description="The sensor's address: the surest name.")
    sensor_name: str | None = Field(None, description="Its advertised name, if it has no address.")
    adapter: Annotated[str, Field(pattern=r"^hci\d+$")] | None = Field(
        None, description="Which Bluetooth adapter; null: the first."
    )
    rate_hz: Positive | None = Field(None, description="Asked for; null: the protocol's default.")
    acc_range_g: Positive | None = Field(None, description="Full scale asked for.")
    gyr_range_dps: Positive | None = Field(None, description="Full scale asked for.")
    scan_timeout_s: Seconds = Field(10.0, description="How long to look for it.")
    connect_timeout_s: Seconds = Field(10.0, description="How long connecting may take.")
    lost_after_s: Seconds = Field(3.0, description="Silence that counts as a lost sensor.")
    sensor: GenericSensorConfig | None = Field(
        None, description="For protocol generic: what it sends."
    )

    @model_validator(mode="after")
    def _described(self) -> BleImuConfig:
        if (self.protocol == "generic") != (self.sensor is not None):
            raise ValueError("protocol generic needs `sensor`, and no other protocol takes it")
        if self.address is None and self.sensor_name is None:
            raise ValueError(
                "needs `address`, or at least `sensor_name`, so that another bed's sensor is never "
                "taken for this one; `edge-app devices` prints it"
            )
        return self


SourceConfig = Annotated[
    RecordingConfig | SimulatedConfig | LslConfig | BleImuConfig | CameraConfig,
    Field(discriminator="kind"),
]
SOURCES: dict[str, type[BaseModel]] = {
    "recording": RecordingConfig,
    "simulated": SimulatedConfig,
    "lsl": LslConfig,
    "ble_imu": BleImuConfig,
    "camera": CameraConfig,
}
