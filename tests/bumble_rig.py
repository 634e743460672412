"""A Bluetooth stack in software (bumble) under bleak's API, for what a fake BlueZ cannot show.

Central and sensors are bumble devices on one simulated link: attribute protocol, MTU and
subscription are the real thing. ``BumbleClient`` is a backend for ``BleakClient(backend=...)``. It
leaves out descriptors and pairing dialogues, and touches base classes that bleak keeps private.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bumble.att import ATT_Error, ErrorCode
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, Peer
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

SERVICE = "0000ffe5-0000-1000-8000-00805f9a34fb"
NOTIFY = "0000ffe4-0000-1000-8000-00805f9a34fb"
WRITE = "0000ffe9-0000-1000-8000-00805f9a34fb"
REFUSED = "0000ffe8-0000-1000-8000-00805f9a34fb"
"""Writing to it is answered with an error."""


def uuid_text(uuid: UUID) -> str:
    """Return a UUID as bleak writes it."""
    digits = uuid.to_bytes(force_128=True)[::-1].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class BumbleSensor:
    """A sensor with one notifying, one writable and one refusing characteristic.

    Args:
        device: bumble's.

    Attributes:
        writes: what was written, in order.
        on_write: called with each write; may notify.
        subscribed: whether notifications are enabled (the CCCD, as the sensor sees it).
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.writes: list[bytes] = []
        self.on_write: Callable[[bytes], None] | None = None
        self.subscribed = False
        self.connection: Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Register the services and advertise."""
        properties = Characteristic.Properties

        def written(_connection: Connection, value: bytes) -> None:
            self.writes.append(bytes(value))
            if self.on_write is not None:
                self.on_write(bytes(value))

        def refuse(_connection: Connection, _value: bytes) -> None:
            raise ATT_Error(ErrorCode.INSUFFICIENT_AUTHENTICATION)

        self.characteristic = Characteristic(
            UUID(NOTIFY), properties.NOTIFY, Characteristic.READABLE, b""
        )
        self.characteristic.on("subscription", self._on_subscription)
        both = properties.WRITE | properties.WRITE_WITHOUT_RESPONSE
        write = Characteristic(
            UUID(WRITE), both, Characteristic.WRITEABLE, CharacteristicValue(write=written)
        )
        refused = Characteristic(
            UUID(REFUSED),
            properties.WRITE,
            Characteristic.WRITEABLE,
            CharacteristicValue(write=refuse),
        )
        self.device.add_service(Service(UUID(SERVICE), [self.characteristic, write, refused]))
        name = [(AdvertisingData.COMPLETE_LOCAL_NAME, b"simulated")]
        self.device.advertising_data = bytes(AdvertisingData(name))
        self.device.on("connection", self._on_connection)
        await self.device.power_on()
        await self.device.start_advertising(auto_restart=True)

    def notify(self, data: bytes) -> None:
        """Send a notification to whoever subscribed."""
        task = asyncio.ensure_future(self.device.notify_subscribers(self.characteristic, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drop_link(self) -> None:
        """End the link from the sensor's side."""
        assert self.connection is not None
        await self.connection.disconnect()

    def _on_connection(self, connection: Connection) -> None:
        self.connection = connection

    def _on_subscription(self, _connection: Connection, notify: bool, _indicate: bool) -> None:
        self.subscribed = notify


class BumbleRig:
    """A central and one sensor on a simulated link.

    Args:
        mtu: what the central asks for; the sensor takes up to bumble's default.
    """

    def __init__(self, mtu: int = 247) -> None:
        self._link = LocalLink()
        self._mtu = mtu
        self.central = self._device(0, "central")
        self.sensor = BumbleSensor(self._device(1, "sensor"))

    def _device(self, index: int, name: str) -> Device:
        address = f"F{index:X}:00:00:00:00:0{index:X}"
        controller = Controller(name, link=self._link, public_address=address)
        host = Host(controller, AsyncPipeSink(controller))
        return Device(name=name, address=Address(address), host=host)

    async def start(self) -> None:
        """Switch both on."""
        await self.sensor.start()
        await self.central.power_on()

    async def connect(self, on_disconnected: Callable[[BleakClient], None]) -> BleakClient:
        """Return bleak's client, connected to the sensor."""
        client = BleakClient(
            str(self.sensor.device.random_address).split("/")[0],
            disconnected_callback=on_disconnected,
            backend=make_backend(self.central, self._mtu),
        )
        await client.connect()
        return client


def make_backend(central: Device, mtu: int) -> type[BaseBleakClient]:
    """Return a bleak backend that is bound to one central."""

    class BumbleClient(BaseBleakClient):
        def __init__(self, device: Any, services: Any = None, **options: Any) -> None:  # noqa: ARG002
            options.pop("bluez", None)
            super().__init__(device, **options)
            self._connection: Connection | None = None
            self._subscribed: dict[int, Callable[[bytes], None]] = {}

        @property
        def name(self) -> str:
            return "simulated"

        @property
        def mtu_size(self) -> int:
            return self._live().att_mtu

        @property
        def is_connected(self) -> bool:
            return self._connection is not None

        def _live(self) -> Connection:
            if self._connection is None:
                raise BleakError("Not connected")
            return self._connection

        async def connect(self, pair: bool, **_options: Any) -> None:  # noqa: ARG002
            self._connection = await asyncio.wait_for(central.connect(self.address), self._timeout)
            self._connection.once("disconnection", self._on_gone)
            peer = Peer(self._connection)
            await peer.request_mtu(mtu)
            await peer.discover_all()
            table = BleakGATTServiceCollection()
            for service in peer.services:
                entry = BleakGATTService(service, service.handle, uuid_text(service.uuid))
                table.add_service(entry)
                for char in service.characteristics:
                    flags = [flag for flag in type(char.properties) if flag in char.properties]
                    names = [str(flag.name).lower().replace("_", "-") for flag in flags]
                    table.add_characteristic(
                        BleakGATTCharacteristic(
                            char,
                            char.handle,
                            uuid_text(char.uuid),
                            names,
                            lambda: self._live().att_mtu - 3,
                            entry,
                        )
                    )
            self.services = table

        def _on_gone(self, *_reason: Any) -> None:
            if self._connection is None:
                return
            self._connection = self.services = None
            if self._disconnected_callback:
                self._disconnected_callback()

        async def disconnect(self) -> None:
            if self._connection is not None:
                await self._connection.disconnect()
                self._on_gone()

        async def pair(self, *_args: Any, **_options: Any) -> None:
            await self._live().pair()

        async def unpair(self) -> None:
            return

        async def read_gatt_char(self, characteristic: Any, **_options: Any) -> bytearray:
            self._live()
            return bytearray(await characteristic.obj.read_value())

        async def read_gatt_descriptor(self, descriptor: Any, **_options: Any) -> bytearray:
            self._live()
            return bytearray(await descriptor.obj.read_value())

        async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:
            self._live()
            try:
                await characteristic.obj.write_value(bytes(data), with_response=response)
            except ATT_Error as error:
                raise BleakGATTProtocolError(
                    BleakGATTProtocolErrorCode(error.error_code)
                ) from error

        async def write_gatt_descriptor(self, descriptor: Any, data: Any) -> None:
            self._live()
            await descriptor.obj.write_value(bytes(data), with_response=True)

        async def start_notify(self, characteristic: Any, callback: Any, **_options: Any) -> None:
            self._live()

            def forward(value: bytes) -> None:
                callback(bytearray(value))

            self._subscribed[characteristic.handle] = forward
            await characteristic.obj.subscribe(forward)

        async def stop_notify(self, characteristic: Any) -> None:
            self._live()
            await characteristic.obj.unsubscribe(self._subscribed.pop(characteristic.handle))

    return BumbleClient
