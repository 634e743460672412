"""Whether a bundle is scored on people it learnt from, and what to say then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LEARNT = "learnt_subjects"
"""Key of a bundle's ``metrics.json``: the Sleep-EDF subjects that its weights have seen."""


def learnt_remarks(shipped: dict[str, Any], subjects: Sequence[str]) -> dict[str, Any]:
    """Return what must be said beside figures of some people.

    Args:
        shipped: the bundle's own ``metrics.json``; its figures are of folds that had not seen whom
            they answered for, or of a validation split.
        subjects: Sleep-EDF numbers of those scored; people of other studies are left out.

    Returns:
        Plain JSON values: ``learnt_from`` (those of them it learnt from, None: the bundle does not
        say) and ``notes``, sentences for the reader.
    """
    stored, here = shipped.get(LEARNT), sorted(set(subjects))
    if not here:
        return {"learnt_from": [], "notes": []}
    if not isinstance(stored, list):
        note = "Whether it learnt from these people is not known: its metrics.json does not say."
        return {"learnt_from": None, "notes": [note]}
    known = [subject for subject in here if subject in stored]
    notes = []
    if known:
        notes.append(
            f"WARNING it learnt from {len(known)} of these {len(here)} people"
            f" ({', '.join(known)}): the figures flatter. {_unseen(shipped)}"
        )
    return {"learnt_from": known, "notes": notes}


def flatters(figures: dict[str, Any]) -> str:
    """Return what titles must add where people learnt from are scored, empty where not."""
    return "\npeople learnt from: figures flatter" if figures.get("learnt_from") else ""


def _unseen(shipped: dict[str, Any]) -> str:
    figures = {name: shipped.get(name) for name in ("kappa", "macro_f1")}
    if not all(isinstance(value, float) for value in figures.values()):
        return "Its metrics.json holds no figures of people that it had not seen."
    return (
        f"On people that it had not seen (its metrics.json): kappa {figures['kappa']:.3f}, "
        f"macro-F1 {figures['macro_f1']:.3f}."
    )
