"""What an IMU stream tells of itself: what is wrong at present, in words that stay while it lasts.

Each change of the words is an event, a line in the log and a message. So a share is told in steps,
and whatever is told keeps its first words until something else is wrong.
"""

from __future__ import annotations

import numpy as np

from edge_app.errors import PacketError
from edge_app.sources.imu_time.counters import (
    SOON_SHARE,
    SOON_STRETCH_S,
    TOLD_STEPS,
    LossEstimate,
    RecentShare,
    told_step,
)

BAD_S = 1.0
BAD_PACKETS = 10
"""Nothing but bad packets is told after so long, or so many."""
TELL_RESTART_S = 3.0
TELL_CLOCK_S = 10.0
TELL_ALONE_S = 1.0
LOOK_AT_SHARES_EVERY_S = 0.5


class Told:
    """Takes what happens to a stream, and says what is wrong with it.

    Args:
        rate_hz: nominal samples a second.
        by_rate: True where nothing but the rate shows loss.
    """

    def __init__(self, rate_hz: float, *, by_rate: bool) -> None:
        self._by_rate = by_rate
        self._estimate = LossEstimate(rate_hz)
        self._loss = RecentShare()
        self._bad = RecentShare()
        self._bad_since_s: float | None = None
        self._bad_in_a_row = 0
        self._bad_text = ""
        self._restarted_s = self._clock_given_up_s = self._alone_s = -np.inf
        self._clock_text = ""
        self._shares_seen_s = -np.inf
        self._shares_wrong = ("", "")  # what, in words
        self._told = ("", "")

    def bad_packet(self, error: PacketError, arrival_s: float) -> None:
        """Take note of a packet that could not be decoded.

        Args:
            error: why.
            arrival_s: host time, as everywhere here.
        """
        self._bad.add(arrival_s, 0, 1)
        if self._bad_since_s is None:
            self._bad_since_s = arrival_s
        self._bad_in_a_row += 1
        self._bad_text = f"{error.problem} (expected {error.expected}, got {error.got})"

    def good_packet(self, arrival_s: float) -> None:
        """Take note of a packet that gave samples."""
        self._bad.add(arrival_s, 1, 0)
        self._bad_since_s, self._bad_in_a_row = None, 0

    def placed(self, arrival_s: float, n_samples: int, n_lost: int) -> None:
        """Take note of samples of a device clock or counter, and of those it shows to be lost."""
        self._loss.add(arrival_s, n_samples, n_lost)

    def alone(self, arrival_s: float, n_lost: int) -> None:
        """Take note of acceleration dropped because no rotation was near."""
        self._alone_s = arrival_s
        self._loss.add(arrival_s, 0, n_lost)

    def delivered(self, newest_s: float, n_samples: int) -> int:
        """Take note of samples passed on.

        Args:
            newest_s: stamp of the newest of them.
            n_samples: how many.

        Returns:
            How many more are missing by the rate; 0 where something better shows loss.
        """
        return self._estimate.add(newest_s, n_samples) if self._by_rate else 0

    def restarted(self, arrival_s: float) -> None:
        """Take note that the device clock began anew."""
        self._restarted_s = arrival_s

    def clock_given_up(self, arrival_s: float, why: str) -> None:
        """Take note that from now on host time is used, and only the rate shows loss."""
        self._clock_given_up_s, self._clock_text = arrival_s, why
        self._by_rate = True

    def trouble(self, now_s: float) -> str:
        """Return what is wrong at present, in words; empty when nothing is."""
        what, words = self._wrong(now_s)
        if what != self._told[0]:
            self._told = (what, words)
        return self._told[1]

    def _wrong(self, now_s: float) -> tuple[str, str]:
        """Return what is wrong, and in which words: the first ones are told while it lasts."""
        if self._bad_since_s is not None and (
            now_s - self._bad_since_s >= BAD_S or self._bad_in_a_row >= BAD_PACKETS
        ):
            return "all bad", f"packets cannot be decoded: {self._bad_text}"
        if now_s - self._restarted_s < TELL_RESTART_S:
            return "restart", "the sensor's clock started anew"
        if now_s - self._clock_given_up_s < TELL_CLOCK_S:
            return "clock", f"{self._clock_text}; host time is used"
        if now_s - self._alone_s < TELL_ALONE_S:
            return "alone", "acceleration comes without rotation"
        if now_s - self._shares_seen_s >= LOOK_AT_SHARES_EVERY_S:
            self._shares_seen_s = now_s
            self._shares_wrong = self._wrong_share(now_s)
        return self._shares_wrong

    def _wrong_share(self, now_s: float) -> tuple[str, str]:
        if self._by_rate:
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
