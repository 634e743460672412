"""The file that lets what is known of a person outlive the program; one file a person and task.

For frailty that is the wearer's gait, for facial expression the baseline of the resting face.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from edge_app.errors import ConfigError, ContractError, SinkError
from edge_app.sinks.files import prove_writable, write_whole

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 60.0


class KeptPerson(Protocol):
    """What is known of a person and can be kept."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""

    def restore(self, stored: Mapping[str, Any], age_s: float) -> None:
        """Go on from what ``as_dict`` returned.

        Args:
            stored: from an earlier run of the program.
            age_s: how long ago that was.

        Raises:
            ContractError: not what ``as_dict`` returns.
        """


Kept = TypeVar("Kept", bound=KeptPerson)


class PersonFile(Generic[Kept]):
    """Keeps what is known of one person in a JSON file that only its owner can read.

    Args:
        path: the file; made with its folder at the first save.
        person: as for somebody of whom nothing is known; restored from the file.
        unix_s: tells the wall clock: what is known ages also while the program does not run.

    Attributes:
        person: the same.

    Raises:
        ConfigError: a file that is damaged or of another format; it is left as it is.
        SinkError: its folder cannot be made or written to.
    """

    def __init__(
        self,
        path: Path,
        person: Kept,
        *,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._unix_s = unix_s
        self.person = person
        self._simulated: bool | None = None
        self._restore()
        prove_writable(path.parent)
        self._saved_s = self._newest_s = unix_s()
        self._complained = False

    def _restore(self) -> None:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            self.person.restore(stored["person"], age_s=self._unix_s() - float(stored["unix_s"]))
            self._simulated = bool(stored["simulated"])
        except FileNotFoundError:
            return  # a new person
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ContractError) as error:
            raise ConfigError(
                f"what is known of the person cannot be read: {error}",
                source=str(self._path),
                next_step="Move the file away to begin anew, or name another in person.file",
            ) from error

    def claim(self, *, simulated: bool) -> None:
        """Say what kind of signal it comes from, before any of it is taken in.

        Args:
            simulated: True when nobody stands behind it.

        Raises:
            ConfigError: the file rests on signal of the other kind.
        """
        if self._simulated not in (None, simulated):
            held = "a simulation" if self._simulated else "a real person"
            raise ConfigError(
                "simulated and real signal must not be mixed in one person's file",
                source=str(self._path),
                got=f"a file of {held}, a sensor that is {'' if simulated else 'not '}simulated",
                next_step="Name another file in person.file",
            )
        self._simulated = simulated

    def heard(self, news: Sequence[object]) -> None:
        """Save when the last save is a minute old, and when the stream ends.

        Args:
            news: what was just taken in; none when the stream ends.
        """
        now_s = self._unix_s()
        if news:
            self._newest_s = now_s
        age_s = now_s - self._saved_s
        if not news or not 0.0 <= age_s < SAVE_EVERY_S:  # below 0: the clock was set back
            self.save()

    def save(self) -> None:
        """Write the file whole; a disk that refuses is told once and tried again later.

        The time in it is that of the newest news: strides age on while the wearer sits.
        """
        self._saved_s = self._unix_s()
        document = {
            "unix_s": self._newest_s,
            "simulated": bool(self._simulated),
            "person": self.person.as_dict(),
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(document, allow_nan=False) + "\n")
            self._complained = False
        except (OSError, SinkError) as error:
            if not self._complained:
                logger.error("%s: what is known of the person is not saved: %s", self._path, error)
            self._complained = True
