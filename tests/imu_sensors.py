# ruff: noqa: ARG002 - the doubles keep the signatures of what they stand in for
"""Simulated Bluetooth inertial sensors, byte for byte, without a radio.

Each behaves like one vendor's sensor: what it advertises, its characteristics, what it answers to
writes and reads, and the packets it sends for a known motion. No person stands behind the motion:
five sines and gravity, so that any sample can be told from its neighbours. Transports (a fake
BlueZ, a scripted link) host them.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edge_app.errors import SourceError
from edge_app.sources.imu_protocols import (
    metamotion,
    movella_dot,
    movesense,
    pmd_control,
    pmd_frame,
    polar,
    sensortag,
    thingy52,
    witmotion,
)
from edge_app.sources.imu_protocols.generic import (
    GenericImu,
    StructCounter,
    StructField,
    StructLayout,
    StructTime,
    StructWrite,
)
from edge_app.sources.imu_protocols.protocol import Advertised, ImuProtocol
from edge_app.sources.imu_protocols.registry import make_protocol

G_MPS2 = 9.80665
Packet = tuple[str, bytes]
NOTIFY = frozenset({"notify"})
WRITE = frozenset({"write", "write-without-response"})
READ = frozenset({"read"})
READ_WRITE = frozenset({"read", "write"})
BATTERY_UUID = "00002a19-0000-1000-8000-00805f9b34fb"
BATTERY_SERVICE_UUID = "0000180f-0000-1000-8000-00805f9b34fb"


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way, as shares of packets (seeded), and clocks that misbehave.

    Args:
        drop: lost.
        truncate: cut off at a random byte.
        merge: sent together with the next one in one notification.
        split: sent as two notifications.
        repeat: sent twice.
        reorder: changes places with the next one.
        reboot_at: sample at which clock and counter begin at 0 again while the stream goes on.
        wrap_soon: the clock wraps within the first seconds.
        clock_stuck: the device clock does not advance.
        drift_ppm: the device clock is this much faster than the host's.
    """

    drop: float = 0.0
    truncate: float = 0.0
    merge: float = 0.0
    split: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    reboot_at: int | None = None
    wrap_soon: bool = False
    clock_stuck: bool = False
    drift_ppm: float = 0.0


def motion(t_s: float) -> np.ndarray:
    """Return (6,) float64: acceleration in m/s^2 and rotation in rad/s, simulated."""
    swing = 2.0 * math.pi * t_s
    return np.array(
        [
            3.0 * math.sin(0.9 * swing),
            2.0 * math.cos(0.7 * swing),
            G_MPS2 + 1.5 * math.sin(1.1 * swing),
            2.0 * math.sin(0.8 * swing),
            1.0 * math.cos(0.5 * swing),
            0.5 * math.sin(0.3 * swing),
        ]
    )


class Sensor:
    """What all simulated sensors share; see the module's docstring.

    Attributes:
        protocol_name: the protocol that speaks to it.
        name: advertised local name.
        service_uuids: advertised services; the first holds the characteristics.
        manufacturer_ids: company identifiers.
        characteristics: UUID to flags.
        streaming: True after the start commands.
        writes: all writes, oldest first.
    """

    protocol_name = ""
    name = ""
    service_uuids: tuple[str, ...] = ()
    manufacturer_ids: tuple[int, ...] = ()
    clock_wrap_ticks = 0
    tick_s = 0.0

    def __init__(self, rate_hz: float, faults: Faults | None = None, seed: int = 0) -> None:
        self.rate_hz = rate_hz
        self.faults = faults or Faults()
        self.streaming = False
        self.writes: list[Packet] = []
        self.characteristics: dict[str, frozenset[str]] = {}
        self._values: dict[str, bytes] = {}
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._waiting: tuple[str, Packet] | None = None  # what a fault holds back

    # ---- what a transport calls
    def advertised(self, address: str = "F1:00:00:00:00:01") -> Advertised:
        return Advertised(address, self.name, self.service_uuids, self.manufacturer_ids, -60)

    def protocol(self) -> ImuProtocol:
        return make_protocol(self.protocol_name)

    def on_write(self, uuid: str, data: bytes) -> list[Packet]:
        self.writes.append((uuid, bytes(data)))
        return self.answer(uuid, bytes(data))

    def on_read(self, uuid: str) -> bytes:
        return self._values.get(uuid, b"")

    def subscribed(self, uuid: str) -> None:
        """Notifications of a characteristic were enabled."""

    def unsubscribed(self, uuid: str) -> None:
        """Notifications of a characteristic were disabled."""

    def disconnected(self) -> None:
        self.streaming = False
        self._waiting = None

    def reboot(self) -> None:
        self.disconnected()

    def truth(self, k: int) -> np.ndarray:
        return motion(k / self.rate_hz)

    def packets(self, k: int) -> list[Packet]:
        """Return what is notified when sample k has been taken."""
        if not self.streaming:
            return []
        faults, chance = self.faults, self._random.random
        out: list[Packet] = []
        for uuid, data in self.encode(k):
            if chance() < faults.drop:
                continue
            if chance() < faults.truncate and len(data) > 1:
                out.append((uuid, data[: self._random.randrange(1, len(data))]))
            elif chance() < faults.split and len(data) > 1:
                at = self._random.randrange(1, len(data))
                out += [(uuid, data[:at]), (uuid, data[at:])]
            elif chance() < faults.repeat:
                out += [(uuid, data), (uuid, data)]
            else:
                out.append((uuid, data))
        return self._hold_back(out)

    def _hold_back(self, packets: list[Packet]) -> list[Packet]:
        """Merge or swap neighbours; one packet may wait for the next call."""
        out: list[Packet] = []
        for packet in packets:
            if self._waiting is not None:
                kind, held = self._waiting
                self._waiting = None
                if kind == "merge" and held[0] == packet[0]:
                    out.append((held[0], held[1] + packet[1]))
                elif kind == "merge":
                    out += [held, packet]
                else:
                    out += [packet, held]
            elif self._random.random() < self.faults.merge:
                self._waiting = ("merge", packet)
            elif self._random.random() < self.faults.reorder:
                self._waiting = ("reorder", packet)
            else:
                out.append(packet)
        return out

    # ---- what each sensor says
    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        self._values[uuid] = data
        return []

    def encode(self, k: int) -> list[Packet]:
        raise NotImplementedError

    def ticks(self, k: int, *, wraps: bool = True) -> int:
        """Return the device clock at sample k."""
        faults = self.faults
        if faults.clock_stuck:
            return 1234
        since = k - faults.reboot_at if faults.reboot_at and k >= faults.reboot_at else k
        rebooted = since != k
        start_s = 0.0 if rebooted else 100.0
        elapsed_s = since / self.rate_hz * (1.0 + 1e-6 * faults.drift_ppm)
        if faults.wrap_soon and not rebooted:
            start_s = (self.clock_wrap_ticks - 1) * self.tick_s - 3.0
        ticks = round((start_s + elapsed_s) / self.tick_s)
        return ticks % self.clock_wrap_ticks if wraps else ticks


def _int16(values: np.ndarray) -> list[int]:
    return [int(v) for v in np.clip(np.round(values), -32768, 32767)]


def _g(values: np.ndarray) -> np.ndarray:
    return values / G_MPS2


class WitMotionSensor(Sensor):
    """WitMotion; the third angle carries a sample counter (a real one has none)."""

    protocol_name = "witmotion"
    name = "WT901BLE67"
    service_uuids = (witmotion.SERVICE_UUID,)

    def __init__(self, rate_hz: float = 100.0, faults: Faults | None = None, seed: int = 0) -> None:
        super().__init__(rate_hz, faults, seed)
        self.characteristics = {witmotion.NOTIFY_UUID: NOTIFY, witmotion.WRITE_UUID: WRITE}
        self.streaming = True  # it sends as soon as it is connected
        self._rate_code = witmotion.RATE_CODES[rate_hz]

    def disconnected(self) -> None:
        self._waiting = None

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        if data[:3] == bytes([0xFF, 0xAA, 0x03]):
            self._rate_code = data[3]
            codes = {code: rate for rate, code in witmotion.RATE_CODES.items()}
            self.rate_hz = codes[data[3]]
        if data[:4] == bytes([0xFF, 0xAA, 0x27, 0x03]):
            reply = b"\x55\x71\x03\x00" + struct.pack("<8h", self._rate_code, *[0] * 7)
            return [(witmotion.NOTIFY_UUID, reply)]
        return []

    def encode(self, k: int) -> list[Packet]:
        truth = self.truth(k)
        acc = _int16(_g(truth[:3]) * 32768 / 16)
        gyr = _int16(np.degrees(truth[3:]) * 32768 / 2000)
        counter = (k & 0xFFFF) - 0x8000
        return [
            (witmotion.NOTIFY_UUID, struct.pack("<2B9h", 0x55, 0x61, *acc, *gyr, 0, 0, counter))
        ]


class MovellaDotSensor(Sensor):
    """Movella DOT in mode 21 or 26."""

    protocol_name = "movella_dot"
    name = "Movella DOT"
    service_uuids = (movella_dot.MEASUREMENT_CONTROL_UUID.replace("2001", "2000", 1),)
    manufacturer_ids = (movella_dot.COMPANY_ID,)
    clock_wrap_ticks = 2**32
    tick_s = 1e-6

    def __init__(self, rate_hz: float = 60.0, faults: Faults | None = None, seed: int = 0) -> None:
        super().__init__(rate_hz, faults, seed)
        self.mode = 21
        self.characteristics = {
            movella_dot.DEVICE_CONTROL_UUID: READ_WRITE,
            movella_dot.MEASUREMENT_CONTROL_UUID: READ_WRITE,
            movella_dot.LONG_PAYLOAD_UUID: NOTIFY,
            movella_dot.MEDIUM_PAYLOAD_UUID: NOTIFY,
            movella_dot.BATTERY_UUID: READ,
        }
        self._values = {
            movella_dot.DEVICE_CONTROL_UUID: bytes(32),
            movella_dot.BATTERY_UUID: bytes([87, 0]),
        }

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        if uuid == movella_dot.DEVICE_CONTROL_UUID and data[0] & 0x10:
            self.rate_hz = float(int.from_bytes(data[24:26], "little"))
        if uuid == movella_dot.MEASUREMENT_CONTROL_UUID:
            self.streaming, self.mode = data[1] == 1, data[2]
        self._values[uuid] = data
        return []

    def encode(self, k: int) -> list[Packet]:
        truth = self.truth(k)
        values = [*truth[:3], *np.degrees(truth[3:])]
        if self.mode == 26:
            data = struct.pack("<I10f", self.ticks(k), 1.0, 0.0, 0.0, 0.0, *values)
            return [(movella_dot.LONG_PAYLOAD_UUID, data.ljust(63, b"\0"))]
        data = struct.pack("<I6f", self.ticks(k), *values)
        return [(movella_dot.MEDIUM_PAYLOAD_UUID, data.ljust(40, b"\0"))]


class MovesenseSensor(Sensor):
    """Movesense with GSP firmware; packets longer than ``part_bytes`` come in two parts."""

    protocol_name = "movesense"
    name = "Movesense 012345678901"
    service_uuids = (movesense.SERVICE_UUID,)
    clock_wrap_ticks = 2**32
    tick_s = 1e-3

    def __init__(
        self, rate_hz: float = 104.0, faults: Faults | None = None, seed: int = 0,
        part_bytes: int = 150,
    ) -> None:  # fmt: skip
        super().__init__(rate_hz, faults, seed)
        self.part_bytes = part_bytes
        self.characteristics = {movesense.WRITE_UUID: WRITE, movesense.NOTIFY_UUID: NOTIFY}
        self._reference = 0
        self.status = 200

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        if data[0] == movesense.UNSUBSCRIBE:
            self.streaming = False
        if data[0] != movesense.SUBSCRIBE:
            return []
        self._reference = data[1]
        self.rate_hz = float(data[2:].decode().rsplit("/", 1)[1])
        self.streaming = self.status == 200
        return [(movesense.NOTIFY_UUID, struct.pack("<2BH", 1, data[1], self.status))]

    def encode(self, k: int) -> list[Packet]:
        n = max(1, round(self.rate_hz / 13))
        if k % n != n - 1:
            return []
        truths = np.array([self.truth(i) for i in range(k - n + 1, k + 1)])
        body = (
            truths[:, :3].astype("<f4").tobytes()
            + np.degrees(truths[:, 3:]).astype("<f4").tobytes()
        )
        data = struct.pack("<2BI", 2, self._reference, self.ticks(k - n + 1)) + body
        if len(data) <= self.part_bytes:
            return [(movesense.NOTIFY_UUID, data)]
        rest = struct.pack("<2B", 3, self._reference) + data[self.part_bytes :]
        return [(movesense.NOTIFY_UUID, data[: self.part_bytes]), (movesense.NOTIFY_UUID, rest)]


def pack_bits(values: list[int], n_bits: int) -> bytes:
    """Return signed numbers as fields of n_bits, least significant bit first."""
    whole = 0
    for position, value in enumerate(values):
        whole |= (value & ((1 << n_bits) - 1)) << (position * n_bits)
    return whole.to_bytes((len(values) * n_bits + 7) // 8, "little")


def delta_frame(reference: np.ndarray, deltas: np.ndarray, per_block: int) -> bytes:
    """Return a Polar delta frame's payload: reference sample and blocks of deltas."""
    payload = b"".join(int(v).to_bytes(2, "little", signed=True) for v in reference)
    for at in range(0, len(deltas), per_block):
        part = deltas[at : at + per_block]
        n_bits = max(2, int(np.abs(part).max()).bit_length() + 1)
        fields = [int(v) for v in part.ravel()]
        payload += bytes([n_bits, len(part)]) + pack_bits(fields, n_bits)
    return payload


class PolarSensor(Sensor):
    """Polar H10 or Verity Sense: ``has_gyro`` says which, and with it whether frames are deltas."""

    protocol_name = "polar"
    service_uuids = (polar.SERVICE_UUID, BATTERY_SERVICE_UUID)
    manufacturer_ids = (0x006B,)
    clock_wrap_ticks = 2**64
    tick_s = 1e-9
    has_gyro = False
    frame_samples = 36
    offered: ClassVar[dict[int, dict[int, tuple[int, ...]]]] = {}

    def __init__(self, rate_hz: float = 0.0, faults: Faults | None = None, seed: int = 0) -> None:
        super().__init__(rate_hz or (52.0 if self.has_gyro else 100.0), faults, seed)
        self.characteristics = {
            polar.CONTROL_UUID: frozenset({"read", "write", "indicate"}),
            polar.DATA_UUID: NOTIFY,
            BATTERY_UUID: READ,
        }
        self._values = {polar.CONTROL_UUID: b"\x0f\x24", BATTERY_UUID: bytes([64])}
        self.running: dict[int, dict[int, int]] = {}
        self.error = 0  # answered to every start

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        op, kind = data[0], data[1]
        reply = bytes([0xF0, op, kind])
        if kind not in self.offered:
            return [(polar.CONTROL_UUID, reply + b"\x02\x00")]
        if op == pmd_control.ASK_SETTINGS:
            body = b"".join(
                bytes([key, len(values)])
                + b"".join(
                    v.to_bytes(1 if key == pmd_control.CHANNELS else 2, "little") for v in values
                )
                for key, values in self.offered[kind].items()
            )
            return [(polar.CONTROL_UUID, reply + b"\x00\x00" + body)]
        if op == pmd_control.STOP:
            self.running.pop(kind, None)
            self.streaming = bool(self.running)
            return [(polar.CONTROL_UUID, reply + b"\x00\x00")]
        if self.error or kind in self.running:
            return [(polar.CONTROL_UUID, reply + bytes([self.error or 6, 0]))]
        asked = {
            key: int(values[0]) for key, values in pmd_control.parse_settings(data[2:]).items()
        }
        wrong = {pmd_control.RATE: 8, pmd_control.RANGE: 9, pmd_control.RESOLUTION: 7}
        for key, code in wrong.items():
            if asked.get(key) not in self.offered[kind][key]:
                return [(polar.CONTROL_UUID, reply + bytes([code, 0]))]
        self.running[kind] = asked
        self.rate_hz = float(asked[pmd_control.RATE])
        self.streaming = True
        factor = b"" if not self.has_gyro else struct.pack("<2Bf", 5, 1, self.factor(kind))
        return [(polar.CONTROL_UUID, reply + b"\x00\x00" + factor)]

    def factor(self, kind: int) -> float:
        return self.running[kind][pmd_control.RANGE] / 32768

    def disconnected(self) -> None:
        super().disconnected()
        self.running.clear()

    def encode(self, k: int) -> list[Packet]:
        n = self.frame_samples
        if k % n != n - 1:
            return []
        truths = np.array([self.truth(i) for i in range(k - n + 1, k + 1)])
        out = []
        for kind in sorted(self.running):
            is_acc = kind == pmd_frame.ACC_TYPE
            values = _g(truths[:, :3]) if is_acc else np.degrees(truths[:, 3:])
            if self.has_gyro:
                steps = np.round(values / self.factor(kind)).astype(int)
                payload = b"\x80" + delta_frame(steps[0], np.diff(steps, axis=0), 12)
            else:
                payload = b"\x01" + np.round(1000 * values).astype("<i2").tobytes()
            time_ns = self.ticks(k).to_bytes(8, "little")
            out.append((polar.DATA_UUID, bytes([kind]) + time_ns + payload))
        return out


class PolarH10Sensor(PolarSensor):
    name = "Polar H10 12345678"
    offered: ClassVar[dict[int, dict[int, tuple[int, ...]]]] = {
        pmd_frame.ACC_TYPE: {
            pmd_control.RATE: (25, 50, 100, 200),
            pmd_control.RESOLUTION: (16,),
            pmd_control.RANGE: (2, 4, 8),
        }
    }


class PolarSenseSensor(PolarSensor):
    name = "Polar Sense 12345678"
    has_gyro = True
    offered: ClassVar[dict[int, dict[int, tuple[int, ...]]]] = {
        kind: {
            pmd_control.RATE: (52,),
            pmd_control.RESOLUTION: (16,),
            pmd_control.RANGE: (full_scale,),
            pmd_control.CHANNELS: (3,),
        }
        for kind, full_scale in ((pmd_frame.ACC_TYPE, 8), (pmd_frame.GYR_TYPE, 2000))
    }


class MetaMotionSensor(Sensor):
    """MetaMotion with either chip, packed or single packets as subscribed."""

    protocol_name = "metamotion"
    name = "MetaWear"
    service_uuids = (metamotion.SERVICE_UUID,)
    chip = metamotion.BMI160

    def __init__(self, rate_hz: float = 100.0, faults: Faults | None = None, seed: int = 0) -> None:
        super().__init__(rate_hz, faults, seed)
        self.characteristics = {metamotion.COMMAND_UUID: WRITE, metamotion.NOTIFY_UUID: NOTIFY}
        self._conf = {metamotion.ACC: b"\x28\x03", metamotion.GYR: b"\x28\x00"}
        self._on: dict[int, int] = {}  # module: register subscribed to
        self._started: set[int] = set()

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        module, register = data[0], data[1]
        numbers = next(n for n, chip in metamotion.CHIPS.items() if chip is self.chip)
        replies = {
            (metamotion.ACC, 0x80): bytes([numbers[0], 1]),
            (metamotion.GYR, 0x80): bytes([numbers[1], 1]),
            (metamotion.ACC, 0x83): self._conf[metamotion.ACC],
            (metamotion.GYR, 0x83): self._conf[metamotion.GYR],
            (metamotion.SETTINGS, 0x8C): bytes([91, 0x34, 0x10]),
        }
        if (module, register) in replies:
            return [(metamotion.NOTIFY_UUID, data[:2] + replies[module, register])]
        if register == 0x03:
            self._conf[module] = data[2:4]
            nibbles = {nibble: rate for rate, nibble in metamotion.RATE_NIBBLES.items()}
            self.rate_hz = nibbles[data[2] & 0x0F]
        elif register == 0x01:
            (self._started.add if data[2] else self._started.discard)(module)
            self.streaming = bool(self._started)
        elif register != 0x02:
            self._on[module] = register
        return []

    def encode(self, k: int) -> list[Packet]:
        out = []
        ranges = {code: g for g, code in self.chip.acc_ranges.items()}
        gyr_ranges = {code: dps for dps, code in metamotion.GYR_RANGES_DPS.items()}
        for module in sorted(self._started & set(self._on)):
            packed = self._on[module] in (self.chip.acc_packed, self.chip.gyr_packed)
            if module == metamotion.GYR and self.chip is metamotion.BMI160:
                packed = self._on[module] == 0x07
            n = 3 if packed else 1
            if k % n != n - 1:
                continue
            words: list[int] = []
            for i in range(k - n + 1, k + 1):
                if module == metamotion.ACC:
                    lsb = 32768 / ranges[self._conf[module][1]]
                    words += _int16(_g(self.truth(i)[:3]) * lsb)
                else:
                    lsb = metamotion.GYR_LSB_PER_DPS[gyr_ranges[self._conf[module][1]]]
                    words += _int16(np.degrees(self.truth(i)[3:]) * lsb)
            head = bytes([module, self._on[module]])
            out.append((metamotion.NOTIFY_UUID, head + struct.pack(f"<{3 * n}h", *words)))
        return out


class MetaMotionSSensor(MetaMotionSensor):
    chip = metamotion.BMI270


class Thingy52Sensor(Sensor):
    """Thingy:52; the magnetometer's z carries a sample counter (a real one has none)."""

    protocol_name = "thingy52"
    name = "Thingy"
    service_uuids = (thingy52.SERVICE_UUID, BATTERY_SERVICE_UUID)

    def __init__(self, rate_hz: float = 100.0, faults: Faults | None = None, seed: int = 0) -> None:
        super().__init__(rate_hz, faults, seed)
        self.characteristics = {
            thingy52.CONFIG_UUID: READ_WRITE,
            thingy52.RAW_UUID: NOTIFY,
            BATTERY_UUID: READ,
        }
        self._values = {
            thingy52.CONFIG_UUID: struct.pack("<4HB", 500, 1000, 1000, 10, 1),
            BATTERY_UUID: bytes([55]),
        }
        self.streaming = True

    def disconnected(self) -> None:
        self._waiting = None

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        self._values[uuid] = data
        if uuid == thingy52.CONFIG_UUID:
            self.rate_hz = float(int.from_bytes(data[6:8], "little"))
        return []

    def encode(self, k: int) -> list[Packet]:
        truth = self.truth(k)
        words = _int16(_g(truth[:3]) * 1024) + _int16(np.degrees(truth[3:]) * 32)
        return [(thingy52.RAW_UUID, struct.pack("<9h", *words, 0, 0, (k & 0xFFFF) - 0x8000))]


class SensorTagSensor(Sensor):
    protocol_name = "sensortag"
    name = "CC2650 SensorTag"
    service_uuids = (sensortag.SERVICE_UUID,)

    def __init__(self, rate_hz: float = 10.0, faults: Faults | None = None, seed: int = 0) -> None:
        super().__init__(rate_hz, faults, seed)
        self.characteristics = {
            sensortag.DATA_UUID: NOTIFY,
            sensortag.CONFIG_UUID: READ_WRITE,
            sensortag.PERIOD_UUID: READ_WRITE,
        }

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        self._values[uuid] = data
        if uuid == sensortag.CONFIG_UUID:
            self.streaming = any(data)
        return []

    def encode(self, k: int) -> list[Packet]:
        truth = self.truth(k)
        words = _int16(np.degrees(truth[3:]) * 128) + _int16(_g(truth[:3]) * 4096)
        return [(sensortag.DATA_UUID, struct.pack("<9h", *words, 0, 0, 0))]


GENERIC_SERVICE = "13012f00-f8c3-4f4a-a8f4-15cd926da146"
GENERIC_NOTIFY = "13012f01-f8c3-4f4a-a8f4-15cd926da146"
GENERIC_COMMAND = "13012f02-f8c3-4f4a-a8f4-15cd926da146"


def generic_layout(
    rate_hz: float = 100.0, *, time: bool = True, counter: bool = True, samples: int = 1
) -> StructLayout:
    """Return the layout of ``GenericSensor``: u24 ticks (in u32), u8 counter, six float32."""
    fields = [
        StructField(channel, 2 + i, 1.0, "g" if i < 3 else "deg/s")
        for i, channel in enumerate(("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"))
    ]
    return StructLayout(
        notify_uuid=GENERIC_NOTIFY,
        struct_format="<IB6f",
        nominal_rate_hz=rate_hz,
        fields=tuple(fields),
        samples_per_packet=samples,
        header_bytes=1,
        time=StructTime(0, 1 / 32768, 24) if time else None,
        counter=StructCounter(1, 8) if counter else None,
        start_writes=(StructWrite(GENERIC_COMMAND, b"\x01", GENERIC_COMMAND, b"\x81"),),
        stop_writes=(StructWrite(GENERIC_COMMAND, b"\x00"),),
        service_uuid=GENERIC_SERVICE,
    )


class GenericSensor(Sensor):
    """An Arduino sketch: u24 ticks at 32768 Hz, u8 counter, float32 in g and deg/s."""

    protocol_name = "generic"
    name = "Arduino"
    service_uuids = (GENERIC_SERVICE,)
    clock_wrap_ticks = 2**24
    tick_s = 1 / 32768

    def __init__(
        self, rate_hz: float = 100.0, faults: Faults | None = None, seed: int = 0,
        layout: StructLayout | None = None,
    ) -> None:  # fmt: skip
        super().__init__(rate_hz, faults, seed)
        self.layout = layout or generic_layout(rate_hz)
        self.characteristics = {
            GENERIC_NOTIFY: NOTIFY,
            GENERIC_COMMAND: frozenset({"write", "notify"}),
        }

    def protocol(self) -> ImuProtocol:
        return GenericImu(self.layout)

    def answer(self, uuid: str, data: bytes) -> list[Packet]:
        self.streaming = data == b"\x01"
        return [(GENERIC_COMMAND, b"\x81")] if self.streaming else []

    def encode(self, k: int) -> list[Packet]:
        n = self.layout.samples_per_packet
        if k % n != n - 1:
            return []
        body = b"\xaa"
        for i in range(k - n + 1, k + 1):
            truth = self.truth(i)
            values = [*_g(truth[:3]), *np.degrees(truth[3:])]
            reboot_at = self.faults.reboot_at
            since = i - reboot_at if reboot_at and i >= reboot_at else i
            body += struct.pack("<IB6f", self.ticks(i), since & 0xFF, *values)
        return [(GENERIC_NOTIFY, body)]


_MAKERS: dict[str, Callable[..., Sensor]] = {
    "witmotion": WitMotionSensor,
    "movella_dot": MovellaDotSensor,
    "movesense": MovesenseSensor,
    "polar_h10": PolarH10Sensor,
    "polar_sense": PolarSenseSensor,
    "metamotion": MetaMotionSensor,
    "metamotion_bmi270": MetaMotionSSensor,
    "thingy52": Thingy52Sensor,
    "sensortag": SensorTagSensor,
    "generic": GenericSensor,
}
SENSORS = tuple(_MAKERS)


def make_sensor(
    name: str, *, rate_hz: float | None = None, faults: Faults | None = None, seed: int = 0
) -> Sensor:
    """Return a simulated sensor by name, at its usual rate where none is given."""
    maker = _MAKERS[name]
    if rate_hz is None:
        return maker(faults=faults, seed=seed)
    return maker(rate_hz=rate_hz, faults=faults, seed=seed)


class ScriptedLink:
    """A ``GattLink`` straight to a simulated sensor; keeps what it was asked.

    Args:
        sensor: the sensor.
        mute: characteristics whose requests are never answered.
    """

    def __init__(self, sensor: Sensor, mute: tuple[str, ...] = ()) -> None:
        self.sensor = sensor
        self.mute = mute
        self.subscriptions: list[str] = []
        self.calls: list[tuple[str, str, bytes]] = []

    def _known(self, uuid: str) -> None:
        if uuid not in self.sensor.characteristics:
            raise SourceError("no such characteristic", next_step="None", got=uuid)

    async def subscribe(self, uuid: str) -> None:
        self._known(uuid)
        self.subscriptions.append(uuid)
        self.calls.append(("subscribe", uuid, b""))

    async def write(self, uuid: str, data: bytes, *, response: bool = False) -> None:
        self._known(uuid)
        self.calls.append(("write", uuid, data))
        self.sensor.on_write(uuid, data)

    async def read(self, uuid: str) -> bytes:
        self._known(uuid)
        self.calls.append(("read", uuid, b""))
        return self.sensor.on_read(uuid)

    async def request(
        self,
        uuid: str,
        data: bytes,
        *,
        reply_uuid: str,
        reply_starts: bytes,
        timeout_s: float = 2.0,
    ) -> bytes:
        self._known(uuid)
        self.calls.append(("request", uuid, data))
        assert reply_uuid in self.subscriptions, "asked before subscribing to the reply"
        if uuid not in self.mute:
            for reply in self.sensor.on_write(uuid, data):
                if reply[0] == reply_uuid and reply[1].startswith(reply_starts):
                    return reply[1]
        raise SourceError("no reply in time", next_step="None", source=uuid)
