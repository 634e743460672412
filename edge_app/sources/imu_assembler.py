"""Notifications of one connected IMU to chunks: decoded, ordered, stamped, counted."""

from __future__ import annotations

import logging

import numpy as np

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS, Chunk, StreamInfo
from edge_app.errors import PacketError
from edge_app.sources.imu_protocols.packets import ACC_CHANNELS, GYR_CHANNELS
from edge_app.sources.imu_protocols.protocol import ImuBlock, ImuProtocol, ImuSetup
from edge_app.sources.imu_time.clock_fit import CRYSTAL, SAMPLE_RATE, ClockFit
from edge_app.sources.imu_time.counters import ImuCounters
from edge_app.sources.imu_time.device_lane import DeviceLane, Stretch
from edge_app.sources.imu_time.halves import HalvesMerger
from edge_app.sources.imu_time.host_times import HostTimes
from edge_app.sources.imu_time.phase_lock import PhaseLock
from edge_app.sources.imu_time.timeline import Timeline
from edge_app.sources.imu_time.told import Told

__all__ = ["ImuAssembler", "ImuCounters"]

_log = logging.getLogger(__name__)

_HOST_JITTER_SAMPLES = 0.25
_HOST_JITTER_S = 0.003


class ImuAssembler:
    """Makes chunks of one connection's notifications.

    Sensors with a device clock or a counter are stamped through a fit of that clock to host time;
    the others by a phase-locked loop, as is a sensor whose clock turns out to be of no use. The
    first half second is held until the clock has settled.

    Args:
        protocol: the sensor's protocol, after its ``start``.
        setup: what ``start`` returned.
        name: the stream's name.

    Attributes:
        counters: counted so far; changes in place.
        samples: samples delivered so far.
        assumptions: sentences on what had to be assumed since the start.
    """

    def __init__(self, protocol: ImuProtocol, setup: ImuSetup, name: str) -> None:
        self.counters = ImuCounters()
        self.samples = 0
        self.assumptions: tuple[str, ...] = setup.assumptions
        self._setup = setup
        self._name = name
        self._uuids = frozenset(protocol.notify_uuids)
        self._decoder = protocol.decoder(setup)
        self._host_only = setup.tick_s is None and not setup.counter_bits
        self._timeline: Timeline | None = None
        self._host_times: HostTimes | None = None
        self._lanes: dict[tuple[str, ...], DeviceLane | PhaseLock] = {}
        self._halves: HalvesMerger | None = None
        self._newest_s = -np.inf
        self._arrival_s = -np.inf
        self._told = Told(setup.rate_hz, by_rate=self._host_only)
        self._restarts = 0
        self._alone = 0

    def info(self, *, device: str, simulated: bool = False) -> StreamInfo:
        """Describe the stream.

        Args:
            device: what delivers it, in words.
            simulated: True when no patient stands behind the signal.
        """
        setup = self._setup
        if self._host_only:
            jitter_s = max(_HOST_JITTER_S, _HOST_JITTER_SAMPLES / setup.rate_hz)
        else:
            jitter_s = max(0.001, setup.tick_s or 0.0)
        return StreamInfo(
            name=self._name,
            kind="imu",
            rate_hz=setup.rate_hz,
            channels=setup.channels,
            units=tuple(IMU_UNITS[IMU_CHANNELS.index(channel)] for channel in setup.channels),
            device=device,
            simulated=simulated,
            jitter_s=jitter_s,
        )

    def feed(self, uuid: str, data: bytes, arrival_s: float) -> Chunk | None:
        """Take one notification, return the samples that are certain now.

        Args:
            uuid: characteristic; any other than the sensor's own is passed over.
            data: bytes of the notification.
            arrival_s: host time, taken first thing in the callback.
        """
        if uuid not in self._uuids:
            return None
        self.counters.packets += 1
        arrival_s = self._arrival_s = max(arrival_s, self._arrival_s)
        try:
            blocks = self._decoder.feed(uuid, bytes(data))
        except PacketError as error:
            self.counters.bad_packets += 1
            self._told.bad_packet(error, arrival_s)
            return None
        finally:
            self.counters.resyncs = getattr(self._decoder, "resyncs", 0)
        if not blocks:
            return None
        self._told.good_packet(arrival_s)
        ready: list[Stretch] = []
        for block in blocks:
            ready += self._place(block, arrival_s)
        if self._timeline is not None:
            self._watch_clock(self._timeline, arrival_s)
        return self._chunk(ready) if ready else None

    def trouble(self, now_s: float) -> str:
        """Return what is wrong at present, in words; empty when nothing is.

        Silence is not told here: who owns the link watches it.

        Args:
            now_s: host time.
        """
        return self._told.trouble(now_s)

    def _place(self, block: ImuBlock, arrival_s: float) -> list[Stretch]:
        """Stamp a block: device timeline while settling, host time otherwise."""
        lane = self._lanes.get(block.channels)
        if lane is None:
            lane = self._lanes[block.channels] = self._new_lane(block)
        lost = 0
        if isinstance(lane, PhaseLock):
            stretches = lane.push(block.samples, arrival_s)
        else:
            stretches, lost = lane.push(block, arrival_s)
            # Where halves come apart, lost rotation is counted as acceleration left alone.
            if (lost or stretches) and not (block.channels == GYR_CHANNELS != self._setup.channels):
                n = sum(times_s.shape[0] for times_s, _ in stretches)
                self._told.placed(arrival_s, n, lost)
                self.counters.lost += lost
        if block.channels != self._setup.channels:
            stretches = self._merge(stretches, arrival_s, is_acc=block.channels == ACC_CHANNELS)
        if self._host_times is None:
            return stretches
        return self._host_times.push(stretches, arrival_s)

    def _new_lane(self, block: ImuBlock) -> DeviceLane | PhaseLock:
        setup = self._setup
        if self._host_only:
            return PhaseLock(setup.rate_hz, self.counters)
        if setup.tick_s is not None and block.ticks:
            timeline = self._shared_timeline(setup.tick_s, setup.clock_bits, CRYSTAL, 0.01)
            period_ticks = 1.0 / (setup.rate_hz * setup.tick_s)
            bits = setup.counter_bits if block.counters else 0
            return DeviceLane(timeline, period_ticks, _tick, learns=True, counter_bits=bits)
        # A counter alone is a clock whose tick is a sample, or a packet of them.
        n = block.samples.shape[0]
        counters = block.counters or (0,)
        per_count = n if n > 1 and counters[0] == counters[-1] else 1
        tick_s = per_count / setup.rate_hz
        timeline = self._shared_timeline(tick_s, setup.counter_bits, SAMPLE_RATE, 0.03)
        return DeviceLane(timeline, 1.0 / per_count, _count, learns=False)

    def _shared_timeline(self, tick_s: float, bits: int, drift: float, slew: float) -> Timeline:
        if self._timeline is None:
            fit = ClockFit(drift, slew)
            self._timeline = Timeline(tick_s, bits, fit, self.counters)
            self._host_times = HostTimes(fit, self._setup.rate_hz, self.counters)
        return self._timeline

    def _merge(self, stretches: list[Stretch], arrival_s: float, *, is_acc: bool) -> list[Stretch]:
        if self._halves is None:
            self._halves = HalvesMerger(self._setup.rate_hz)
            self._alone = 0
        halves = self._halves
        merged = []
        for stretch in stretches:
            both = halves.push(stretch, is_acc=is_acc)
            if both is not None:
                merged.append(both)
        if halves.alone > self._alone:
            lost = halves.alone - self._alone
            self._alone = halves.alone
            if self.samples:  # the very first ones are alone because one half starts first
                self._told.alone(arrival_s, lost)
                # Without a device clock these are among those that the rate shows.
                self.counters.lost += 0 if self._host_only else lost
        return merged

    def _watch_clock(self, timeline: Timeline, arrival_s: float) -> None:
        if self.counters.device_restarts != self._restarts:
            self._restarts = self.counters.device_restarts
            self._told.restarted(arrival_s)
            _log.warning("%s: the sensor's clock started anew", self._name)
        if not timeline.useless or self._host_only:
            return
        _log.warning("%s: %s; host time is used from now on", self._name, timeline.useless)
        self.assumptions += (f"{timeline.useless}: stamped by host time, loss is estimated",)
        self._told.clock_given_up(arrival_s, timeline.useless)
        self._host_only = True
        self._lanes.clear()
        self._halves = None
        if self._host_times is not None:
            self._host_times.give_up()
            self._host_times = None

    def _chunk(self, ready: list[Stretch]) -> Chunk | None:
        if len(ready) == 1:
            times_s, samples = ready[0]
        else:
            times_s = np.concatenate([times_s for times_s, _ in ready])
            samples = np.concatenate([samples for _, samples in ready])
        before_s = self._newest_s
        if times_s[0] <= before_s or not (times_s[1:] > times_s[:-1]).all():
            # Where a clock was given up, or ran ahead: what lies before the newest is dropped.
            later = times_s > np.maximum.accumulate(np.concatenate(([before_s], times_s[:-1])))
            self.counters.lost += int((~later).sum())
            times_s, samples = times_s[later], samples[later]
            if not times_s.shape[0]:
                return None
        self._newest_s = float(times_s[-1])
        self.samples += times_s.shape[0]
        self.counters.lost_estimated += self._told.delivered(self._newest_s, times_s.shape[0])
        return Chunk(times_s, samples)


def _tick(block: ImuBlock) -> int:
    return block.ticks[-1] if block.ticks else 0


def _count(block: ImuBlock) -> int:
    return block.counters[-1] if block.counters else 0
