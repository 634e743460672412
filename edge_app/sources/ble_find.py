"""Which of the sensors in reach a stream means: by address, by name, or the only one."""

from __future__ import annotations

from dataclasses import dataclass

from edge_app.errors import SourceError, SourceNotFoundError
from edge_app.sources.ble_adapter import Sighting
from edge_app.sources.ble_radio import Radio
from edge_app.sources.imu_protocols.protocol import Advertised, ImuProtocol


@dataclass(frozen=True, slots=True)
class WantedSensor:
    """What names a sensor.

    Args:
        address: Bluetooth address in capitals; None: by ``name``.
        name: the name it advertises; None: the only sensor in reach of the protocol.
        adapter: such as ``hci0``; None: the first that is switched on.
    """

    address: str | None = None
    name: str | None = None
    adapter: str | None = None

    def fits(self, advertised: Advertised, protocol: ImuProtocol) -> bool:
        """Look whether this may be it.

        Args:
            advertised: what a device says of itself.
            protocol: recognises its sensors, where neither address nor name is given.

        Returns:
            True when it may.
        """
        if self.address is not None:
            return advertised.address == self.address
        if self.name is not None:
            return advertised.name == self.name
        return protocol.recognises(advertised)


async def find_sensor(
    radio: Radio, wanted: WantedSensor, protocol: ImuProtocol, *, timeout_s: float, source: str
) -> Sighting:
    """Look for one sensor; runs in the radio's loop.

    Args:
        radio: scans.
        wanted: what names it.
        protocol: recognises its sensors.
        timeout_s: how long to look.
        source: the stream's name, for errors.

    Returns:
        The sensor, just heard.

    Raises:
        SourceError: several fit, another stream has it, or there is no Bluetooth.
        SourceNotFoundError: none was heard.
    """
    if wanted.address is not None:
        await radio.prepare(wanted.address, source=source)
    found = await radio.find(
        lambda advertised: wanted.fits(advertised, protocol),
        adapter=wanted.adapter,
        timeout_s=timeout_s,
        source=source,
        alone=wanted.address is not None,
    )
    if len(found) > 1:
        raise SourceError(
            "several sensors fit",
            source=source,
            got=sorted(one.advertised.name or "a sensor without name" for one in found),
            next_step="Set `address` to one of those that `edge-app devices` lists",
        )
    if not found:
        raise SourceNotFoundError(
            f"the sensor was not heard within {timeout_s:g} s",
            source=source,
            next_step="Switch it on and bring it near; `edge-app devices` lists what is heard",
        )
    return found[0]
