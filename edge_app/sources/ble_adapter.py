"""One Bluetooth adapter: one scan for all who look, and its results to those who want them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_app.sources.ble_link import ANSWER_WITHIN_S
from edge_app.sources.ble_turns import AdapterTurns
from edge_app.sources.imu_protocols.protocol import Advertised

if TYPE_CHECKING:
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

logger = logging.getLogger(__name__)

NO_RSSI_DBM = -127
"""What bleak gives for a device that BlueZ remembers and does not hear."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sensor that was heard.

    Args:
        advertised: what it says of itself.
        device: bleak's handle.
    """

    advertised: Advertised
    device: BLEDevice


@dataclass(slots=True, eq=False)
class Search:
    """Who looks for what.

    Args:
        wanted: tells whether a sensor is one of those looked for.
        settle_s: how long others are noted after the first one; 0: the first ends the search.
        found: set when the search is over.
        seen: sensors heard so far, by address.
    """

    wanted: Callable[[Advertised], bool]
    settle_s: float
    found: asyncio.Future[list[Sighting]]
    seen: dict[str, Sighting] = field(default_factory=dict)


class Adapter:
    """One adapter: its turns, its scan, and who looks for what.

    Args:
        name: such as ``hci0``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.turns = AdapterTurns(self._scan)
        self.searches: list[Search] = []

    def heard(self, device: BLEDevice, data: AdvertisementData) -> None:
        """Give a sighting to those who look for it."""
        if data.rssi == NO_RSSI_DBM:
            return
        advertised = Advertised(
            address=device.address.upper(),
            name=data.local_name or device.name or "",
            service_uuids=tuple(uuid.lower() for uuid in data.service_uuids),
            manufacturer_ids=tuple(data.manufacturer_data),
            rssi_dbm=data.rssi,
        )
        for search in self.searches:
            if search.found.done() or not search.wanted(advertised):
                continue
            first = not search.seen
            search.seen[advertised.address] = Sighting(advertised, device)
            if search.settle_s <= 0:
                _finish(search)
            elif first:
                asyncio.get_running_loop().call_later(search.settle_s, _finish, search)

    @contextlib.asynccontextmanager
    async def _scan(self) -> AsyncIterator[None]:
        from bleak import BleakScanner

        scanner = BleakScanner(detection_callback=self.heard, bluez={"adapter": self.name})
        await asyncio.wait_for(scanner.start(), ANSWER_WITHIN_S)
        try:
            yield
        finally:
            try:
                await asyncio.wait_for(scanner.stop(), ANSWER_WITHIN_S)
            except Exception as error:  # noqa: BLE001 - adapter or D-Bus gone: it scans no more
                logger.debug("stopping the scan: %r", error)


def _finish(search: Search) -> None:
    if not search.found.done():
        search.found.set_result(list(search.seen.values()))
