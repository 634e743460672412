"""What is asked of BlueZ beside scanning: connecting, links that nobody holds, a link's truth.

All of it runs in the radio's loop. This is the only file that knows private parts of bleak;
``tests/test_ble_radio.py`` says when a new bleak has moved them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from edge_app.sources.ble_adapter import Sighting
from edge_app.sources.ble_errors import bluetooth_error
from edge_app.sources.ble_link import ANSWER_WITHIN_S, BleLink

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice

logger = logging.getLogger(__name__)

CONNECT_ATTEMPTS = 2


async def bluez_manager() -> Any:
    """Return bleak's view of BlueZ in this loop, made anew when D-Bus was restarted."""
    from bleak.backends.bluezdbus.manager import get_global_bluez_manager

    return await asyncio.wait_for(get_global_bluez_manager(), ANSWER_WITHIN_S)


async def forget_bluez() -> None:
    """Close the D-Bus connection that bleak keeps for this loop."""
    from bleak.backends.bluezdbus import manager as bleak_manager

    manager = bleak_manager._global_instances.pop(asyncio.get_running_loop(), None)
    bus = getattr(manager, "_bus", None)
    if bus is not None:
        bus.disconnect()
        with contextlib.suppress(Exception):
            await bus.wait_for_disconnect()


async def disconnect_stale(address: str) -> None:
    """End a link that BlueZ kept from a program that crashed.

    Args:
        address: of the sensor; nothing happens when BlueZ does not call it connected.
    """
    from bleak_retry_connector import close_stale_connections_by_address

    with contextlib.suppress(Exception):  # without Bluetooth the scan says what is wrong
        await bluez_manager()
        await asyncio.wait_for(close_stale_connections_by_address(address), ANSWER_WITHIN_S)


async def is_linked(sighting: Sighting) -> bool:
    """Ask BlueZ itself whether a sensor is connected.

    What bleak remembers is of no use here: an adapter that is pulled out and a BlueZ that is
    restarted tell nobody that links have ended.

    Args:
        sighting: of the sensor.

    Returns:
        False also when BlueZ or D-Bus does not answer.
    """
    from bleak.backends.bluezdbus import defs
    from dbus_fast import Message, MessageType

    question = Message(
        destination=defs.BLUEZ_SERVICE,
        path=sighting.device.details["path"],
        interface=defs.PROPERTIES_INTERFACE,
        member="Get",
        signature="ss",
        body=[defs.DEVICE_INTERFACE, "Connected"],
    )
    try:
        bus = (await bluez_manager())._bus
        reply = await asyncio.wait_for(bus.call(question), ANSWER_WITHIN_S)
    except Exception as error:  # noqa: BLE001 - no D-Bus, no answer: no link
        logger.debug("asking for a link: %r", error)
        return False
    return reply.message_type is MessageType.METHOD_RETURN and bool(reply.body[0].value)


async def connect_sensor(device: BLEDevice, source: str, queue_packets: int) -> BleLink:
    """Connect with bleak-retry-connector and wrap the client.

    bleak's own memory of a sensor's services is not used: it goes stale when a sensor comes back
    with other firmware, and it saves no radio time, for BlueZ remembers them anyway.

    Args:
        device: just heard.
        source: the stream's name, for errors.
        queue_packets: how many notifications wait at most for the source.

    Returns:
        The link, which knows when it is lost.
    """
    from bleak.exc import BleakDeviceNotFoundError
    from bleak_retry_connector import BleakClientWithServiceCache, establish_connection

    class Client(BleakClientWithServiceCache):
        async def connect(self, **options: Any) -> None:
            try:
                await super().connect(**options)
            except BleakDeviceNotFoundError as error:
                # establish_connection would wait 4 s for it to come back, and hold up the others
                raise bluetooth_error(error, source=source) from error

    links: list[BleLink] = []

    def on_disconnected(client: Client) -> None:
        for link in links:
            link.on_disconnected(client)

    client = await establish_connection(
        Client,
        device,
        source,
        on_disconnected,
        max_attempts=CONNECT_ATTEMPTS,
        use_services_cache=False,
    )
    link = BleLink(client, source=source, queue_packets=queue_packets)
    links.append(link)
    if not client.is_connected:
        link.on_disconnected(client)
    return link
