"""bleak's real BlueZ backend without Bluetooth: a private D-Bus, a fake org.bluez, failing sensors.

``bluez_rig`` starts a dbus-daemon of its own and ``tests/fake_bluez_daemon.py``, both as processes,
and points DBUS_SYSTEM_BUS_ADDRESS of this process to them. ``Rig.command`` makes a sensor, the
adapter or the bus misbehave. The sensors are simulations (``tests/imu_sensors.py``); no rig shows
radio loss, connection intervals or controller buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_app.contracts import StreamInfo
from edge_app.sources.ble_imu import BleImuSource
from edge_app.sources.ble_radio import Radio
from edge_app.sources.imu_protocols.protocol import ImuProtocol, ImuSettings
from tests.conftest import ROOT
from tests.imu_sensors import make_sensor

NO_DBUS = "" if shutil.which("dbus-daemon") else "dbus-daemon is not installed"
needs_dbus = pytest.mark.skipif(bool(NO_DBUS), reason=NO_DBUS or "present")


@dataclass(frozen=True)
class SensorSpec:
    """One simulated sensor of the rig.

    Args:
        sensor: name in ``tests.imu_sensors.SENSORS``.
        address: Bluetooth address.
        rate_hz: its rate before anything is asked of it; None: its usual one.
        name: advertised name; None: the simulation's own.
        adapter: which adapter hears it.
        faults: fields of ``tests.imu_sensors.Faults``.
        seed: of its motion and faults.
    """

    sensor: str = "witmotion"
    address: str = "F1:00:00:00:00:01"
    rate_hz: float | None = None
    name: str | None = None
    adapter: str = "hci0"
    faults: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


class Rig:
    """A running fake; made by ``bluez_rig``."""

    def __init__(self, folder: Path, sensors: list[SensorSpec], adapters: tuple[str, ...]) -> None:
        self.sensors = sensors
        self.bus_address = f"unix:path={folder}/bus"
        self._folder = folder
        self._settings = json.dumps(
            {"sensors": [asdict(sensor) for sensor in sensors], "adapters": list(adapters)}
        )
        self._lock = threading.Lock()
        self._bus: subprocess.Popen[bytes] | None = None
        self._fake: subprocess.Popen[str] | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers of the bus and the fake."""
        return tuple(p.pid for p in (self._bus, self._fake) if p is not None)

    def start(self) -> None:
        """Start bus and fake; returns when the fake answers."""
        self.start_bus()
        self.start_bluez()

    def start_bus(self) -> None:
        """Start the dbus-daemon."""
        config = self._folder / "bus.conf"
        config.write_text(
            "<busconfig><type>system</type>"
            f"<listen>{self.bus_address}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow send_destination="*" eavesdrop="true"/>'
            '<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>'
        )
        (self._folder / "bus").unlink(missing_ok=True)
        self._bus = subprocess.Popen(
            ["dbus-daemon", "--config-file", str(config), "--nofork", "--nopidfile"],
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 10.0
        while not (self._folder / "bus").exists():
            if time.monotonic() > deadline_s:
                raise RuntimeError("dbus-daemon did not open its socket within 10 s")
            time.sleep(0.01)

    def start_bluez(self) -> None:
        """Start the fake org.bluez."""
        self._fake = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_bluez_daemon", self._settings],
            cwd=ROOT,
            env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.bus_address),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "ready":
            raise RuntimeError("the fake org.bluez did not start")

    def stop_bluez(self) -> None:
        """End the fake org.bluez, as when bluetoothd is stopped."""
        if self._fake is not None:
            self._fake.kill()
            self._fake.wait()
            for pipe in (self._fake.stdin, self._fake.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            self._fake = None

    def stop_bus(self) -> None:
        """Kill the dbus-daemon."""
        if self._bus is not None:
            self._bus.kill()
            self._bus.wait()
            self._bus = None

    def stop(self) -> None:
        """End both."""
        self.stop_bluez()
        self.stop_bus()

    def restart(self, *, pause_s: float = 0.0) -> None:
        """Kill bus and BlueZ and start them again at the same address."""
        self.stop()
        time.sleep(pause_s)
        self.start()

    def command(self, do: str, **order: Any) -> Any:
        """Have the fake do something; see ``FakeBluez.command``.

        Commands: ``figures``; ``remove_adapter``, ``return_adapter``, ``power`` (name, on); and of
        one sensor (address): ``drop_link``, ``reboot`` (off_s), ``state``, ``faults`` (fields of
        Faults), ``set`` (muted, mute_stays, refuse_connects, hang_connects, in_range, wrong_table,
        needs_pairing, paired, drop_fraction, hold_s).
        """
        with self._lock:
            if self._fake is None or self._fake.stdin is None:
                raise RuntimeError("the fake org.bluez does not run")
            self._fake.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self._fake.stdin.flush()
            return self._answer()

    def _answer(self) -> Any:
        assert self._fake is not None
        assert self._fake.stdout is not None
        line = self._fake.stdout.readline()
        answer = json.loads(line) if line else {"error": "the fake org.bluez has ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]


@contextlib.contextmanager
def bluez_rig(sensors: list[SensorSpec], *, adapters: tuple[str, ...] = ("hci0",)) -> Iterator[Rig]:
    """Run a fake BlueZ with these sensors, and have this process use it.

    Args:
        sensors: what is in reach.
        adapters: names of the adapters.

    Yields:
        The running rig.
    """
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), sensors, adapters)
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = rig.bus_address
        try:
            rig.start()
            yield rig
        finally:
            rig.stop()
            if before is None:
                del os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
            else:
                os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before


class Bluez:
    """What a test gets: rigs, a radio and sources on it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._radio: Radio | None = None

    def rig(self, *sensors: SensorSpec, adapters: tuple[str, ...] = ("hci0",)) -> Rig:
        """Start a rig that ends with the test."""
        return self._stack.enter_context(bluez_rig(list(sensors), adapters=adapters))

    @property
    def radio(self) -> Radio:
        """A radio that ends with the test, before its rig."""
        if self._radio is None:
            self._radio = Radio()
            self._stack.callback(self._radio.close)
        return self._radio

    def source(self, spec: SensorSpec, **settings: Any) -> BleImuSource:
        """A closed source of one sensor of the rig."""
        return ble_source(spec, radio=self.radio, **settings)


def ble_source(spec: SensorSpec, **settings: Any) -> BleImuSource:
    """Return a closed source of a sensor of a rig, found by its address."""

    def protocol() -> ImuProtocol:
        return make_sensor(spec.sensor).protocol()

    given = {"name": spec.address, "address": spec.address, "protocol": protocol, **settings}
    return BleImuSource(**given)


class RiggedBleSource(BleImuSource):
    """A Bluetooth source that brings its own rig with one sensor, simulated, while it is open.

    Args:
        in_range: whether the sensor is there; may be changed before the next ``open``.
    """

    def __init__(self, *, in_range: bool = True) -> None:
        self.in_range = in_range
        self._spec = SensorSpec("witmotion", "F1:00:00:00:00:01", 200.0)
        self._running = contextlib.ExitStack()
        super().__init__(
            name="ble",
            protocol=make_sensor("witmotion").protocol,
            address=self._spec.address,
            settings=ImuSettings(rate_hz=200.0),
            scan_timeout_s=5.0 if in_range else 0.5,
        )

    async def open(self) -> StreamInfo:
        """Start the rig, then open the sensor."""
        await self.close()
        await asyncio.to_thread(self._start)
        try:
            return await super().open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the sensor, then end the rig."""
        if self._radio is not None:
            await super().close()
            self._radio = None
            await asyncio.to_thread(self._running.close)

    def _start(self) -> None:
        rig = self._running.enter_context(bluez_rig([self._spec]))
        rig.command("set", address=self._spec.address, in_range=self.in_range)
        self._radio = Radio()
        self._running.callback(self._radio.close)


@pytest.fixture
def bluez() -> Iterator[Bluez]:
    """Rigs, a radio and sources; all ended with the test."""
    if NO_DBUS:
        pytest.skip(NO_DBUS)
    with contextlib.ExitStack() as stack:
        yield Bluez(stack)


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Return as soon as ``condition`` holds."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)
