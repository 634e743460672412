"""Everything that is said about a bundle of facial expressions on labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge_app.errors import ConfigError, DatasetError
from edge_app.face_detector_file import choose_detector
from edge_app.inference.manifest import FaceConditioning
from trainer.emotion_evaluation.calibration import calibration, uncalibrated
from trainer.emotion_evaluation.class_figures import face_figures
from trainer.emotion_evaluation.corruption_table import corruption_table
from trainer.emotion_evaluation.paired import compare
from trainer.emotion_evaluation.risk_coverage import risk_coverage
from trainer.emotion_evaluation.robustness_groups import TERCILES, robustness_groups
from trainer.emotion_evaluation.subgroups import subgroups
from trainer.emotion_evaluation.through_detector import through_detector
from trainer.emotion_evaluation.uncertainty import add_intervals
from trainer.examination import Examination

Mask = npt.NDArray[np.bool_]
WRONG_SHOWN = 5
NOTHING: dict[str, Any] = {
    "n": 0,
    **dict.fromkeys(("accuracy", "macro_f1", "ece", "brier")),
    "per_class": {},
}
"""Figures of no picture."""


def examine_faces(examination: Examination, design: Mapping[str, Any]) -> dict[str, Any]:
    """Return all figures as plain JSON values.

    Args:
        examination: what is examined, and what is asked.
        design: what the model card says of how it was trained: ``options`` (the recipe's
            experiment), and ``train_counts`` (label to pictures learnt from) where known.

    Returns:
        Of all and each of ``subsets``: as ``face_figures`` with intervals; ``calibration_before``
        and ``calibration_after`` the temperature; ``risk_coverage``; ``mcnemar`` where a baseline
        is named. Of all: ``confusions``, the most frequent first; ``by`` attribute; ``robustness``;
        ``through_detector`` where asked for; ``design``; ``notes``, sentences for the reader.
        Where copies were asked for and nothing else is there, ``duplicate_free`` is ``NOTHING``.
    """
    wishes, labels = examination.wishes, examination.bundle.manifest.labels
    figures = _part(examination, np.ones(len(examination.split.targets), dtype=np.bool_))
    masks = {name: mask for name, mask in examination.subsets.items() if mask.any()}
    subsets = {name: _part(examination, mask) for name, mask in masks.items()}
    if wishes.duplicates_of is not None:
        subsets.setdefault("duplicate_free", NOTHING)
    named = examination.subsets | subsets
    notes = [f"no {name} picture: no such figures" for name in named if name not in masks]
    figures |= {
        "subsets": subsets,
        "confusions": named_confusions(figures["confusion"], labels),
        "by": _by(examination),
        "robustness": _robustness(examination),
        "design": dict(design),
    }
    if wishes.through_detector:
        figures["through_detector"] = _through_detector(examination)
    if figures["interval_over"] == "picture":
        notes.append(
            "Who is shown is not known: intervals are over pictures and too narrow where one"
            " person is shown several times."
        )
    return figures | {"notes": notes}


def _through_detector(examination: Examination) -> dict[str, Any]:
    """Return what the bedside's own chain leaves of the accuracy, see ``through_detector``."""
    split, wishes = examination.split, examination.wishes
    conditioning = examination.bundle.manifest.conditioning
    if not isinstance(conditioning, FaceConditioning):
        raise ConfigError(
            "this bundle reads no face crops",
            source=str(examination.bundle.path),
            got=conditioning.kind,
            next_step="Leave --through-detector out",
        )
    choice = choose_detector(wishes.detector)

    def predict(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        scored = replace(
            split,
            inputs=(torch.from_numpy(crops[:, None]),),
            targets=torch.zeros(len(crops), dtype=torch.int64),
        )
        return examination.score(scored, "through the detector")

    return through_detector(
        split.inputs[0].numpy()[:, 0],
        split.targets.numpy(),
        choice.open(),
        conditioning,
        predict,
        name=choice.detail.partition(", installed in ")[0],  # a card tells no folder
    )


def named_confusions(confusion: list[list[int]], labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the commonest ways to be wrong.

    Args:
        confusion: counts, row = true class, column = answer.
        labels: the classes in order.

    Returns:
        ``true``, ``answer``, ``n``, ``share`` (of the true class), the most frequent first; pairs
        that never occur are left out.
    """
    counts = np.array(confusion, dtype=np.int64)
    support = counts.sum(axis=1)
    pairs = [
        {
            "true": labels[row],
            "answer": labels[column],
            "n": int(n),
            "share": float(n / support[row]),
        }
        for (row, column), n in np.ndenumerate(counts)
        if row != column and n
    ]
    return sorted(pairs, key=lambda pair: -pair["n"])[:WRONG_SHOWN]


def _part(examination: Examination, mask: Mask) -> dict[str, Any]:
    targets = examination.split.targets.numpy()[mask]
    said, wishes = examination.probabilities[mask], examination.wishes
    figures = face_figures(targets, said, examination.bundle.manifest.labels, wishes.prevalence)
    groups = examination.split.groups[mask]
    temperature = examination.bundle.manifest.calibration.temperature
    figures = add_intervals(figures, targets, said, groups, resamples=wishes.resamples) | {
        "calibration_before": calibration(targets, uncalibrated(said, temperature)),
        "calibration_after": calibration(targets, said),
        "risk_coverage": risk_coverage(targets, said, wishes.selective_accuracy),
    }
    other = examination.baseline
    if other is not None:
        theirs = other.probabilities[mask]
        paired = compare(targets, said, theirs, groups, resamples=wishes.resamples)
        figures["mcnemar"] = {"name": other.name, **paired}
    return figures


def _by(examination: Examination) -> dict[str, Any]:
    split, attributes = examination.split, examination.split.attributes or {}
    return {
        name: subgroups(
            split.targets.numpy(),
            examination.probabilities,
            attributes[name],
            split.groups,
            examination.bundle.manifest.labels,
        )
        for name in examination.wishes.by
    }


def _robustness(examination: Examination) -> dict[str, Any]:
    split, said = examination.split, examination.probabilities
    faces = split.inputs[0].numpy()
    if faces.ndim != 4 or faces.shape[1] != 1:
        raise DatasetError(
            "these are no grey faces",
            source=split.name,
            expected="(n, 1, size, size)",
            got=faces.shape,
            next_step="Correct the experiment's load_evaluation()",
        )
    labels, groups = examination.bundle.manifest.labels, {}
    for name, attribute in robustness_groups(faces[:, 0]).items():
        found = subgroups(split.targets.numpy(), said, attribute, split.groups, labels)
        rows = found["groups"]
        ordered = {value: rows[value] for value in TERCILES if value in rows}
        groups[name] = found | {"groups": ordered}
    if not examination.wishes.corruptions:
        return {"groups": groups}
    return {"groups": groups, "corruptions": corruption_table(examination.score, split, said)}
