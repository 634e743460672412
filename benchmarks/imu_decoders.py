"""How many packets of each IMU protocol one core decodes, and decodes, orders and stamps.

    python benchmarks/imu_decoders.py
    python benchmarks/imu_decoders.py --fuzz 1000000

Packets are those of the simulated sensors in tests/imu_sensors.py. With ``--fuzz``, so many random
and mutated packets a protocol are fed instead; an exception other than a counted PacketError, a
sample that is not finite or time that does not rise ends it with a traceback.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the rigs of the tests

from edge_app.sources.imu_assembler import ImuAssembler
from edge_app.sources.imu_protocols.protocol import ImuProtocol, ImuSetup
from tests.imu_fuzz import fuzz, started
from tests.imu_sensors import SENSORS, Packet, make_sensor


def recorded(name: str, n_packets: int) -> tuple[ImuProtocol, ImuSetup, list[tuple[Packet, float]]]:
    """Return packets of one sensor with their arrivals, a constant delay after the last sample."""
    sensor = make_sensor(name)
    protocol, setup = started(sensor)
    packets: list[tuple[Packet, float]] = []
    k = 0
    while len(packets) < n_packets:
        packets += [(packet, 100.0 + k / setup.rate_hz) for packet in sensor.packets(k)]
        k += 1
    return protocol, setup, packets


def speed(name: str, n_packets: int) -> tuple[float, float]:
    """Return packets a second: decoding alone, and the whole way to chunks. The best of three."""
    protocol, setup, packets = recorded(name, n_packets)
    decoding_s, whole_s = [], []
    for _ in range(3):
        decoder = protocol.decoder(setup)
        began_s = time.perf_counter()
        for (uuid, data), _ in packets:
            decoder.feed(uuid, data)
        decoding_s.append(time.perf_counter() - began_s)
        assembler = ImuAssembler(protocol, setup, name)
        began_s = time.perf_counter()
        for (uuid, data), arrival_s in packets:
            assembler.feed(uuid, data, arrival_s)
        whole_s.append(time.perf_counter() - began_s)
        if assembler.counters.bad_packets:
            raise SystemExit(f"{name}: {assembler.counters.bad_packets} packets were refused")
    return len(packets) / min(decoding_s), len(packets) / min(whole_s)


def main() -> None:
    """Parse the command line, run, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=50_000, help="a protocol")
    parser.add_argument("--fuzz", type=int, default=0, help="random packets a protocol")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sensors", nargs="+", default=SENSORS, choices=SENSORS)
    given = parser.parse_args()
    for name in given.sensors:
        if not given.fuzz:
            decoding, whole = speed(name, given.packets)
            print(
                f"{name:18s} decode {decoding:9,.0f}/s, decode + stamp {whole:8,.0f}/s", flush=True
            )
            continue
        began_s = time.perf_counter()
        result = fuzz(
            name,
            given.fuzz,
            given.seed,
            lambda k, name=name: print(f"  {name} {k:,}", file=sys.stderr, flush=True),
        )
        memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:18s} {result.packets:,} packets in {time.perf_counter() - began_s:.0f} s: "
            f"no exception; slowest {1e3 * result.slowest_s:.1f} ms, decoder kept at most "
            f"{result.held_bytes} bytes, process at most {memory_mib:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
