"""What is wrong with an LSL stream at present, and what was counted: told, never corrected."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from edge_app.contracts import Float64Array
from edge_app.errors import SourceError, SourceLostError
from edge_app.sources.lsl_inlet import Pulled
from edge_app.sources.lsl_stamps import StampLine
from edge_app.sources.rate_check import FIRST_SIGN_S, RateCheck

SILENCE_S = 1.0
JUMP_S = 1.0
"""A step of the stamps that the clock on the wall does not explain, by this much, is a jump."""
LOSSES = ((0.5, "half or more"), (0.1, "10 % or more"), (0.01, "1 % or more"))
"""Told in steps, so that a loss that goes on is told once, and again when it grows."""
_LOOK_EVERY_S = 0.25
_SHARE_OF_S = 2.0
"""Losses are a share of what was sent in this time; with none in it they are over, or were one."""
_PRESENT_S = 0.75
"""Losses must go on for this long before they are told: a single gap is counted only."""
_TOLD_FOR_S = 2.0
_LOSS_TOLD_FOR_S = 5.0


class LslWatch:
    """Looks at what arrives, and at what does not.

    Args:
        name: the stream's name, for errors.
        rate_hz: the declared rate.
        jitter_s: how far the raw stamps may stray.
        stale_after_s: no data for this long counts as lost.
        line: counts the gaps.
        now_s: monotonic seconds at which reading begins.
        host_clock: False where the stamps, once corrected, are not this machine's monotonic clock.
        placed: False where it could not be seen on opening whether they are.

    Attributes:
        nan_samples: samples that were no number.
        n_samples: samples seen.
    """

    def __init__(
        self,
        *,
        name: str,
        rate_hz: float,
        jitter_s: float,
        stale_after_s: float,
        line: StampLine,
        now_s: float,
        host_clock: bool = True,
        placed: bool = True,
    ) -> None:
        self.nan_samples = 0
        self.n_samples = 0
        self._name = name
        self._rate_hz = rate_hz
        self._silence_s = max(3.0 / rate_hz, SILENCE_S)
        self._stale_after_s = stale_after_s
        self._jump_s = JUMP_S + 2.0 * jitter_s
        self._host_clock = host_clock
        self._placed = placed
        self._line = line
        self._first_sign = RateCheck(rate_hz, jitter_s, FIRST_SIGN_S)
        self._certain = RateCheck(rate_hz, jitter_s)
        self._last_arrival_s = now_s
        self._last_stamp_s: float | None = None
        self._told: dict[str, tuple[str, float]] = {}  # what: (in words, until)
        self._look_at_s = now_s + _LOOK_EVERY_S
        self._looks: deque[tuple[float, int, int]] = deque([(now_s, 0, 0)])  # (when, came, lost)
        self._loss_since_s = self._lost_at_s = -math.inf

    def saw(self, pulled: Pulled) -> None:
        """Look at samples before anything is made of them.

        Args:
            pulled: at least one sample.

        Raises:
            SourceLostError: the sender's clock has jumped, or is none of LSL's: the next opening
                compares the clocks anew.
            SourceError: the stream does not send at the rate it declares.
        """
        now_s, times_s = pulled.arrived_s, pulled.times_s
        self._check_jump(times_s, now_s - self._last_arrival_s)
        self._last_arrival_s, self._last_stamp_s = now_s, float(times_s[-1])
        self.n_samples += times_s.shape[0]
        n_nan = times_s.shape[0] - int(np.isfinite(pulled.values).sum())
        if n_nan:
            self.nan_samples += n_nan
            self._tell("nan", "samples that are not a number", now_s, 1.0)
        if self._host_clock:
            self._check_clock(float(times_s[-1]) + pulled.offset_s - now_s)
        self._check_rate(times_s, now_s)

    def trouble(self, now_s: float) -> str:
        """Return what is wrong at present, in words.

        Args:
            now_s: monotonic seconds.

        Raises:
            SourceLostError: nothing has come for too long.
        """
        silent_s = now_s - self._last_arrival_s
        if silent_s > self._stale_after_s:
            raise SourceLostError(
                f"no data for {self._stale_after_s:g} s, though the stream looks connected",
                source=self._name,
                next_step="Check the headset; the stream is being looked for again",
            )
        if silent_s > self._silence_s:
            return f"no data for {self._silence_s:.1f} s"
        self._look_at_losses(now_s)
        if self._told:
            self._told = {k: said for k, said in self._told.items() if said[1] > now_s}
        return ", ".join(words for words, _ in self._told.values())

    def _tell(self, what: str, words: str, now_s: float, for_s: float = _TOLD_FOR_S) -> None:
        words, _ = self._told.get(what, (words, 0.0))  # the first words stay while it lasts
        self._told[what] = (words, now_s + for_s)

    def _look_at_losses(self, now_s: float) -> None:
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        looks, lost_ever = self._looks, self._line.lost_samples
        lost_now = lost_ever > looks[-1][2]
        looks.append((now_s, self.n_samples, lost_ever))
        while now_s - looks[1][0] >= _SHARE_OF_S:
            looks.popleft()
        came, lost = self.n_samples - looks[0][1], lost_ever - looks[0][2]
        if "rate" in self._told:
            self._loss_since_s = self._lost_at_s = -math.inf
        elif lost_now:
            if now_s - self._lost_at_s > _SHARE_OF_S:
                self._loss_since_s = now_s
            self._lost_at_s = now_s
            if now_s - self._loss_since_s >= _PRESENT_S or "loss" in self._told:
                self._tell_loss(lost / (came + lost), now_s)

    def _tell_loss(self, share: float, now_s: float) -> None:
        steps = [f"{words} of the samples lost" for _, words in LOSSES]
        for (least, _), words in zip(LOSSES, steps, strict=True):
            if share >= least:
                told = self._told.get("loss", ("", 0.0))[0]
                if told and steps.index(words) < steps.index(told):
                    del self._told["loss"]
                self._tell("loss", words, now_s, _LOSS_TOLD_FOR_S)
                return

    def _check_jump(self, times_s: Float64Array, elapsed_s: float) -> None:
        before_s = times_s[0] if self._last_stamp_s is None else self._last_stamp_s
        steps_s = np.diff(times_s, prepend=before_s)
        most_s, least_s = float(steps_s.max()), float(steps_s.min())
        jump_s = 0.0
        if most_s > self._jump_s + elapsed_s:
            jump_s = most_s - elapsed_s
        elif least_s < -self._jump_s:
            jump_s = least_s - elapsed_s
        if jump_s:
            raise SourceLostError(
                f"the sender's clock jumped by {jump_s:+.1f} s",
                source=self._name,
                next_step="The stream is opened again and the clocks are compared anew; if it "
                "happens often, correct the clock of the machine that sends",
            )

    def _check_clock(self, ahead_s: float) -> None:
        """Raise when stamps, as far ahead of their arrival as given, must be of another clock."""
        wrong = ahead_s > self._jump_s or (not self._placed and ahead_s < -self._jump_s)
        self._placed = True
        if wrong:
            raise SourceLostError(
                f"the stamps lie {ahead_s:+.3g} s from their arrival",
                source=self._name,
                next_step="The stream is opened again and the clocks are compared anew",
            )

    def _check_rate(self, times_s: Float64Array, now_s: float) -> None:
        sign_hz = self._first_sign.wrong_rate_hz(times_s)
        if sign_hz is not None:
            words = f"{sign_hz:.3g} samples a second, declared are {self._rate_hz:g}"
            self._tell("rate", words, now_s, 3.0 * FIRST_SIGN_S)
            self._told.pop("loss", None)  # what seemed lost was never to come
        wrong_hz = self._certain.wrong_rate_hz(times_s)
        if wrong_hz is not None:
            raise SourceError(
                "the stream does not send at the rate it declares",
                source=self._name,
                expected=f"{self._rate_hz:g} Hz",
                got=f"{wrong_hz:.3g} Hz by its own stamps",
                next_step="Correct the rate in the program that sends, or look for lost samples",
            )
