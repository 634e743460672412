"""A wearable IMU over Bluetooth low energy: found, started, watched; given up when it is silent.

The source's object lives for one connection: a link that breaks, and one that BlueZ calls connected
while nothing comes, raise ``SourceLostError``, and the supervisor opens a new source. Connecting,
and whatever else is Bluetooth, happens in the loop of the ``Radio``, which outlives the source;
decoding happens here, a few packets at a time.

The watchdog looks at samples, not at the link: silence is told after ``warn_after_s`` and ends the
link after ``lost_after_s`` (https://github.com/Bluetooth-Devices/bleak-retry-connector/issues/228).

Sensors that must be paired (Polar Verity Sense, some Movesense) are paired once, by hand, for the
dialogue may want a person: ``bluetoothctl``, then ``scan on``, ``pair ADDRESS``, ``trust ADDRESS``.
A sensor that refuses because it is not paired says so in its error.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from edge_app.contracts import Chunk, Overflow, StreamInfo
from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.ble_adapter import Sighting
from edge_app.sources.ble_battery import BatteryWatch
from edge_app.sources.ble_bluez import is_linked
from edge_app.sources.ble_errors import bluetooth_error
from edge_app.sources.ble_find import WantedSensor, find_sensor
from edge_app.sources.ble_link import BleLink, Packet
from edge_app.sources.ble_loop import ended
from edge_app.sources.ble_radio import Radio, shared_radio
from edge_app.sources.imu_assembler import ImuAssembler
from edge_app.sources.imu_protocols.protocol import ImuProtocol, ImuSettings
from edge_app.sources.protocol import Source

DRAIN_EVERY_S = 0.04
"""How often the queue is emptied: about one connection interval."""
TELL_AFTER_S = 1.0
"""A search that lasts longer is told."""
FIGURES_EVERY_S = 1.0
STOP_WITHIN_S = 0.3
CLOSE_WITHIN_S = 0.7
"""How long ``close`` waits; the radio goes on disconnecting by itself."""


@dataclass(frozen=True, slots=True)
class _Session:
    """One connection."""

    protocol: ImuProtocol
    sighting: Sighting
    link: BleLink
    assembler: ImuAssembler
    info: StreamInfo


class BleImuSource(Source):
    """One IMU over Bluetooth.

    Args:
        name: the stream's name in this program.
        protocol: makes the sensor family's protocol; a fresh one is made for each connection.
        address: Bluetooth address, the surest way to name a sensor; None: by ``sensor_name``.
        sensor_name: the name it advertises; None: the only sensor in reach of this protocol.
        adapter: such as ``hci0``; None: the first that is switched on.
        settings: rate and ranges to ask for.
        scan_timeout_s: how long to look for the sensor.
        connect_timeout_s: how long to try to connect, and again how long to start it.
        warn_after_s: silence that is told.
        lost_after_s: silence that ends the link.
        queue_packets: packets that wait for a slow reader; more are dropped, counted, and leave a
            gap in the stamps.
        radio: the Bluetooth to use; None: the one of this process.
    """

    overflow = Overflow.BLOCK

    def __init__(
        self,
        *,
        name: str,
        protocol: Callable[[], ImuProtocol],
        address: str | None = None,
        sensor_name: str | None = None,
        adapter: str | None = None,
        settings: ImuSettings | None = None,
        scan_timeout_s: float = 10.0,
        connect_timeout_s: float = 10.0,
        warn_after_s: float = 1.0,
        lost_after_s: float = 3.0,
        queue_packets: int = 4096,
        radio: Radio | None = None,
    ) -> None:
        self._name = name
        self._protocol = protocol
        self._wanted = WantedSensor(
            address=None if address is None else address.upper(),
            name=sensor_name,
            adapter=adapter,
        )
        self._settings = settings or ImuSettings()
        self._scan_timeout_s = scan_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._warn_after_s = warn_after_s
        self._lost_after_s = lost_after_s
        self._queue_packets = queue_packets
        self._radio = radio
        self._session: _Session | None = None
        self._linked: Future[bool] | None = None  # BlueZ's answer, asked for in a silence

    async def open(self) -> StreamInfo:
        """Find the sensor, connect, start it and describe the stream.

        Returns:
            What the started sensor really sends.

        Raises:
            SourceNotFoundError: no sensor, no adapter, no BlueZ, no D-Bus.
            SourceError: several sensors, another protocol, not paired, a rate it cannot do.
        """
        await self._disconnect()
        radio = self._radio = self._radio or shared_radio()
        self.dropped, self._linked = 0, None
        late = asyncio.get_running_loop().call_later(
            TELL_AFTER_S, self.tell_trouble, "the sensor is being looked for"
        )
        try:
            self._session = await radio.run(
                self._connect(radio), drop=lambda session: _end(radio, session)
            )
        finally:
            late.cancel()
        self.assumptions = self._session.assembler.assumptions
        self.tell_trouble("")
        return self._session.info

    async def close(self) -> None:
        """Tell the sensor to stop and disconnect; may be called twice."""
        await self._disconnect()

    async def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is None or self._radio is None:
            return
        closing = self._radio.start(_end(self._radio, session))
        with contextlib.suppress(asyncio.TimeoutError):  # it goes on in the radio's loop
            await asyncio.wait_for(ended(closing), CLOSE_WITHIN_S)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield samples as they come, some packets at a time.

        Raises:
            SourceLostError: the link broke, or nothing came for ``lost_after_s``.
        """
        session, radio = self._session, self._radio
        if session is None or radio is None:
            return
        sample_s = told_s = time.monotonic()
        battery = BatteryWatch(radio, session.protocol, session.link)
        while session is self._session:
            lost = session.link.lost  # before the queue is emptied: what came first is delivered
            for chunk in _chunks(session.assembler, session.link.take()):
                yield chunk
                sample_s = time.monotonic()
            if session is not self._session:
                return
            if lost:
                raise self._lost(lost)
            now_s = time.monotonic()
            self._watch(radio, session, now_s - sample_s, now_s)
            if now_s - told_s >= FIGURES_EVERY_S:
                told_s = now_s
                self._count(session, battery.percent(now_s))
            await asyncio.sleep(DRAIN_EVERY_S)

    def _watch(self, radio: Radio, session: _Session, silence_s: float, now_s: float) -> None:
        """Tell what is wrong; raise when the link is of no use any more."""
        trouble = session.assembler.trouble(now_s)
        if silence_s >= self._lost_after_s:
            if trouble:  # it sends, but nothing that can be used
                raise SourceError(
                    trouble,
                    source=self._name,
                    next_step="Correct `protocol`, or what `sensor` says of its packets",
                )
            raise self._lost(
                f"no samples for {self._lost_after_s:g} s, though the link looks connected"
            )
        if silence_s >= self._warn_after_s:
            trouble = trouble or f"no samples for {self._warn_after_s:g} s"
            self._linked = self._linked or radio.start(is_linked(session.sighting))
            if self._linked.done() and not self._linked.result():
                raise self._lost("BlueZ does not know of the link any more")
        else:
            self._linked = None
            if session.link.dropped_packets > self.dropped:
                trouble = trouble or "packets are dropped, the program is too slow"
        self.tell_trouble(trouble)

    def _count(self, session: _Session, battery_percent: float | None) -> None:
        self.dropped = session.link.dropped_packets
        self.assumptions = session.assembler.assumptions
        figures = [*session.assembler.counters.figures(), ("dropped_packets", float(self.dropped))]
        for name, value in (
            ("battery_percent", battery_percent),
            ("rssi_dbm", session.sighting.advertised.rssi_dbm),
        ):
            if value is not None:
                figures.append((name, float(value)))
        self.figures = tuple(figures)

    def _lost(self, problem: str) -> SourceLostError:
        return SourceLostError(
            problem,
            source=self._name,
            next_step="Check the sensor's battery and distance; it is being looked for again",
        )

    # What follows runs in the radio's loop.

    async def _connect(self, radio: Radio) -> _Session:
        protocol = self._protocol()
        sighting = await find_sensor(
            radio, self._wanted, protocol, timeout_s=self._scan_timeout_s, source=self._name
        )
        link = await radio.connect(
            sighting,
            timeout_s=self._connect_timeout_s,
            source=self._name,
            queue_packets=self._queue_packets,
        )
        try:
            setup = await asyncio.wait_for(
                protocol.start(link, self._settings), self._connect_timeout_s
            )
            assembler = ImuAssembler(protocol, setup, self._name)
            advertised = sighting.advertised
            named = f" {advertised.name!r}" if advertised.name else ""
            info = assembler.info(device=f"{protocol.title}{named} {advertised.address}")
        except BaseException as error:
            await radio.release(sighting.advertised.address, link)
            if isinstance(error, Exception) and not isinstance(error, SourceError):
                raise bluetooth_error(error, source=self._name) from error
            raise
        return _Session(protocol, sighting, link, assembler, info)


def _chunks(assembler: ImuAssembler, packets: list[Packet]) -> Iterator[Chunk]:
    """Decode packets and join what they give to one chunk."""
    made = [assembler.feed(packet.uuid, packet.data, packet.arrived_s) for packet in packets]
    chunks = [chunk for chunk in made if chunk is not None and chunk.times_s.size]
    if len(chunks) == 1:
        yield chunks[0]
    elif chunks:
        yield Chunk(
            np.concatenate([chunk.times_s for chunk in chunks]),
            np.concatenate([chunk.samples for chunk in chunks]),
        )


async def _end(radio: Radio, session: _Session) -> None:
    """Stop the sensor if it is still there, and disconnect."""
    if not session.link.lost:
        with contextlib.suppress(Exception):  # it is being left anyway
            await asyncio.wait_for(session.protocol.stop(session.link), STOP_WITHIN_S)
    await radio.release(session.sighting.advertised.address, session.link)
