"""Notifications of one connected IMU to chunks: decoded, ordered, stamped, counted."""

from __future__ import annotations

import logging

import numpy as np

from edge_app.contracts import IMU_CHANNELS, IMU_UNITS, Chunk, StreamInfo
from edge_app.errors import PacketError
from edge_app.sources.imu_protocols.packets import ACC_CHANNELS, GYR_CHANNELS
from edge_app.sources.imu_protocols.protocol import ImuBlock, ImuProtocol, ImuSetup
from edge_app.sources.imu_time.clock_fit import CRYSTAL, MOST_AHEAD_S, SAMPLE_RATE, ClockFit
from edge_app.sources.imu_time.counters import (
    SOON_SHARE,
    SOON_STRETCH_S,
    TOLD_STEPS,
    ImuCounters,
    LossEstimate,
    RecentShare,
    told_step,
)
from edge_app.sources.imu_time.device_lane import DeviceLane, Stretch
from edge_app.sources.imu_time.halves import HalvesMerger
from edge_app.sources.imu_time.phase_lock import SETTLE_S, PhaseLock
from edge_app.sources.imu_time.timeline import Timeline

__all__ = ["ImuAssembler", "ImuCounters"]

_log = logging.getLogger(__name__)

_BAD_S = 1.0
_BAD_PACKETS = 10
_TELL_RESTART_S = 3.0
_TELL_CLOCK_S = 10.0
_LOOK_AT_SHARES_EVERY_S = 0.5
_ALONE_S = 1.0
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
        self._fit: ClockFit | None = None
        self._timeline: Timeline | None = None
        self._lanes: dict[tuple[str, ...], DeviceLane | PhaseLock] = {}
        self._halves: HalvesMerger | None = None
        self._settling: list[Stretch] | None = None if self._host_only else []
        self._settle_began_s = 0.0
        self._newest_s = -np.inf
        self._arrival_s = -np.inf
        self._loss = RecentShare()
        self._bad = RecentShare()
        self._estimate = LossEstimate(setup.rate_hz)
        self._bad_since_s: float | None = None
        self._bad_in_a_row = 0
        self._bad_text = ""
        self._restarts = 0
        self._restarted_s = -np.inf
        self._clock_given_up_s = -np.inf
        self._shares_seen_s = -np.inf
        self._shares_wrong = ("", "")  # what, in words
        self._told = ("", "")
        self._alone = 0
        self._alone_s = -np.inf

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
            self._count_bad(error, arrival_s)
            return None
        finally:
            self.counters.resyncs = getattr(self._decoder, "resyncs", 0)
        if not blocks:
            return None
        self._bad.add(arrival_s, 1, 0)
        self._bad_since_s, self._bad_in_a_row = None, 0
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
        what, words = self._wrong(now_s)
        if what != self._told[0]:
            self._told = (what, words)
        return self._told[1]

    def _wrong(self, now_s: float) -> tuple[str, str]:
        """Return what is wrong, and in which words: the first ones are told while it lasts."""
        if self._bad_since_s is not None and (
            now_s - self._bad_since_s >= _BAD_S or self._bad_in_a_row >= _BAD_PACKETS
        ):
            return "all bad", f"packets cannot be decoded: {self._bad_text}"
        if now_s - self._restarted_s < _TELL_RESTART_S:
            return "restart", "the sensor's clock started anew"
        if now_s - self._clock_given_up_s < _TELL_CLOCK_S:
            return "clock", f"{self._clock_text()}; host time is used"
        if now_s - self._alone_s < _ALONE_S:
            return "alone", "acceleration comes without rotation"
        if now_s - self._shares_seen_s >= _LOOK_AT_SHARES_EVERY_S:
            self._shares_seen_s = now_s
            self._shares_wrong = self._wrong_share(now_s)
        return self._shares_wrong

    def _wrong_share(self, now_s: float) -> tuple[str, str]:
        if self._host_only:
            lost, about = self._estimate.share(now_s), "about "
        else:
            soon = self._loss.share(now_s, SOON_STRETCH_S)
            lost, about = max(self._loss.share(now_s), soon if soon > SOON_SHARE else 0.0), ""
        shares = (
            ("lost", lost, about, " of the samples lost"),
            ("more", -lost, f"more samples than the rate says, {about}", ""),
            ("bad", self._bad.share(now_s), "", f" of packets cannot be decoded: {self._bad_text}"),
        )
        seen = self._shares_wrong[0]
        for kind, share, before, after in shares:
            step = told_step(share, int(seen[-1]) if seen.startswith(kind) else 0)
            if step:
                return f"{kind} {step}", f"{before}{TOLD_STEPS[step - 1][1]}{after}"
        return "", ""

    def _clock_text(self) -> str:
        return self._timeline.useless if self._timeline else "device clock does not advance"

    def _count_bad(self, error: PacketError, arrival_s: float) -> None:
        self.counters.bad_packets += 1
        self._bad.add(arrival_s, 0, 1)
        if self._bad_since_s is None:
            self._bad_since_s = arrival_s
        self._bad_in_a_row += 1
        self._bad_text = f"{error.problem} (expected {error.expected}, got {error.got})"

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
                self._loss.add(arrival_s, n, lost)
                self.counters.lost += lost
        if block.channels != self._setup.channels:
            stretches = self._merge(stretches, arrival_s, is_acc=block.channels == ACC_CHANNELS)
        if self._fit is None:
            return stretches
        return self._to_host(stretches, arrival_s)

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
            self._fit = ClockFit(drift, slew)
            self._timeline = Timeline(tick_s, bits, self._fit, self.counters)
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
                self._alone_s = arrival_s
                self._loss.add(arrival_s, 0, lost)
                # Without a device clock these are among those that the rate shows.
                self.counters.lost += 0 if self._host_only else lost
        return merged

    def _to_host(self, stretches: list[Stretch], arrival_s: float) -> list[Stretch]:
        """Map the device timeline to host time; hold the first half second."""
        if self._fit is None or not stretches:
            return []
        if self._settling is not None:
            if not self._settling:
                self._settle_began_s = arrival_s
            self._settling += stretches
            n_held = sum(times_s.shape[0] for times_s, _ in self._settling)
            waited_s = arrival_s - self._settle_began_s
            if max(waited_s, n_held / self._setup.rate_hz) < SETTLE_S:
                return []
            stretches, self._settling = self._settling, None
        placed = []
        for times_s, samples in stretches:
            host_s = self._fit.to_host(times_s)
            n = int(host_s.searchsorted(arrival_s + MOST_AHEAD_S))  # what comes after is doubtful
            self.counters.lost += host_s.shape[0] - n
            if n:
                placed.append((host_s[:n], samples[:n]))
        return placed

    def _watch_clock(self, timeline: Timeline, arrival_s: float) -> None:
        if self.counters.device_restarts != self._restarts:
            self._restarts = self.counters.device_restarts
            self._restarted_s = arrival_s
            _log.warning("%s: the sensor's clock started anew", self._name)
        if not timeline.useless or self._host_only:
            return
        _log.warning("%s: %s; host time is used from now on", self._name, timeline.useless)
        self.assumptions += (f"{timeline.useless}: stamped by host time, loss is estimated",)
        self._clock_given_up_s = arrival_s
        self._host_only = True
        self._lanes.clear()
        self._halves = None
        self._fit = None
        self.counters.lost += sum(times_s.shape[0] for times_s, _ in self._settling or ())
        self._settling = None

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
        if self._host_only:
            self.counters.lost_estimated += self._estimate.add(self._newest_s, times_s.shape[0])
        return Chunk(times_s, samples)


def _tick(block: ImuBlock) -> int:
    return block.ticks[-1] if block.ticks else 0


def _count(block: ImuBlock) -> int:
    return block.counters[-1] if block.counters else 0
