"""Which EEG channel to read, and how its unit becomes microvolts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge_app.sources.recording.protocol import refuse
from edge_app.units import VOLTAGE_UNITS, microvolts_per

_NO_VOLTAGES = frozenset({"%", "bpm", "mmhg", "cmh2o", "ml", "l/min", "degc", "°c", "hz", "ohm"})
"""Oxygen saturation, pulse, pressure ...: no --unit makes an EEG of them."""
_USUAL = frozenset({"uV", "µV", "μV", "mV", "V", "nV"})

ELECTRODE_RANK = (
    "FPZ FP1 FP2 FZ F3 F4 F7 F8 CZ C3 C4 PZ P3 P4 OZ O1 O2".split()  # noqa: SIM905
)
"""Frontal first: bedside headbands sit there, and the shipped sleep model was trained on Fpz."""


@dataclass(frozen=True, slots=True)
class EegChannel:
    """One channel that a file offers.

    Args:
        label: its name in the file.
        unit: its unit in the file, maybe empty.
        rate_hz: its rate.
    """

    label: str
    unit: str
    rate_hz: float

    def __str__(self) -> str:
        return f"{self.label} ({self.rate_hz:g} Hz, {self.unit or 'no unit'})"


def microvolts_per_unit(
    path: Path, channel: EegChannel, unit: str | None
) -> tuple[float, tuple[str, ...]]:
    """Return the factor to microvolts and what had to be assumed.

    Args:
        path: the file, for the error.
        channel: the channel as the file describes it.
        unit: what the user says; None: trust the file.

    Raises:
        SourceError: no unit, or one that is not of a voltage or not clear.
    """
    if channel.unit.strip().lower() in _NO_VOLTAGES:
        refuse(
            path,
            f"channel {channel.label} is no EEG: it is in {channel.unit}",
            "Name an EEG channel with --channel",
            expected=VOLTAGE_UNITS,
            got=channel.unit,
        )
    written = (channel.unit if unit is None else unit).strip()
    factor = microvolts_per(written)
    if factor is None:
        whose = f"channel {channel.label} has" if unit is None else "--unit names"
        refuse(
            path,
            f"{whose} {'no unit' if not written else 'a unit that is not clear'}",
            f"Say what a sample is with --unit, one of {VOLTAGE_UNITS}",
            expected=VOLTAGE_UNITS,
            got=written or None,
        )
    if unit is not None:
        theirs = f"the file says {channel.unit!r}" if channel.unit else "the file says nothing"
        if channel.unit == unit:
            return factor, ()
        return factor, (f"unit taken as {unit} as --unit says; {theirs}",)
    if written in _USUAL:
        return factor, ()
    return factor, (f"unit {written!r} of {channel.label} taken as {_plain(factor)}",)


def _plain(factor: float) -> str:
    return {1.0: "microvolts", 1e3: "millivolts", 1e6: "volts", 1e-3: "nanovolts"}[factor]


def choose_channel(
    path: Path, channels: list[EegChannel], wanted: str | None
) -> tuple[int, tuple[str, ...]]:
    """Return the index of the channel to read and what had to be assumed.

    Args:
        path: the file, for the error.
        channels: what the file has.
        wanted: a name, compared without case and spaces, with or without a leading "EEG"; None:
            the best electrode for sleep staging.

    Raises:
        SourceError: no such channel, several, or none that is an EEG electrode; lists them all.
    """
    labels = [channel.label for channel in channels]
    listed = ", ".join(str(channel) for channel in channels) or "none"
    if wanted is None:
        return _choose_best(path, labels, listed)
    found = [i for i, label in enumerate(labels) if label == wanted]
    for simplify in (_squeezed, _without_eeg):
        if not found:
            found = [i for i, label in enumerate(labels) if simplify(label) == simplify(wanted)]
    if len(found) != 1:
        refuse(
            path,
            f"no channel {wanted!r}" if not found else f"{len(found)} channels {wanted!r}",
            "Name one of them with --channel",
            expected=f"one of: {listed}",
            got=wanted,
        )
    return found[0], ()


def _choose_best(path: Path, labels: list[str], listed: str) -> tuple[int, tuple[str, ...]]:
    ranked = sorted(
        (ELECTRODE_RANK.index(name), index)
        for index, name in enumerate(map(_electrode, labels))
        if name in ELECTRODE_RANK
    )
    if not ranked:
        refuse(
            path,
            "no channel has the name of an EEG electrode",
            "Name the channel with --channel",
            expected=f"one of: {listed}",
        )
    index = ranked[0][1]
    others = ", ".join(labels[i] for _, i in ranked[1:]) or "no other EEG electrode"
    said = f"channel {labels[index]} chosen, another with --channel; the file also has {others}"
    return index, (said,) if len(labels) > 1 else ()


def _squeezed(label: str) -> str:
    return "".join(label.split()).casefold()


def _without_eeg(label: str) -> str:
    return re.sub(r"^eeg[-_:]?", "", _squeezed(label))


def _electrode(label: str) -> str:
    """Return ``FPZ`` for ``EEG Fpz-Cz``, ``EEG:Fpz`` or ``FpzM2``; the reference is dropped."""
    name = re.split(r"[-:/_]", _without_eeg(label), maxsplit=1)[0].upper()
    return re.sub(r"^([FCPO]\w+?)(A1|A2|M1|M2|REF|LE|AVG)$", r"\1", name)
