"""Everything that has to be known of a sensor that nobody has written a protocol for."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

from edge_app.contracts import IMU_CHANNELS
from edge_app.errors import ConfigError
from edge_app.sources.imu_protocols.packets import (
    ACC_CHANNELS,
    GYR_CHANNELS,
    MPS2_PER_G,
    RADPS_PER_DPS,
)

TO_SI = {
    "g": ("acc", MPS2_PER_G),
    "m/s^2": ("acc", 1.0),
    "deg/s": ("gyr", RADPS_PER_DPS),
    "rad/s": ("gyr", 1.0),
}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LARGEST_NOTIFICATION = 512
_LARGEST_RATE_HZ = 2000.0


def _refuse(problem: str, expected: object, got: object) -> ConfigError:
    return ConfigError(
        problem,
        source="generic IMU",
        expected=expected,
        got=got,
        next_step="Correct the sensor's layout in the device configuration",
    )


@dataclass(frozen=True, slots=True)
class StructField:
    """One axis.

    Args:
        channel: one of ``IMU_CHANNELS``.
        index: which number of the struct, from 0.
        scale: the number times this is in ``unit``; may be negative for a turned axis.
        unit: ``g``, ``m/s^2``, ``deg/s`` or ``rad/s``.
    """

    channel: str
    index: int
    scale: float
    unit: str


@dataclass(frozen=True, slots=True)
class StructTime:
    """The device clock.

    Args:
        index: which number of the struct.
        tick_s: length of one tick.
        bits: width after which it wraps.
    """

    index: int
    tick_s: float
    bits: int


@dataclass(frozen=True, slots=True)
class StructCounter:
    """The sample or packet counter.

    Args:
        index: which number of the struct.
        bits: width after which it wraps.
    """

    index: int
    bits: int


@dataclass(frozen=True, slots=True)
class StructWrite:
    """One write that starts or stops the stream.

    Args:
        uuid: characteristic.
        data: bytes.
        reply_uuid: characteristic that acknowledges it, empty: none does.
        reply_starts: how the acknowledgement begins.
        response: True: a write with response.
    """

    uuid: str
    data: bytes
    reply_uuid: str = ""
    reply_starts: bytes = b""
    response: bool = False


@dataclass(frozen=True, slots=True)
class StructLayout:
    """Describes a sensor whose packets are C structs.

    Args:
        notify_uuid: characteristic that carries samples.
        struct_format: of one sample, as Python's ``struct`` has it, beginning with ``<`` or ``>``.
        nominal_rate_hz: samples a second.
        fields: the axes: all of the accelerometer, the gyroscope, or both.
        samples_per_packet: samples in one notification.
        header_bytes: bytes before the first sample, not looked at.
        time: device clock, None: none.
        counter: sample or packet counter, None: none.
        start_writes: written after subscribing, in this order.
        stop_writes: written at the end.
        service_uuid: by which it is recognised, empty: by nothing.
        max_notification_bytes: what one notification can carry.

    Raises:
        ConfigError: a format that does not parse or does not fit a notification, axes that name no
            whole triad or a number twice, unknown units, or values out of range.
    """

    notify_uuid: str
    struct_format: str
    nominal_rate_hz: float
    fields: tuple[StructField, ...]
    samples_per_packet: int = 1
    header_bytes: int = 0
    time: StructTime | None = None
    counter: StructCounter | None = None
    start_writes: tuple[StructWrite, ...] = ()
    stop_writes: tuple[StructWrite, ...] = ()
    service_uuid: str = ""
    max_notification_bytes: int = 244

    def __post_init__(self) -> None:
        self._check_uuids()
        if not (math.isfinite(self.nominal_rate_hz) and 0 < self.nominal_rate_hz <= 2000.0):
            raise _refuse(
                "the nominal rate is out of range",
                f"above 0, up to {_LARGEST_RATE_HZ:g} Hz",
                self.nominal_rate_hz,
            )
        if self.samples_per_packet < 1 or self.header_bytes < 0:
            raise _refuse(
                "samples per packet and header bytes are out of range",
                "at least 1 sample, no negative header",
                f"{self.samples_per_packet} samples, {self.header_bytes} bytes",
            )
        if not 20 <= self.max_notification_bytes <= _LARGEST_NOTIFICATION:
            raise _refuse(
                "a notification has another size",
                f"20 to {_LARGEST_NOTIFICATION} bytes",
                self.max_notification_bytes,
            )
        numbers = self._numbers()
        if self.packet_bytes > self.max_notification_bytes:
            raise _refuse(
                "a packet does not fit one notification",
                f"up to {self.max_notification_bytes} bytes",
                f"{self.packet_bytes} bytes",
            )
        self._check_fields(len(numbers))
        self._check_clocks(numbers)

    @property
    def packet_bytes(self) -> int:
        """Length of a whole packet."""
        return self.header_bytes + self.samples_per_packet * struct.calcsize(self.struct_format)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it describes, in the order of ``IMU_CHANNELS``."""
        named = {field.channel for field in self.fields}
        return tuple(channel for channel in IMU_CHANNELS if channel in named)

    def _check_uuids(self) -> None:
        writes = self.start_writes + self.stop_writes
        needed = [self.notify_uuid, *(write.uuid for write in writes)]
        optional = [self.service_uuid, *(write.reply_uuid for write in writes)]
        for uuid in [*needed, *(uuid for uuid in optional if uuid)]:
            if not _UUID.fullmatch(uuid):
                raise _refuse("not a UUID", "128-bit UUID, lower case", uuid or "nothing")

    def _numbers(self) -> tuple[object, ...]:
        """Return one sample, which shows how many numbers there are, of what kind and width."""
        if self.struct_format[:1] not in ("<", ">"):
            raise _refuse(
                "the struct format does not say its byte order",
                "'<' or '>' first",
                self.struct_format,
            )
        try:
            size = struct.calcsize(self.struct_format)
            numbers = struct.unpack(self.struct_format, size * b"\x7f")  # positive if signed, too
        except (struct.error, ValueError) as error:
            raise _refuse(
                "the struct format does not parse", "such as '<I6f'", str(error)
            ) from error
        if not all(type(number) in (int, float) for number in numbers):
            raise _refuse(
                "the struct format holds more than numbers",
                "numbers and pad bytes 'x'",
                self.struct_format,
            )
        return numbers

    def _check_fields(self, n_numbers: int) -> None:
        named = [field.channel for field in self.fields]
        if sorted(named) not in (
            sorted(ACC_CHANNELS), sorted(GYR_CHANNELS), sorted(IMU_CHANNELS)
        ):  # fmt: skip
            raise _refuse(
                "the fields name no whole triad",
                "acc_x acc_y acc_z, gyr_x gyr_y gyr_z, or all six, each once",
                " ".join(named) or "nothing",
            )
        for field in self.fields:
            if field.unit not in TO_SI or TO_SI[field.unit][0] != field.channel[:3]:
                raise _refuse(
                    f"{field.channel} has a wrong unit",
                    "g or m/s^2" if field.channel[:3] == "acc" else "deg/s or rad/s",
                    field.unit,
                )
            if not math.isfinite(field.scale) or field.scale == 0:
                raise _refuse(f"{field.channel} has a wrong scale", "not 0", field.scale)
        indices = [field.index for field in self.fields]
        indices += [part.index for part in (self.time, self.counter) if part]
        if not all(0 <= index < n_numbers for index in indices):
            raise _refuse("an index lies outside the struct", f"0 to {n_numbers - 1}", indices)
        if len(set(indices)) != len(indices):
            raise _refuse("a number of the struct is named twice", "each once", indices)

    def _check_clocks(self, numbers: tuple[object, ...]) -> None:
        given: tuple[StructTime | StructCounter | None, ...] = (self.time, self.counter)
        for part in given:
            if part is None:
                continue
            number = numbers[part.index]
            if not isinstance(number, int) or not 8 <= part.bits <= 64:
                raise _refuse(
                    "time and counter must be whole numbers of 8 to 64 bits",
                    "an integer of the struct",
                    f"{type(number).__name__}, {part.bits} bits",
                )
            if part.bits > number.bit_length() + 1:
                raise _refuse(
                    "a time or counter is wider than its number",
                    f"up to {number.bit_length() + 1} bits",
                    f"{part.bits} bits",
                )
        if self.time and not (math.isfinite(self.time.tick_s) and 0 < self.time.tick_s <= 1.0):
            raise _refuse("the clock's tick is out of range", "up to 1 s", self.time.tick_s)
        if self.time and self.time.tick_s * 2.0**self.time.bits < 1.0:
            raise _refuse(
                "the clock wraps within a second",
                "at least 1 s",
                f"{self.time.tick_s * 2.0**self.time.bits:g} s",
            )
