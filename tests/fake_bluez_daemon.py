"""A fake org.bluez on the bus of DBUS_SYSTEM_BUS_ADDRESS, with simulated sensors that can fail.

Run by ``tests/fake_bluez.py`` in a process of its own: ``python -m tests.fake_bluez_daemon``. Its
standard input takes one JSON command a line, ``{"do": "drop_link", "address": ...}``; each is
answered by one JSON line. It covers the calls that bleak 3.1 makes, and behaves as BlueZ does where
that matters: a device appears when it is heard, has a signal strength only while somebody scans,
does not advertise while connected, and a Connect to one that does not answer stays open.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.imu_sensors import Faults, make_sensor

ADAPTER1, DEVICE1 = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE1, CHARACTERISTIC1 = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
DBUS = "org.freedesktop.DBus"
ADVERTISE_EVERY_S = 0.1
CONNECT_TAKES_S = 0.05
WRONG_SERVICE = "0000180f-0000-1000-8000-00805f9a34fb"
WRONG_CHARACTERISTIC = "00002a19-0000-1000-8000-00805f9b34fb"


def variant(value: Any) -> Variant:
    """Wrap a property value as the type that BlueZ gives it."""
    if isinstance(value, Variant):
        return value
    kinds = {bool: "b", str: "s", bytes: "ay"}
    return Variant("as" if isinstance(value, list) else kinds[type(value)], value)


@dataclass(eq=False)
class FakeDevice:
    """One sensor as BlueZ sees it."""

    address: str
    adapter: str
    sim: Any
    name: str
    known: bool = False
    connected: bool = False
    paired: bool = False
    heard_at_s: float = 0.0
    sample: int = 0
    notifying: set[str] = field(default_factory=set)
    chars: dict[str, str] = field(default_factory=dict)
    pending: Message | None = None
    pump: asyncio.Task[None] | None = None
    held: list[tuple[str, bytes]] = field(default_factory=list)
    flush_at_s: float = 0.0
    # faults
    muted: bool = False
    mute_stays: bool = False
    refuse_connects: int = 0
    hang_connects: int = 0
    in_range: bool = True
    on: bool = True
    wrong_table: bool = False
    needs_pairing: bool = False
    drop_fraction: float = 0.0
    hold_s: float = 0.0

    @property
    def path(self) -> str:
        return f"/org/bluez/{self.adapter}/dev_{self.address.replace(':', '_')}"

    @property
    def audible(self) -> bool:
        return self.on and self.in_range

    @property
    def services(self) -> dict[str, dict[str, frozenset[str]]]:
        """Service uuid to its characteristics and their flags."""
        if self.wrong_table:
            return {WRONG_SERVICE: {WRONG_CHARACTERISTIC: frozenset({"read", "notify"})}}
        return {self.sim.service_uuids[0]: dict(self.sim.characteristics)}


class FakeBluez:
    """The part of org.bluez that bleak uses."""

    def __init__(self, specs: list[dict[str, Any]], adapters: list[str]) -> None:
        self.bus = MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
        self.random = random.Random(0)  # noqa: S311 - a seeded draw
        self.powered = dict.fromkeys(adapters, True)
        self.present = set(adapters)
        self.scanning: dict[str, set[str]] = {name: set() for name in adapters}
        self.devices = {spec["address"]: self._device(spec) for spec in specs}
        self.figures = {
            "connects": 0,
            "most_connecting": 0,
            "connects_while_scanning": 0,
            "sent": 0,
        }
        self.tasks: set[asyncio.Task[None]] = set()

    @staticmethod
    def _device(spec: dict[str, Any]) -> FakeDevice:
        sim = make_sensor(
            spec["sensor"],
            rate_hz=spec["rate_hz"],
            faults=Faults(**spec.get("faults", {})),
            seed=spec.get("seed", 0),
        )
        name = spec.get("name") or sim.name
        return FakeDevice(spec["address"], spec.get("adapter", "hci0"), sim, name)

    # ------------------------------------------------------------------ objects and signals
    def objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        """Return everything that is exported."""
        out = {f"/org/bluez/{name}": {ADAPTER1: self._adapter1(name)} for name in self.present}
        for device in self.devices.values():
            if device.known and device.adapter in self.present:
                out[device.path] = {DEVICE1: self._device1(device)}
                out.update(self._gatt(device) if device.chars else {})
        return out

    def _adapter1(self, name: str) -> dict[str, Variant]:
        values = {
            "Address": "00:00:00:00:00:01",
            "Name": name,
            "Powered": self.powered[name],
            "Discovering": bool(self.scanning[name]),
            "Roles": ["central"],
        }
        return {key: variant(value) for key, value in values.items()}

    def _device1(self, device: FakeDevice) -> dict[str, Variant]:
        values: dict[str, Any] = {
            "Address": device.address,
            "AddressType": "random",
            "Alias": device.name,
            "Name": device.name,
            "Adapter": Variant("o", f"/org/bluez/{device.adapter}"),
            "UUIDs": list(device.sim.service_uuids),
            "Connected": device.connected,
            "Paired": device.paired,
            "Bonded": device.paired,
            "Trusted": device.paired,
            "ServicesResolved": device.connected,
            "ManufacturerData": Variant(
                "a{qv}", {number: Variant("ay", b"\x00") for number in device.sim.manufacturer_ids}
            ),
        }
        if self.scanning[device.adapter] and device.heard_at_s:
            values["RSSI"] = Variant("n", self.random.randint(-70, -50))
        return {key: variant(value) for key, value in values.items()}

    def _gatt(self, device: FakeDevice) -> dict[str, dict[str, dict[str, Variant]]]:
        out: dict[str, dict[str, dict[str, Variant]]] = {}
        paths = {uuid: path for path, uuid in device.chars.items()}
        for index, (service, characteristics) in enumerate(device.services.items()):
            service_path = f"{device.path}/service{0x10 + 0x100 * index:04x}"
            out[service_path] = {
                SERVICE1: {
                    "UUID": variant(service),
                    "Device": Variant("o", device.path),
                    "Primary": variant(True),
                    "Includes": Variant("ao", []),
                }
            }
            for uuid, flags in characteristics.items():
                out[paths[uuid]] = {
                    CHARACTERISTIC1: {
                        "UUID": variant(uuid),
                        "Service": Variant("o", service_path),
                        "Value": variant(b""),
                        "Notifying": variant(False),
                        "Flags": variant(sorted(flags)),
                        "MTU": Variant("q", 247),
                    }
                }
        return out

    def signal(self, path: str, interface: str, member: str, signature: str, body: list) -> None:
        self.bus.send(
            Message(
                message_type=MessageType.SIGNAL,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )

    def changed(
        self, path: str, interface: str, values: dict[str, Any], gone: tuple[str, ...] = ()
    ) -> None:
        wrapped = {key: variant(value) for key, value in values.items()}
        body = [interface, wrapped, list(gone)]
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def added(self, path: str, interfaces: dict[str, dict[str, Variant]]) -> None:
        self.signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])

    def removed(self, path: str, interfaces: list[str]) -> None:
        self.signal("/", MANAGER, "InterfacesRemoved", "oas", [path, interfaces])

    # ------------------------------------------------------------------ what happens by itself
    async def advertise(self) -> None:
        """Let sensors be heard while somebody scans."""
        while True:
            await asyncio.sleep(ADVERTISE_EVERY_S)
            for device in self.devices.values():
                scans = device.adapter in self.present and self.scanning[device.adapter]
                if not scans or device.connected or not device.audible:
                    continue
                device.heard_at_s = time.monotonic()
                if not device.known:
                    device.known = True
                    self.added(device.path, {DEVICE1: self._device1(device)})
                else:
                    rssi = Variant("n", self.random.randint(-70, -50))
                    self.changed(device.path, DEVICE1, {"RSSI": rssi})

    async def pump(self, device: FakeDevice) -> None:
        """Send what the sensor measures for as long as the link lasts."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while device.connected:
            if not device.sim.streaming:
                await asyncio.sleep(0.01)
                due_s = loop.time()
                continue
            due_s += 1.0 / device.sim.rate_hz
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            for uuid, data in device.sim.packets(device.sample):
                self.emit(device, uuid, data)
            device.sample += 1

    def emit(self, device: FakeDevice, uuid: str, data: bytes) -> None:
        """Notify, unless a fault is in the way."""
        now_s = time.monotonic()
        if device.drop_fraction and self.random.random() < device.drop_fraction:
            return
        if not device.muted:
            device.held.append((uuid, data))
        if now_s < device.flush_at_s:
            return
        device.flush_at_s = now_s + device.hold_s
        paths = {known: path for path, known in device.chars.items()}
        for held_uuid, held in device.held:
            path = paths.get(held_uuid)
            if path in device.notifying:
                self.figures["sent"] += 1
                self.changed(path, CHARACTERISTIC1, {"Value": held})
        device.held.clear()

    def lose_link(self, device: FakeDevice, *, silently: bool = False) -> None:
        """End a link; silently: nobody is told, as when the adapter is pulled out."""
        was = device.connected
        device.connected = False
        device.notifying.clear()
        device.held.clear()
        device.muted = device.muted and device.mute_stays
        if device.pump is not None:
            device.pump.cancel()
            device.pump = None
        device.sim.disconnected()
        if was and not silently:
            self.changed(device.path, DEVICE1, {"ServicesResolved": False})
            self.changed(device.path, DEVICE1, {"Connected": False})

    # ------------------------------------------------------------------ method calls
    def on_message(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            for sessions in self.scanning.values():
                if not message.body[2]:
                    sessions.discard(message.body[0])
        if message.message_type is not MessageType.METHOD_CALL or not message.path:
            return None
        call: Callable[[Message], Message | bool | None] | None = getattr(
            self, f"do_{message.member}", None
        )
        return None if call is None else call(message)

    @staticmethod
    def done(message: Message, signature: str = "", *body: Any) -> Message:
        return Message.new_method_return(message, signature, list(body))

    @staticmethod
    def error(message: Message, name: str, text: str) -> Message:
        return Message.new_error(message, f"org.bluez.Error.{name}", text)

    def do_GetManagedObjects(self, message: Message) -> Message:  # noqa: N802
        return self.done(message, "a{oa{sa{sv}}}", self.objects())

    def do_SetDiscoveryFilter(self, message: Message) -> Message:  # noqa: N802
        return self.done(message)

    do_Set = do_SetDiscoveryFilter  # noqa: N815

    def do_Get(self, message: Message) -> Message:  # noqa: N802
        interface, name = message.body
        device = self._of(message)
        if device is None or interface != DEVICE1:
            return self._unknown(message)
        return self.done(message, "v", self._device1(device)[name])

    def do_StartDiscovery(self, message: Message) -> Message:  # noqa: N802
        name = message.path.rsplit("/", 1)[1]
        if name not in self.present:
            return self._unknown(message)
        if not self.powered[name]:
            return self.error(message, "NotReady", "Resource Not Ready")
        self.scanning[name].add(message.sender)
        return self.done(message)

    def do_StopDiscovery(self, message: Message) -> Message:  # noqa: N802
        name = message.path.rsplit("/", 1)[1]
        if name not in self.present:
            return self._unknown(message)
        if not self.powered[name]:
            return self.error(message, "NotReady", "Resource Not Ready")
        self.scanning[name].discard(message.sender)
        if not self.scanning[name]:
            for device in self.devices.values():
                if device.adapter == name and device.known:
                    self.changed(device.path, DEVICE1, {}, ("RSSI",))
        return self.done(message)

    def do_Connect(self, message: Message) -> Message | bool:  # noqa: N802
        device = self._of(message)
        if device is None:
            return self._unknown(message)
        if device.pending is not None:
            return self.error(message, "InProgress", "Operation already in progress")
        self.figures["connects"] += 1
        self.figures["connects_while_scanning"] += bool(self.scanning[device.adapter])
        device.pending = message
        connecting = sum(other.pending is not None for other in self.devices.values())
        self.figures["most_connecting"] = max(self.figures["most_connecting"], connecting)
        if device.refuse_connects > 0:
            device.refuse_connects -= 1
            refusal = self.error(message, "Failed", "Connection refused (111)")
            asyncio.get_running_loop().call_later(0.02, self._answer, device, refusal)
        elif device.hang_connects > 0 or not device.audible:
            device.hang_connects = max(0, device.hang_connects - 1)
        else:
            asyncio.get_running_loop().call_later(CONNECT_TAKES_S, self._connect, device, message)
        return True

    def _answer(self, device: FakeDevice, reply: Message) -> None:
        if device.pending is not None and reply.reply_serial == device.pending.serial:
            device.pending = None
            self.bus.send(reply)

    def _connect(self, device: FakeDevice, message: Message) -> None:
        if device.pending is not message or device.adapter not in self.present:
            return
        device.connected = True
        self.changed(device.path, DEVICE1, {"Connected": True})
        self._export_services(device)
        self.changed(device.path, DEVICE1, {"ServicesResolved": True})
        self._answer(device, self.done(message))
        device.pump = asyncio.get_running_loop().create_task(self.pump(device))

    def _export_services(self, device: FakeDevice) -> None:
        wanted = [uuid for chars in device.services.values() for uuid in chars]
        if sorted(device.chars.values()) == sorted(wanted):
            return
        for path in sorted(device.chars, reverse=True):
            self.removed(path, [CHARACTERISTIC1])
        if device.chars:
            self.removed(f"{device.path}/service0010", [SERVICE1])
        device.chars = {
            f"{device.path}/service0010/char{0x11 + 3 * index:04x}": uuid
            for index, uuid in enumerate(wanted)
        }
        for path, interfaces in self._gatt(device).items():
            self.added(path, interfaces)

    def do_Disconnect(self, message: Message) -> Message | bool:  # noqa: N802
        device = self._of(message)
        if device is None:
            return self._unknown(message)
        if device.pending is not None:
            self._answer(device, self.error(device.pending, "Failed", "Operation aborted"))
        self.bus.send(self.done(message))
        self.lose_link(device)
        return True

    def do_StartNotify(self, message: Message) -> Message:  # noqa: N802
        device, uuid = self._characteristic(message)
        if device is None or uuid is None:
            return self._unknown(message)
        if device.needs_pairing and not device.paired:
            return self.error(message, "NotPermitted", "Not paired")
        device.notifying.add(message.path)
        device.sim.subscribed(uuid)
        return self.done(message)

    def do_StopNotify(self, message: Message) -> Message:  # noqa: N802
        device, uuid = self._characteristic(message)
        if device is None or uuid is None:
            return self._unknown(message)
        device.notifying.discard(message.path)
        device.sim.unsubscribed(uuid)
        return self.done(message)

    def do_WriteValue(self, message: Message) -> Message:  # noqa: N802
        device, uuid = self._characteristic(message)
        if device is None or uuid is None:
            return self._unknown(message)
        if device.needs_pairing and not device.paired:
            return self.error(message, "NotPermitted", "Not paired")
        for reply_uuid, data in device.sim.on_write(uuid, bytes(message.body[0])):
            asyncio.get_running_loop().call_soon(self.emit, device, reply_uuid, data)
        return self.done(message)

    def do_ReadValue(self, message: Message) -> Message:  # noqa: N802
        device, uuid = self._characteristic(message)
        if device is None or uuid is None:
            return self._unknown(message)
        return self.done(message, "ay", bytes(device.sim.on_read(uuid)))

    def _of(self, message: Message) -> FakeDevice | None:
        for device in self.devices.values():
            if message.path.startswith(device.path) and device.known:
                return device if device.adapter in self.present else None
        return None

    def _characteristic(self, message: Message) -> tuple[FakeDevice | None, str | None]:
        device = self._of(message)
        if device is None or not device.connected:
            return None, None
        return device, device.chars.get(message.path)

    @staticmethod
    def _unknown(message: Message) -> Message:
        name = "org.freedesktop.DBus.Error.UnknownObject"
        text = f'Method "{message.member}" on an object that is not there'
        return Message.new_error(message, name, text)

    # ------------------------------------------------------------------ commands
    async def command(self, order: dict[str, Any]) -> Any:
        """Carry out one command of the test."""
        what = order.pop("do")
        if what == "figures":
            reply = await self.bus.call(
                Message(
                    destination=DBUS,
                    path="/org/freedesktop/DBus",
                    interface=DBUS,
                    member="ListNames",
                )
            )
            unique = [name for name in reply.body[0] if name.startswith(":")]
            connected = sum(device.connected for device in self.devices.values())
            return {**self.figures, "bus_connections": len(unique), "connected": connected}
        if what in ("remove_adapter", "return_adapter", "power"):
            return getattr(self, what)(**order)
        device = self.devices[order.pop("address")]
        if what == "set":
            for key, value in order.items():
                if not hasattr(device, key):
                    raise KeyError(key)
                setattr(device, key, value)
            if not device.audible and device.connected:
                self.lose_link(device)
            if device.pending is not None and device.audible and not device.hang_connects:
                self._connect(device, device.pending)  # a Connect that waited is answered now
        elif what == "faults":
            device.sim.faults = Faults(**order)
        elif what == "drop_link":
            self.lose_link(device)
        elif what == "relink":  # a link that nobody in this world holds
            device.known = device.connected = True
            self._export_services(device)
            self.changed(device.path, DEVICE1, {"Connected": True})
        elif what == "state":
            keys = ("connected", "sample", "muted", "refuse_connects", "hang_connects")
            return {key: getattr(device, key) for key in keys} | {"streaming": device.sim.streaming}
        elif what == "reboot":
            self.lose_link(device)
            device.on = False
            device.sim.reboot()
            device.sample = 0
            loop = asyncio.get_running_loop()
            loop.call_later(order.get("off_s", 0.5), setattr, device, "on", True)
        else:
            raise KeyError(what)
        return None

    def remove_adapter(self, name: str) -> None:
        """Pull the adapter out: its objects vanish, nothing says that links ended."""
        self.present.discard(name)
        self.scanning[name].clear()
        for device in self.devices.values():
            if device.adapter == name:
                device.pending = None
                self.lose_link(device, silently=True)
                for path in sorted(device.chars, reverse=True):
                    self.removed(path, [CHARACTERISTIC1])
                if device.chars:
                    self.removed(f"{device.path}/service0010", [SERVICE1])
                device.chars = {}
                if device.known:
                    self.removed(device.path, [DEVICE1])
                device.known = False
        self.removed(f"/org/bluez/{name}", [ADAPTER1])

    def return_adapter(self, name: str) -> None:
        """Plug it in again."""
        self.present.add(name)
        self.added(f"/org/bluez/{name}", {ADAPTER1: self._adapter1(name)})

    def power(self, name: str, *, on: bool) -> None:
        """Switch an adapter on or off."""
        self.powered[name] = on
        if not on:
            self.scanning[name].clear()
            for device in self.devices.values():
                if device.adapter == name:
                    self.lose_link(device)
        self.changed(f"/org/bluez/{name}", ADAPTER1, {"Powered": on})

    async def run(self) -> None:
        """Own the name, and obey until standard input ends."""
        await self.bus.connect()
        self.bus.add_message_handler(self.on_message)
        rule = f"type='signal',interface='{DBUS}',member='NameOwnerChanged'"
        await self.bus.call(
            Message(
                destination=DBUS,
                path="/org/freedesktop/DBus",
                interface=DBUS,
                member="AddMatch",
                signature="s",
                body=[rule],
            )
        )
        await self.bus.request_name("org.bluez")
        advertising = asyncio.create_task(self.advertise())
        print(json.dumps({"ok": "ready"}), flush=True)  # noqa: T201
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            try:
                answer = {"ok": await self.command(json.loads(line))}
            except Exception as error:  # noqa: BLE001 - the test is told
                answer = {"error": repr(error)}
            print(json.dumps(answer), flush=True)  # noqa: T201
        advertising.cancel()


def main() -> None:
    """Run with the sensors and adapters of the first argument."""
    settings = json.loads(sys.argv[1])

    async def serve() -> None:  # dbus-fast makes its bus inside the running loop
        await FakeBluez(settings["sensors"], settings["adapters"]).run()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
