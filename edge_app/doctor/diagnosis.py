"""What the doctor says of one part of a machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_app.doctor.host import Answer

EVERY_DEVICE = "every device"


class State(str, Enum):
    """How a part of the machine is."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One part of the machine.

    Args:
        part: what was looked at, such as ``OpenCV``.
        state: ``OK``; ``DEGRADED``: there, but not as it should be, or it cannot be told;
            ``MISSING``: not there or not usable.
        detail: what was found.
        mend: the command, or the act, that mends it; empty when there is nothing to do.
        needed_for: who needs it; ``EVERY_DEVICE`` makes a missing part a failure.
    """

    part: str
    state: State
    detail: str
    mend: str = ""
    needed_for: str = EVERY_DEVICE

    @property
    def failed(self) -> bool:
        """Whether no device can run like this."""
        return self.state is State.MISSING and self.needed_for == EVERY_DEVICE

    def as_json(self) -> dict[str, object]:
        """Return it as JSON takes it."""
        return {
            "part": self.part,
            "state": self.state.value,
            "detail": self.detail,
            "mend": self.mend,
            "needed_for": self.needed_for,
            "failed": self.failed,
        }


def unclear(part: str, answer: Answer, mend: str, needed_for: str = EVERY_DEVICE) -> Diagnosis:
    """Return that a part could not be looked at, which is no proof that it is missing.

    Args:
        part: what was looked at.
        answer: what came instead.
        mend: what to try.
        needed_for: who needs it.
    """
    return Diagnosis(part, State.DEGRADED, f"cannot be told: {answer.trouble}", mend, needed_for)
