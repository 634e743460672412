"""Numbers of Polar's control point (PMD), and the settings in its answers.

Source: "Polar Measurement Data Specification for 3rd Party", control point and error codes.
"""

from __future__ import annotations

import struct

ASK_SETTINGS, START, STOP, REPLY = 1, 2, 3, 0xF0
ALREADY_STREAMING = 6
RATE, RESOLUTION, RANGE, RANGE_MILLI, CHANNELS, FACTOR = 0, 1, 2, 3, 4, 5
_SETTING_BYTES = {RATE: 2, RESOLUTION: 2, RANGE: 2, RANGE_MILLI: 4, CHANNELS: 1, FACTOR: 4}
ERRORS = (
    "success",
    "invalid operation",
    "invalid measurement type",
    "not supported",
    "invalid length",
    "invalid parameter",
    "already streaming",
    "invalid resolution",
    "invalid sample rate",
    "invalid range",
    "invalid MTU",
    "invalid number of channels",
    "invalid state",
    "the sensor is in its charger",
)


def parse_settings(data: bytes) -> dict[int, list[float]]:
    """Return the values of each setting in an answer; unknown ones end the list.

    Args:
        data: id, count, values, again and again.
    """
    settings: dict[int, list[float]] = {}
    at = 0
    while at + 2 <= len(data):
        kind, count = data[at], data[at + 1]
        size = _SETTING_BYTES.get(kind)
        at += 2
        if size is None or at + size * count > len(data):
            break
        values = [data[i : i + size] for i in range(at, at + size * count, size)]
        if kind == FACTOR:
            settings[kind] = [float(struct.unpack("<f", value)[0]) for value in values]
        else:
            settings[kind] = sorted(float(int.from_bytes(value, "little")) for value in values)
        at += size * count
    return settings
