"""One connected sensor as protocols see it: subscribe, write, read, ask.

Everything here runs in the radio's loop. A notification is stamped first of all, then put into a
bounded queue that the source empties in its own loop; nothing else happens in the callback, save
that a reply somebody waits for is handed over. ``deque.append`` and ``popleft`` are atomic, so the
queue needs no lock and no wake-up: 2,000 notifications a second cost no thread change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.ble_errors import bluetooth_error

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic

logger = logging.getLogger(__name__)

DISCONNECT_WITHIN_S = 3.0
ANSWER_WITHIN_S = 5.0
"""How long one read, write or subscription may take; an ATT transaction itself fails after 30 s."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One notification.

    Args:
        arrived_s: ``time.monotonic`` when it came.
        uuid: characteristic, lower case.
        data: its bytes.
    """

    arrived_s: float
    uuid: str
    data: bytes


class BleLink:
    """A GattLink over a connected bleak client.

    Args:
        client: connected.
        source: the stream's name, for errors.
        queue_packets: how many packets wait at most; what comes on top is dropped and counted.

    Attributes:
        dropped_packets: counted since the link was made.
        lost: why the link is gone, empty while it is there.
    """

    def __init__(self, client: BleakClient, *, source: str, queue_packets: int) -> None:
        self._client = client
        self._source = source
        self._queue_packets = queue_packets
        self._queue: deque[Packet] = deque()
        self._waiting: list[tuple[str, bytes, asyncio.Future[bytes]]] = []
        self.dropped_packets = 0
        self.lost = ""

    def take(self) -> list[Packet]:
        """Return what has come since last asked, oldest first; may be called from any thread."""
        return [self._queue.popleft() for _ in range(len(self._queue))]

    def on_disconnected(self, _client: BleakClient | None = None) -> None:
        """Note that the link is gone, and end what waits for a reply."""
        self.lost = self.lost or "the link to the sensor broke"
        for _, _, reply in self._waiting:
            if not reply.done():
                reply.set_exception(self._gone())

    async def subscribe(self, uuid: str) -> None:
        """Enable notifications; once is enough.

        Args:
            uuid: characteristic, lower case.

        Raises:
            SourceError: no such characteristic, or the sensor refuses.
        """
        characteristic = self._characteristic(uuid)
        with self._converted():
            await asyncio.wait_for(
                self._client.start_notify(characteristic, partial(self._on_notification, uuid)),
                ANSWER_WITHIN_S,
            )

    async def write(self, uuid: str, data: bytes, *, response: bool = False) -> None:
        """Write a characteristic.

        Args:
            uuid: characteristic, lower case.
            data: the bytes.
            response: whether the sensor has to acknowledge.

        Raises:
            SourceError: no such characteristic, or the sensor refuses.
        """
        characteristic = self._characteristic(uuid)
        with self._converted():
            await asyncio.wait_for(
                self._client.write_gatt_char(characteristic, data, response=response),
                ANSWER_WITHIN_S,
            )

    async def read(self, uuid: str) -> bytes:
        """Read a characteristic.

        Args:
            uuid: characteristic, lower case.

        Returns:
            Its bytes.

        Raises:
            SourceError: no such characteristic, or the sensor refuses.
        """
        characteristic = self._characteristic(uuid)
        with self._converted():
            value = await asyncio.wait_for(
                self._client.read_gatt_char(characteristic), ANSWER_WITHIN_S
            )
        return bytes(value)

    async def request(
        self,
        uuid: str,
        data: bytes,
        *,
        reply_uuid: str,
        reply_starts: bytes,
        timeout_s: float = 2.0,
    ) -> bytes:
        """Write, and return the first notification of ``reply_uuid`` that starts so.

        Args:
            uuid: characteristic to write.
            data: the command.
            reply_uuid: characteristic that answers; subscribed before.
            reply_starts: how the answer begins.
            timeout_s: how long to wait for it.

        Returns:
            The whole notification.

        Raises:
            SourceError: no such reply in time; nothing to write to.
        """
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        entry = (reply_uuid, reply_starts, reply)
        self._waiting.append(entry)
        try:
            properties = self._characteristic(uuid).properties
            await self.write(uuid, data, response="write-without-response" not in properties)
            return await asyncio.wait_for(reply, timeout_s)
        except asyncio.TimeoutError as error:
            raise SourceError(
                f"the sensor did not answer a command within {timeout_s:g} s",
                source=self._source,
                expected=f"a notification that starts with {reply_starts.hex(' ')}",
                next_step="See that the protocol fits the sensor; switch it off and on again",
            ) from error
        finally:
            self._waiting.remove(entry)
            reply.cancel()

    async def close(self) -> None:
        """Disconnect and give back the D-Bus connection, though the link may be gone already."""
        self.lost = self.lost or "closed"
        try:
            await asyncio.wait_for(self._client.disconnect(), DISCONNECT_WITHIN_S)
        except Exception as error:  # noqa: BLE001 - nobody can mend a link that is being given up
            logger.debug("disconnecting %s: %r", self._source, error)

    def _on_notification(
        self, uuid: str, _characteristic: BleakGATTCharacteristic, data: bytearray
    ) -> None:
        packet = Packet(time.monotonic(), uuid, bytes(data))
        if len(self._queue) < self._queue_packets:
            self._queue.append(packet)
        else:
            self.dropped_packets += 1
        for wanted, starts, reply in self._waiting:
            if wanted == uuid and packet.data.startswith(starts) and not reply.done():
                reply.set_result(packet.data)
                return

    def _characteristic(self, uuid: str) -> BleakGATTCharacteristic:
        if self.lost or not self._client.is_connected:
            raise self._gone()
        found = [c for s in self._client.services for c in s.characteristics if c.uuid == uuid]
        if not found:
            has = sorted({c.uuid for s in self._client.services for c in s.characteristics})
            raise SourceError(
                "the sensor does not speak the protocol that is configured",
                source=self._source,
                expected=f"characteristic {uuid}",
                got=has or "no characteristic at all",
                next_step="Correct `protocol`; `edge-app devices` says which one it recognises",
            )
        return found[0]

    def _gone(self) -> SourceLostError:
        return SourceLostError(
            self.lost or "the link to the sensor broke",
            source=self._source,
            next_step="The sensor is being looked for again",
        )

    @contextlib.contextmanager
    def _converted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self.lost or not self._client.is_connected:
                raise self._gone() from error
            raise bluetooth_error(error, source=self._source) from error
