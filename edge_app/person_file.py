"""The file that lets what is known of a wearer's gait outlive the program; one file a person."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_app.errors import ConfigError, ContractError, SinkError
from edge_app.preprocess.gait.stride import Stride
from edge_app.sinks.files import make_writable_dir, write_whole
from edge_app.tasks.person_gait import PersonGait

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 60.0


class PersonFile:
    """Keeps one wearer's gait in a JSON file that only its owner can read.

    Args:
        path: the file; made at the first save, its folder at once.
        baseline_strides: the first strides that become the baseline of a new person.
        half_life_s: age at which a stride counts half; None: all count alike.
        unix_s: tells the wall clock: strides age also while the program does not run.

    Raises:
        ConfigError: a file that is damaged or of another format; it is left as it is.
        SinkError: its folder cannot be made or written to.
    """

    def __init__(
        self,
        path: Path,
        *,
        baseline_strides: int,
        half_life_s: float | None,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._unix_s = unix_s
        self.person = PersonGait(baseline_strides=baseline_strides, half_life_s=half_life_s)
        self._simulated: bool | None = None
        self._restore()
        make_writable_dir(path.parent)
        self._saved_s = self._newest_s = unix_s()
        self._complained = False

    def _restore(self) -> None:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            self.person.restore(stored["person"], age_s=self._unix_s() - float(stored["unix_s"]))
            self._simulated = bool(stored["simulated"])
        except FileNotFoundError:
            return  # a new wearer
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ContractError) as error:
            raise ConfigError(
                f"what is known of the wearer cannot be read: {error}",
                source=str(self._path),
                next_step="Move the file away to begin anew, or name another in person.file",
            ) from error

    def claim(self, *, simulated: bool) -> None:
        """Say what kind of signal the strides come from, before the first one.

        Args:
            simulated: True when nobody stands behind it.

        Raises:
            ConfigError: the file holds strides of the other kind.
        """
        if self._simulated not in (None, simulated):
            held = "simulated strides" if self._simulated else "a real person's strides"
            raise ConfigError(
                "simulated and real strides must not be mixed in one wearer's file",
                source=str(self._path),
                got=f"a file with {held}, a sensor that is {'' if simulated else 'not '}simulated",
                next_step="Name another file in person.file",
            )
        self._simulated = simulated

    def heard(self, strides: Sequence[Stride]) -> None:
        """Save when the last save is a minute old, and when the stream ends.

        Args:
            strides: what was just taken in; none when the stream ends.
        """
        now_s = self._unix_s()
        if strides:
            self._newest_s = now_s
        age_s = now_s - self._saved_s
        if not strides or not 0.0 <= age_s < SAVE_EVERY_S:  # below 0: the clock was set back
            self.save()

    def save(self) -> None:
        """Write the file whole; a disk that refuses is told once and tried again later.

        The time in it is that of the newest stride: strides age on while the wearer sits.
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
                logger.error("%s: what is known of the wearer is not saved: %s", self._path, error)
            self._complained = True
