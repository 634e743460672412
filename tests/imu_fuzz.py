"""Random and mutated packets for the IMU decoders, seeded, with what came of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_app.sources.imu_assembler import ImuAssembler
from edge_app.sources.imu_protocols.protocol import ImuProtocol, ImuSettings, ImuSetup
from tests.imu_sensors import MovesenseSensor, Packet, ScriptedLink, Sensor, make_sensor

LONGEST_BYTES = 300
LARGEST_MPS2_OR_RADPS = 1e30  # a generic sensor's float32 may be anything finite


@dataclass
class FuzzResult:
    """What came of it.

    Attributes:
        packets: fed.
        bad: refused as PacketError.
        samples: delivered.
        slowest_s: longest time for one packet.
        held_bytes: most bytes that the decoder kept between two packets.
    """

    packets: int = 0
    bad: int = 0
    samples: int = 0
    slowest_s: float = 0.0
    held_bytes: int = 0


def started(sensor: Sensor) -> tuple[ImuProtocol, ImuSetup]:
    """Run the start script against a simulated sensor."""
    protocol = sensor.protocol()
    return protocol, asyncio.run(protocol.start(ScriptedLink(sensor), ImuSettings()))


def valid_packets(sensor: Sensor, n_samples: int = 2000) -> list[Packet]:
    """Return what a started sensor sends for its first samples."""
    return [packet for k in range(n_samples) for packet in sensor.packets(k)]


def mutate(draw: random.Random, pool: list[Packet]) -> bytes:
    """Return a packet: as it should be, spoilt in some way, or random."""
    way = draw.randrange(8)
    data = pool[draw.randrange(len(pool))][1]
    if way == 0:
        return data
    if way == 1:
        return draw.randbytes(draw.randrange(LONGEST_BYTES))
    if way == 2:
        return draw.randbytes(len(data))
    if way == 3:
        return data[: draw.randrange(len(data))]
    if way == 4:
        return data + pool[draw.randrange(len(pool))][1][: draw.randrange(1, 40)]
    if way == 5:
        return data[draw.randrange(len(data)) :]
    spoilt = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(spoilt))
        if way == 6:
            spoilt[at] = draw.randrange(256)
        else:
            spoilt[at] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


def fuzz(
    name: str, n_packets: int, seed: int = 0, progress: Callable[[int], None] | None = None
) -> FuzzResult:
    """Feed packets to one sensor's decoder and assembler; whatever is not told as bad must be sane.

    Raises:
        AssertionError: a chunk with a sample that is not finite, or time that does not rise.
    """
    draw = random.Random(f"{name}{seed}")  # noqa: S311 - not for secrets
    sensor = make_sensor(name, seed=seed)
    protocol, setup = started(sensor)
    pool = valid_packets(sensor)
    if isinstance(sensor, MovesenseSensor):  # whole packets beside those in two parts
        sensor.part_bytes = LONGEST_BYTES
        pool += valid_packets(sensor)
    uuid = protocol.notify_uuids[0]
    assembler = ImuAssembler(protocol, setup, name)
    result = FuzzResult()
    arrival_s, newest_s = 0.0, -np.inf
    for k in range(n_packets):
        data = mutate(draw, pool)
        arrival_s += draw.random() * 2.0 / setup.rate_hz
        before_s = time.perf_counter()
        chunk = assembler.feed(uuid, data, arrival_s)
        result.slowest_s = max(result.slowest_s, time.perf_counter() - before_s)
        if chunk is not None:
            assert chunk.times_s[0] > newest_s, f"time runs back at packet {k}"
            assert (np.diff(chunk.times_s) > 0).all(), f"time stands still at packet {k}"
            assert np.isfinite(chunk.samples).all(), f"not finite at packet {k}"
            newest_s = float(chunk.times_s[-1])
        if k % 1000 == 0:
            assembler.trouble(arrival_s)
            kept = [v for v in vars(assembler._decoder).values() if isinstance(v, bytes)]
            result.held_bytes = max(result.held_bytes, sum(map(len, kept)))
            if k % 100_000 == 0 and progress is not None:
                progress(k)
            if k % 20_000 == 0:  # a link is made anew now and then, or one state is all there is
                assembler = ImuAssembler(protocol, setup, name)
                newest_s = -np.inf
        result.packets += 1
    result.bad = assembler.counters.bad_packets
    result.samples = assembler.samples
    return result
