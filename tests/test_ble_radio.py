"""The radio that all Bluetooth sources share: one at a time, no leaks, every error a sentence."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
    BleakGATTProtocolError,
)

from edge_app.errors import SourceError, SourceLostError, SourceNotFoundError
from edge_app.sources.ble_errors import bluetooth_error
from edge_app.sources.ble_imu import BleImuSource
from edge_app.sources.ble_radio import find_ble_sensors, shared_radio
from tests.ble_feed import Feed
from tests.fake_bluez import (
    Bluez,
    SensorSpec,
    ble_source,
    bluez,  # noqa: F401 - the fixture
    needs_dbus,
    wait_until,
)

REASON = BleakBluetoothNotAvailableReason
FOOT = SensorSpec("movella_dot", "D4:22:CD:00:00:01")


def specs(n: int, *, adapters: tuple[str, ...] = ("hci0",)) -> list[SensorSpec]:
    return [
        SensorSpec("witmotion", f"F1:00:00:00:00:{k:02X}", adapter=adapters[k % len(adapters)])
        for k in range(n)
    ]


@pytest.mark.parametrize(
    ("error", "kind", "problem", "mends"),
    [
        (FileNotFoundError("bus"), SourceNotFoundError, "D-Bus", "systemctl start dbus"),
        (ConnectionRefusedError(), SourceNotFoundError, "D-Bus", "systemctl start dbus"),
        (EOFError(), SourceNotFoundError, "D-Bus", "systemctl start dbus"),
        (PermissionError("bus"), SourceError, "may not use D-Bus", "usermod -aG bluetooth"),
        (
            BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", ["org.bluez was not"]),
            SourceNotFoundError,
            "BlueZ does not run",
            "apt-get install bluez",
        ),
        (
            BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["Rejected send message"]),
            SourceError,
            "may not use Bluetooth",
            "usermod -aG bluetooth",
        ),
        (
            BleakError("adapter 'hci7' not found"),
            SourceNotFoundError,
            "adapter",
            "bluetoothctl list",
        ),
        (
            BleakBluetoothNotAvailableError("No Bluetooth adapters found.", REASON.NO_BLUETOOTH),
            SourceNotFoundError,
            "adapter",
            "bluetoothctl list",
        ),
        (
            BleakBluetoothNotAvailableError("off", REASON.POWERED_OFF),
            SourceNotFoundError,
            "switched off",
            "rfkill unblock bluetooth",
        ),
        (
            BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]),
            SourceNotFoundError,
            "switched off",
            "bluetoothctl power on",
        ),
        (BleakGATTProtocolError(0x05), SourceError, "paired", "bluetoothctl"),
        (BleakGATTProtocolError(0x0F), SourceError, "paired", "trust ADDRESS"),
        (
            BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"]),
            SourceError,
            "paired",
            "pair ADDRESS",
        ),
        (asyncio.TimeoutError(), SourceNotFoundError, "did not answer in time", "near"),
        (
            BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]),
            SourceNotFoundError,
            "could not be reached",
            "near",
        ),
    ],
)
def test_every_error_of_bluetooth_says_what_mends_it(
    error: Exception, kind: type[SourceError], problem: str, mends: str
) -> None:
    made = bluetooth_error(error, source="foot")
    assert type(made) is kind
    assert problem in made.problem
    assert mends in made.next_step
    assert made.source == "foot"


def test_an_error_that_is_ours_already_stays_as_it_is() -> None:
    ours = SourceLostError("gone", source="foot", next_step="wait")
    assert bluetooth_error(ours, source="other") is ours


def test_the_reason_is_found_behind_the_error_of_a_retry() -> None:
    error = BleakError("Failed to connect after 2 attempt(s)")
    error.__cause__ = BleakDBusError("org.bluez.Error.AuthenticationFailed", ["no"])
    assert "paired" in bluetooth_error(error, source="foot").problem


def test_what_is_relied_on_in_bleak_is_there() -> None:
    """Private names and signatures; a new bleak that moves them fails here first."""
    from bleak.backends.bluezdbus import defs, manager
    from bleak_retry_connector import close_stale_connections_by_address, establish_connection

    assert isinstance(manager._global_instances, dict)
    assert inspect.iscoroutinefunction(manager.get_global_bluez_manager)
    assert inspect.iscoroutinefunction(close_stale_connections_by_address)
    made = asyncio.run(_manager_of_a_loop(manager.BlueZManager))
    assert {"_bus"} <= vars(made).keys()
    assert callable(made.is_connected)
    assert callable(made.get_default_adapter)
    assert (defs.BLUEZ_SERVICE, defs.DEVICE_INTERFACE) == ("org.bluez", "org.bluez.Device1")
    options = inspect.signature(establish_connection).parameters
    assert {"max_attempts", "use_services_cache", "disconnected_callback"} <= options.keys()


async def _manager_of_a_loop(make: Callable[[], object]) -> object:
    return make()


def test_without_d_bus_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(SourceNotFoundError, match="D-Bus"):
        find_ble_sensors(0.2)


@pytest.mark.bluez
@needs_dbus
class TestRadio:
    def test_what_advertises_is_listed(self, bluez: Bluez) -> None:  # noqa: F811
        bluez.rig(*specs(3), FOOT)
        found = find_ble_sensors(0.6)
        assert {one.address for one in found} == {s.address for s in specs(3)} | {FOOT.address}
        assert {one.name for one in found} == {"WT901BLE67", "Movella DOT"}
        strengths = [one.rssi_dbm for one in found]
        assert strengths == sorted(strengths, reverse=True)
        foot = next(one for one in found if one.address == FOOT.address)
        assert foot.manufacturer_ids == (0x0886,)

    def test_no_adapter_and_a_wrong_one(self, bluez: Bluez) -> None:  # noqa: F811
        rig = bluez.rig(FOOT)
        with pytest.raises(SourceNotFoundError, match="no such Bluetooth adapter"):
            find_ble_sensors(0.2, adapter="hci7")
        rig.command("remove_adapter", name="hci0")
        with pytest.raises(SourceNotFoundError, match="no such Bluetooth adapter"):
            find_ble_sensors(0.2)

    def test_sensors_are_connected_one_at_a_time_and_never_while_scanning(
        self,
        bluez: Bluez,  # noqa: F811
    ) -> None:
        """Eight at once, half of them by the adapter's name: it is one adapter all the same."""
        sensors = specs(8)
        rig, radio = bluez.rig(*sensors), bluez.radio

        async def open_all() -> None:
            sources = [
                ble_source(spec, radio=radio, adapter="hci0" if k % 2 else None)
                for k, spec in enumerate(sensors)
            ]
            await asyncio.gather(*(source.open() for source in sources))
            await asyncio.gather(*(source.close() for source in sources))

        asyncio.run(open_all())
        figures = rig.command("figures")
        assert (figures["connects"], figures["connected"]) == (8, 0)
        assert figures["most_connecting"] == 1
        assert figures["connects_while_scanning"] == 0

    def test_two_adapters_do_not_wait_for_each_other(self, bluez: Bluez) -> None:  # noqa: F811
        left, right = specs(2, adapters=("hci0", "hci1"))
        rig, radio = bluez.rig(left, right, adapters=("hci0", "hci1")), bluez.radio
        rig.command("set", address=left.address, hang_connects=1000)
        with (
            Feed(lambda: ble_source(left, radio=radio, adapter="hci0")) as hanging,
            Feed(lambda: ble_source(right, radio=radio, adapter="hci1")) as well,
        ):
            wait_until(lambda: well.came_since(0.0) > 30)
            assert hanging.came_since(0.0) == 0

    def test_nothing_leaks_over_reconnects(self, bluez: Bluez) -> None:  # noqa: F811
        sensors = specs(2)
        rig, radio = bluez.rig(*sensors), bluez.radio
        held: list[tuple[int, int]] = []
        feeds = [Feed(lambda spec=spec: ble_source(spec, radio=radio)) for spec in sensors]
        with feeds[0], feeds[1]:
            for _ in range(4):
                counts = [len(feed.chunks) for feed in feeds]
                wait_until(
                    lambda counts=counts: all(
                        len(feed.chunks) > n + 3 for feed, n in zip(feeds, counts, strict=True)
                    )
                )
                held.append(
                    (
                        len(list(Path("/proc/self/fd").iterdir())),
                        rig.command("figures")["bus_connections"],
                    )
                )
                for spec in sensors:
                    rig.command("drop_link", address=spec.address)
        assert held[1:] == [held[1]] * 3
        assert held[1][1] == 2 + 2  # the fake, the radio, one a link
        wait_until(lambda: rig.command("figures")["bus_connections"] == 2)

    def test_an_opening_that_is_cancelled_leaves_no_link(self, bluez: Bluez) -> None:  # noqa: F811
        """At whatever moment it is cancelled; and the sensor can be opened afterwards."""
        rig, radio = bluez.rig(FOOT), bluez.radio

        async def cancel_after(delay_s: float) -> None:
            source = ble_source(FOOT, radio=radio)
            opening = asyncio.ensure_future(source.open())
            await asyncio.sleep(delay_s)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            await source.close()

        for k in range(14):
            asyncio.run(cancel_after(0.03 * k))
        wait_until(lambda: rig.command("figures")["connected"] == 0)
        wait_until(lambda: rig.command("figures")["bus_connections"] == 2)
        with Feed(lambda: ble_source(FOOT, radio=radio)) as feed:
            wait_until(lambda: feed.came_since(0.0) > 10)
        assert feed.errors == []

    def test_closing_stops_the_sensor_and_ends_the_link(self, bluez: Bluez) -> None:  # noqa: F811
        rig, radio = bluez.rig(FOOT), bluez.radio
        with Feed(lambda: ble_source(FOOT, radio=radio)) as feed:
            wait_until(lambda: feed.came_since(0.0) > 10)
            assert rig.command("state", address=FOOT.address)["streaming"]
        wait_until(lambda: rig.command("figures")["connected"] == 0)
        assert not rig.command("state", address=FOOT.address)["streaming"]

    def test_figures_tell_battery_and_signal(self, bluez: Bluez) -> None:  # noqa: F811
        bluez.rig(FOOT)
        radio = bluez.radio
        with Feed(lambda: ble_source(FOOT, radio=radio)) as feed:
            source = feed.source
            wait_until(
                lambda: "battery_percent" in dict(feed.source.figures if feed.source else ())
            )
            source = feed.source
        assert isinstance(source, BleImuSource)
        figures = dict(source.figures)
        assert figures["battery_percent"] == 87.0
        assert -80 < figures["rssi_dbm"] < -40
        assert figures["dropped_packets"] == 0.0


def test_the_process_has_one_radio() -> None:
    assert shared_radio() is shared_radio()
