"""The five stages, and the words that scorers' files use for them.

R&K (Rechtschaffen and Kales 1968) to AASM (Iber 2007): stages 3 and 4 are N3; movement time and
what was not scored have no stage and stay in place as ``UNSCORED``, so that time is continuous.
"""

from __future__ import annotations

import re
from typing import Literal

STAGES = ("W", "N1", "N2", "N3", "R")
"""AASM stages; a stage is an index into this."""
UNSCORED = -1
EPOCH_S = 30.0
_WORDS = {
    "w": 0,
    "wake": 0,
    "n1": 1,
    "s1": 1,
    "nrem1": 1,
    "n2": 2,
    "s2": 2,
    "nrem2": 2,
    "n3": 3,
    "s3": 3,
    "nrem3": 3,
    "n4": 3,
    "s4": 3,
    "nrem4": 3,
    "r": 4,
    "rem": 4,
    "?": UNSCORED,
    "m": UNSCORED,
    "mt": UNSCORED,
    "movement": UNSCORED,
    "movementtime": UNSCORED,
    "u": UNSCORED,
    "uns": UNSCORED,
    "unscored": UNSCORED,
    "unknown": UNSCORED,
    "notscored": UNSCORED,
    "art": UNSCORED,
    "artefact": UNSCORED,
    "artifact": UNSCORED,
}
_RK_LETTERS = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4, "M": UNSCORED, "?": UNSCORED}
_RK_DIGITS = {"1": 1, "2": 2, "3": 3, "4": 3}
_PREFIX = re.compile(r"^(?:sleep[ _-]*)?(?:stage)[ _-]*|^sleep[ _-]+", re.IGNORECASE)

Coding = Literal["aasm", "rk", "dreams"]
CODINGS: dict[Coding, dict[int, int]] = {
    "aasm": {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, -1: UNSCORED, -2: UNSCORED},
    "rk": {0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4, -1: UNSCORED, -2: UNSCORED},
    "dreams": {5: 0, 4: 4, 3: 1, 2: 2, 1: 3, 0: 3, -1: UNSCORED, -2: UNSCORED, -3: UNSCORED},
}
"""What numbers stand for: AASM in order as YASA writes them; R&K with REM as 5; DREAMS."""
KNOWN_TEXTS = "Sleep stage W, 1, 2, 3, 4, R, ?, Movement time; W, N1, N2, N3, R, REM, wake"


def stage_of_text(text: str) -> int | None:
    """Return the stage that a word names.

    Args:
        text: such as ``Sleep stage 4``, ``N3``, ``REM``; a digit needs ``stage`` before it.

    Returns:
        Index into ``STAGES``, ``UNSCORED`` for movement and what was not scored, None for a word
        that names no stage.
    """
    bare = text.strip()
    word = _PREFIX.sub("", bare).strip()
    if word != bare and word in _RK_DIGITS:
        return _RK_DIGITS[word]
    return _WORDS.get(re.sub(r"[ _-]", "", word).casefold())


def stage_of_rk_letter(letter: str) -> int | None:
    """Return the stage of one R&K letter ``W 1 2 3 4 R M ?``, None for any other."""
    return _RK_LETTERS.get(letter)
