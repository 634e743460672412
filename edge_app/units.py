"""Units that devices and files write, to the canonical ones of ``contracts``."""

from __future__ import annotations

VOLTAGE_UNITS = "uV, mV, V or nV"
_TO_UV = {
    "uv": 1.0,
    "µv": 1.0,  # micro sign
    "μv": 1.0,  # Greek mu
    "microvolt": 1.0,
    "microvolts": 1.0,
    "mv": 1e3,
    "millivolt": 1e3,
    "millivolts": 1e3,
    "v": 1e6,
    "volt": 1e6,
    "volts": 1e6,
    "nv": 1e-3,
    "nanovolt": 1e-3,
    "nanovolts": 1e-3,
}
_AMBIGUOUS = frozenset({"MV", "Mv"})
"""Found on files that mean milli, and by the letter mega: not guessed."""


def microvolts_per(unit: str) -> float | None:
    """Return how many microvolts a unit is.

    Args:
        unit: as written, in any case and spelling in use; surrounding blanks do not matter.

    Returns:
        The factor, or None for what is no unit of a voltage or not a clear one.
    """
    written = unit.strip()
    return None if written in _AMBIGUOUS else _TO_UV.get(written.lower())
