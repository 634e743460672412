"""The IMU protocols by name, and which of them an advertising sensor speaks."""

from __future__ import annotations

from collections.abc import Callable

from edge_app.errors import ConfigError
from edge_app.sources.imu_protocols.metamotion import MetaMotion
from edge_app.sources.imu_protocols.movella_dot import MovellaDot
from edge_app.sources.imu_protocols.movesense import Movesense
from edge_app.sources.imu_protocols.polar import Polar
from edge_app.sources.imu_protocols.protocol import Advertised, ImuProtocol
from edge_app.sources.imu_protocols.sensortag import SensorTag
from edge_app.sources.imu_protocols.thingy52 import Thingy52
from edge_app.sources.imu_protocols.witmotion import WitMotion

_MAKERS: dict[str, Callable[[], ImuProtocol]] = {
    "witmotion": WitMotion,
    "movella_dot": MovellaDot,
    "movesense": Movesense,
    "polar": Polar,
    "metamotion": MetaMotion,
    "thingy52": Thingy52,
    "sensortag": SensorTag,
}
PROTOCOL_NAMES = tuple(_MAKERS)
"""All but ``generic``, which is made from a ``StructLayout``."""


def make_protocol(name: str) -> ImuProtocol:
    """Return a fresh protocol object, for one connection.

    Args:
        name: one of ``PROTOCOL_NAMES``.

    Raises:
        ConfigError: no such protocol.
    """
    maker = _MAKERS.get(name)
    if maker is None:
        raise ConfigError(
            "unknown IMU protocol",
            expected=", ".join(PROTOCOL_NAMES),
            got=name,
            next_step="Name one of these, or describe the sensor as generic",
        )
    return maker()


def recognise(advertised: Advertised) -> ImuProtocol | None:
    """Return a fresh protocol for an advertising sensor, None when nobody knows it.

    Args:
        advertised: what it says of itself.
    """
    for maker in _MAKERS.values():
        protocol = maker()
        if protocol.recognises(advertised):
            return protocol
    return None
