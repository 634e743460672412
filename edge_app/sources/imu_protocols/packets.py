"""What the decoders share: vendor units, refusals in one wording, and choosing a rate or range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge_app.contracts import IMU_CHANNELS, Float32Array
from edge_app.errors import PacketError, SourceError
from edge_app.sources.imu_protocols.protocol import ImuSettings

MPS2_PER_G = 9.80665
RADPS_PER_DPS = math.pi / 180.0
ACC_CHANNELS = IMU_CHANNELS[:3]
GYR_CHANNELS = IMU_CHANNELS[3:]
BATTERY_LEVEL_UUID = "00002a19-0000-1000-8000-00805f9b34fb"
"""Battery Level of the Bluetooth SIG's Battery Service: one byte, percent."""
FULL_SCALE_SLACK = 1.05
"""Calibrated values may lie a little above the nominal full scale."""
_MOST_LISTED = 12


def bad_packet(sensor: str, problem: str, *, expected: object, got: object) -> PacketError:
    """Return the error for a packet that cannot be decoded.

    Args:
        sensor: title of the sensor.
        problem: one sentence.
        expected: what would have been right.
        got: what came.
    """
    return PacketError(
        problem,
        source=sensor,
        expected=expected,
        got=got,
        next_step="One such packet is only counted; if none can be decoded, check that the "
        "protocol and its settings fit the sensor",
    )


def scale_row(acc_mps2: float, gyr_radps: float) -> Float32Array:
    """Return the six factors from one step of the wire to m/s^2 and rad/s.

    Args:
        acc_mps2: acceleration of one step.
        gyr_radps: angular rate of one step.
    """
    return np.array([acc_mps2] * 3 + [gyr_radps] * 3, np.float32)


def listed(values: Sequence[float], unit: str) -> str:
    """Return values as words: all of them, or their ends where they are many.

    Args:
        values: in rising order.
        unit: written after them.
    """
    if len(values) > _MOST_LISTED:
        return f"{values[0]:g} to {values[-1]:g} {unit}, whole numbers"
    return ", ".join(f"{value:g}" for value in values) + f" {unit}"


def choose(
    sensor: str, what: str, unit: str, asked: float | None, offered: Sequence[float], usual: float
) -> float:
    """Return what is asked for when it is offered, the usual value when nothing is asked.

    Args:
        sensor: title of the sensor.
        what: such as ``rate``.
        unit: of all values.
        asked: None: nothing.
        offered: in rising order.
        usual: one of them.

    Raises:
        SourceError: not offered; lists what is.
    """
    if asked is None:
        return usual
    for value in offered:
        if abs(value - asked) <= 1e-6 * value:
            return value
    raise SourceError(
        f"the sensor does not offer this {what}",
        source=sensor,
        expected=listed(offered, unit),
        got=f"{asked:g} {unit}",
        next_step=f"Set one of the {what}s offered in the device configuration",
    )


def no_ranges(sensor: str, settings: ImuSettings, why: str) -> None:
    """Refuse a range that is asked of a sensor whose ranges cannot be set.

    Args:
        sensor: title of the sensor.
        settings: what is asked for.
        why: one sentence.

    Raises:
        SourceError: a range is asked for.
    """
    if settings.acc_range_g is None and settings.gyr_range_dps is None:
        return
    raise SourceError(
        why, source=sensor, next_step="Leave the ranges out of the device configuration"
    )


def differs(sensor: str, what: str, asked: object, got: object) -> SourceError:
    """Return the error for a setting that reads back as another one.

    Args:
        sensor: title of the sensor.
        what: the setting, with its unit.
        asked: what was written.
        got: what was read.
    """
    return SourceError(
        f"the sensor did not take the {what}",
        source=sensor,
        expected=asked,
        got=got,
        next_step="Switch the sensor off and on, or update its firmware; another app connected "
        "to it may also have changed it",
    )
