"""The Bluetooth of this process: one thread, one event loop, one D-Bus connection for all sensors.

bleak keeps a D-Bus connection for every event loop it has seen
(https://github.com/hbldh/bleak/issues/1698), and a stream that is restarted gets a new loop each
time. So everything Bluetooth runs in the loop of a ``Radio`` that outlives the sources; they hand
it their work. It scans once for all of them and connects to one sensor at a time (``ble_turns``),
and only to sensors that a source asked for. No source waits for another's sensor for more than a
turn.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from edge_app.errors import SourceError, SourceNotFoundError
from edge_app.sources.ble_adapter import NO_RSSI_DBM, Adapter, Search, Sighting
from edge_app.sources.ble_bluez import (
    bluez_manager,
    connect_sensor,
    disconnect_stale,
    forget_bluez,
)
from edge_app.sources.ble_errors import bluetooth_error
from edge_app.sources.ble_link import BleLink
from edge_app.sources.ble_loop import LoopThread
from edge_app.sources.ble_turns import LOOK_EVERY_S
from edge_app.sources.imu_protocols.protocol import Advertised

SETTLE_S = 1.0
"""How much longer to look when a sensor is not named by its address: another may answer too."""
LOOKS_FOR_RELEASE = 100


def _taken(source: str) -> SourceError:
    return SourceError(
        "another stream has this sensor",
        source=source,
        next_step="Give each stream the address of its own sensor",
    )


class Radio(LoopThread):
    """The event loop in which all Bluetooth happens, and what happens there."""

    def __init__(self) -> None:
        self._adapters: dict[str, Adapter] = {}
        self._links: dict[str, BleLink | None] = {}  # None while it is being made
        super().__init__("bluetooth")

    # All of it runs in the radio's loop: hand it to ``run``.

    async def find(
        self,
        wanted: Callable[[Advertised], bool],
        *,
        adapter: str | None,
        timeout_s: float,
        source: str,
        alone: bool = True,
    ) -> list[Sighting]:
        """Scan until a sensor is heard.

        Args:
            wanted: tells whether it is one of those looked for.
            adapter: such as ``hci0``; None: the first that is switched on.
            timeout_s: how long to look.
            source: the stream's name, for errors.
            alone: True when only one sensor can be wanted, so that the first one ends the search;
                else the search goes on for ``SETTLE_S``.

        Returns:
            The sensors heard; none when the time is over.

        Raises:
            SourceError: no Bluetooth, and what mends it.
        """
        try:
            place = await self._place(adapter)
        except Exception as error:
            raise bluetooth_error(error, source=source) from error
        found: asyncio.Future[list[Sighting]] = asyncio.get_running_loop().create_future()
        search = Search(wanted, 0.0 if alone else SETTLE_S, found)
        place.searches.append(search)
        try:
            return await asyncio.wait_for(place.turns.seek(found), timeout_s)
        except asyncio.TimeoutError as error:
            if not found.cancelled() and found.done() and found.exception() is not None:
                raise bluetooth_error(error, source=source) from error  # the scan's own time-out
            return list(search.seen.values())
        except Exception as error:
            raise bluetooth_error(error, source=source) from error
        finally:
            place.searches.remove(search)

    async def prepare(self, address: str, *, source: str) -> None:
        """See that a sensor can be heard: one that is connected does not advertise.

        A link that is just being given up is waited for. One that BlueZ kept from a program that
        crashed is ended.

        Args:
            address: Bluetooth address.
            source: the stream's name, for errors.

        Raises:
            SourceError: another stream has this sensor.
        """
        for _ in range(LOOKS_FOR_RELEASE):
            link = self._links.get(address)
            if address in self._links and (link is None or not link.lost):
                raise _taken(source)
            if link is None:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        await disconnect_stale(address)

    async def connect(
        self,
        sighting: Sighting,
        *,
        timeout_s: float,
        source: str,
        queue_packets: int,
    ) -> BleLink:
        """Connect to a sensor just heard, when it is its turn.

        Args:
            sighting: from ``find``.
            timeout_s: how long to try, waiting included.
            source: the stream's name, for errors.
            queue_packets: how many notifications wait at most for the source.

        Returns:
            The link; to be given back by ``release``.

        Raises:
            SourceError: in use by another stream; it wants to be paired.
            SourceNotFoundError: not reached.
        """
        address = sighting.advertised.address
        if address in self._links:
            raise _taken(source)
        path = sighting.device.details["path"]
        place = await self._place(path.split("/")[3])  # /org/bluez/hci0/dev_...

        async def attempt() -> BleLink:
            return await connect_sensor(sighting.device, source, queue_packets)

        link: BleLink | None = None
        self._links[address] = None
        try:
            manager = await bluez_manager()
            connecting = place.turns.connect(
                attempt, linked=lambda: manager.is_connected(path), drop=BleLink.close
            )
            link = await asyncio.wait_for(connecting, timeout_s)
        except asyncio.TimeoutError as error:
            raise SourceNotFoundError(
                f"the sensor was heard, and could not be connected in {timeout_s:g} s",
                source=source,
                next_step="See that nothing else is connected to it; it is tried again",
            ) from error
        except Exception as error:
            raise bluetooth_error(error, source=source) from error
        finally:
            if link is None:
                del self._links[address]
            else:
                self._links[address] = link
        return link

    async def release(self, address: str, link: BleLink) -> None:
        """Disconnect; afterwards the sensor may be connected anew."""
        try:
            await link.close()
        finally:
            if self._links.get(address) is link:
                del self._links[address]

    async def _place(self, adapter: str | None) -> Adapter:
        """Return an adapter by its name, so that nobody shares one under two names."""
        if adapter is None:
            adapter = str((await bluez_manager()).get_default_adapter()).rsplit("/", 1)[1]
        return self._adapters.setdefault(adapter, Adapter(adapter))

    async def _tidy(self) -> None:
        for address, link in list(self._links.items()):
            if link is not None:
                await self.release(address, link)
        await super()._tidy()
        await forget_bluez()


@functools.cache
def shared_radio() -> Radio:
    """Return the radio of this process; its thread begins with the first call."""
    return Radio()


def find_ble_sensors(seconds: float, adapter: str | None = None) -> list[Advertised]:
    """Return the Bluetooth devices that advertise, strongest first.

    Args:
        seconds: how long to listen.
        adapter: such as ``hci0``; None: the first that is switched on.

    Returns:
        What each says of itself; a sensor that is connected does not advertise.

    Raises:
        SourceError: no Bluetooth, and what mends it.
    """
    seen: dict[str, Advertised] = {}

    def note(advertised: Advertised) -> bool:
        seen[advertised.address] = advertised
        return False  # the search goes on until its time is over

    async def look() -> None:
        radio = shared_radio()
        await radio.run(radio.find(note, adapter=adapter, timeout_s=seconds, source="bluetooth"))

    asyncio.run(look())
    return sorted(seen.values(), key=lambda one: -(one.rssi_dbm or NO_RSSI_DBM))
