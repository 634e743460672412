"""Whether the people that a bundle is scored on are those it learnt from, and what to say then."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from trainer.experiment import Split
from trainer.register.comparison import SHOWN, shown

SAID = ("balanced_accuracy", "accuracy", "auc_frail", "recall_frail")
"""Figures of the folds that are repeated beside figures that flatter."""
UNKNOWN = "-"


def remarks(shipped: dict[str, Any], split: Split) -> dict[str, Any]:
    """Return what must be said beside the figures of some people.

    Args:
        shipped: the bundle's ``metrics.json``.
        split: gait parameters and names of those who were scored.

    Returns:
        Plain JSON values: ``learnt_from`` (None: the bundle does not say), the figures of folds
        that had not seen whom they answered for as ``nested``, and ``notes`` for the reader.
    """
    stored, n = shipped.get("learnt_people"), len(split.targets)
    n_learnt = n_known(stored, fingerprints(split)) if isinstance(stored, list) else None
    lacking = int(torch.isnan(split.inputs[0]).any(dim=1).sum())
    notes = []
    if n_learnt:
        nested = ", ".join(f"{SHOWN[key]} {shown(shipped, key, interval=True)}" for key in SAID)
        notes.append(
            f"{n_learnt} of these {n} people are among those it learnt from: the figures above"
            f" flatter. On people not seen in training (nested folds): {nested}."
        )
    if n_learnt is None:
        notes.append(
            "Whether it learnt from these people is not known: its metrics.json says it in another"
            " form or not at all. Export it again with this version."
        )
    if lacking:
        notes.append(f"{lacking} of {n} people lack a parameter: it is left out of their sum.")
    notes.append(
        "Probabilities, ECE and Brier score are for equal class shares; *_data_shares restates them"
        " for the shares among these people. Gait speed is part of the Fried label."
    )
    return {
        "learnt_from": None if n_learnt is None else n_learnt > 0,
        "people_learnt_from": n_learnt,
        "people_lacking_a_parameter": lacking,
        "nested": {key: shipped[key] for key in (*SHOWN, "intervals") if key in shipped},
        "notes": notes,
    }


def fingerprints(split: Split) -> list[str]:
    """Return a line of hashes a person, so that a bundle knows its people again.

    They keep names and numbers out of sight and no more: who tries all values finds them. The
    people of the register are published, so nothing rests on it.

    Args:
        split: gait parameters and names.

    Returns:
        A person each: a hash of the name, then one of every parameter, ``-`` where it is not known.
    """
    table = split.inputs[0].numpy().astype(np.float32)
    return [
        " ".join([_hash(str(name).encode()), *map(_value_hash, row)])
        for name, row in zip(split.groups, table, strict=True)
    ]


def n_known(stored: list[str], here: list[str]) -> int:
    """Return how many people are among those stored, also blanked in part or renamed.

    Somebody is known again when at least half of their known values are one stored person's, and
    either the name is too or three values or more agree: two may agree by chance.

    Args:
        stored: ``fingerprints`` of those learnt from.
        here: ``fingerprints`` of those asked about.

    Returns:
        The number of those known.
    """
    learnt = [line.split() for line in stored]
    count = 0
    for line in here:
        name, *values = line.split()
        least = (len(values) - values.count(UNKNOWN)) / 2
        for other, *others in learnt:
            alike = sum(one == two != UNKNOWN for one, two in zip(values, others, strict=False))
            if alike >= max(1.0 if name == other else 3.0, least):
                count += 1
                break
    return count


def _value_hash(value: np.float32) -> str:
    return _hash(value.tobytes()) if np.isfinite(value) else UNKNOWN


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
