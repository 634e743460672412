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


def remarks(shipped: dict[str, Any], split: Split) -> dict[str, Any]:
    """Return what must be said beside the figures of some people.

    Args:
        shipped: the bundle's ``metrics.json``.
        split: gait parameters and names of those who were scored.

    Returns:
        Plain JSON values: ``learnt_from``, the figures of folds that had not seen whom they
        answered for as ``nested``, and ``notes`` for the reader.
    """
    known, here = shipped.get("learnt_people", {}), fingerprints(split)
    learnt = np.isin(here["values"], known.get("values", []))
    learnt |= np.isin(here["people"], known.get("people", []))
    n_learnt, n = int(learnt.sum()), len(learnt)
    lacking = int(torch.isnan(split.inputs[0]).any(dim=1).sum())
    notes = []
    if n_learnt:
        nested = ", ".join(f"{SHOWN[key]} {shown(shipped, key, interval=True)}" for key in SAID)
        notes.append(
            f"{n_learnt} of these {n} people are among those it learnt from: the figures above"
            f" flatter. On people not seen in training (nested folds): {nested}."
        )
    if lacking:
        notes.append(f"{lacking} of {n} people lack a parameter: it is left out of their sum.")
    notes.append(
        "Probabilities, ECE and Brier score are for equal class shares; *_data_shares restates them"
        " for the shares among these people. Gait speed is part of the Fried label."
    )
    return {
        "learnt_from": n_learnt > 0,
        "people_learnt_from": n_learnt,
        "people_lacking_a_parameter": lacking,
        "nested": {key: shipped[key] for key in (*SHOWN, "intervals") if key in shipped},
        "notes": notes,
    }


def fingerprints(split: Split) -> dict[str, list[str]]:
    """Return two hashes a person, so that a bundle knows its people again without holding them.

    Args:
        split: gait parameters and names.

    Returns:
        ``values``: of all values, whatever the name; ``people``: of name and first two values, so
        that a blanked column does not make a person a stranger.
    """
    values = split.inputs[0].numpy().astype(np.float32)
    return {
        "values": [_hash(row.tobytes()) for row in values],
        "people": [
            _hash(str(name).encode() + row[:2].tobytes())
            for name, row in zip(split.groups, values, strict=True)
        ],
    }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
