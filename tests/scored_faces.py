"""Simulated pictures scored by a simulated model: figures of the real functions for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from edge_app.inference.bundle import Bundle, load_bundle, seal
from tests.bundles import LABELS as ALL_LABELS
from tests.bundles import write_bundle
from trainer.emotion_evaluation.examine import examine_faces
from trainer.examination import Baseline, Examination, Wishes
from trainer.experiment import Split

LABELS = ALL_LABELS["emotion"]
N = 150


@dataclass(frozen=True, slots=True)
class ScoredFaces:
    """What was scored, and what was found."""

    split: Split
    probabilities: np.ndarray
    figures: dict[str, Any]
    examination: Examination


def grey_faces(n: int = N, seed: int = 0) -> Split:
    """Simulated: flat grey squares with some grain, brighter for later classes; 60 people."""
    generator = np.random.default_rng(seed)
    targets = np.arange(n) % len(LABELS)
    levels = 16 + 32 * targets + generator.normal(0, 14, n)
    pixels = levels[:, None, None] + generator.normal(0, 4, (n, 48, 48))
    people = np.array([f"person {i % 60}" for i in range(n)])
    gender = np.where(np.arange(n) % 30 < 27, "female", "male")
    gender[np.arange(n) % 30 < 14] = "other"
    return Split(
        (torch.from_numpy(np.clip(pixels, 0, 255).astype(np.uint8)[:, None]),),
        torch.from_numpy(targets),
        people,
        "simulated faces",
        attributes={"gender": gender},
    )


def bundle_at(folder: Path, *, temperature: float = 1.0, recipe: str = "") -> Bundle:
    """Write the tiny bundle, whose answer is a later class for a brighter picture."""
    path = write_bundle(folder, "emotion")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["calibration"]["temperature"] = temperature
    (path / "manifest.json").write_text(json.dumps(manifest))
    seal(path)
    if recipe:
        (path / "recipe.yaml").write_text(recipe)
    return load_bundle(path)


def examination(
    bundle: Bundle, split: Split, probabilities: np.ndarray, wishes: Wishes
) -> Examination:
    """Return an examination with a part without copies and a baseline that is worse."""
    worse = probabilities.copy()
    worse[::3] = np.roll(worse[::3], 1, axis=1)

    def score(scored: Split, what: str) -> np.ndarray:
        del scored, what
        return worse

    free = np.arange(len(probabilities)) % 5 > 0
    baseline = Baseline("older", worse)
    path = Path("simulated")
    return Examination(
        bundle, split, probabilities, path, wishes, {"duplicate_free": free}, score, baseline
    )


@cache
def scored_faces(temperature: float = 1.0, *, people_known: bool = True) -> ScoredFaces:
    """Return figures of everything there is."""
    split = grey_faces()
    if not people_known:
        hashes = np.array([f"{i:032x}" for i in range(N)])
        split = replace(split, groups=hashes, attributes=None)
    generator = np.random.default_rng(7)
    targets = split.targets.numpy()
    logits = generator.normal(size=(N, len(LABELS))) + 2.5 * np.eye(len(LABELS))[targets]
    odds = np.exp(logits)
    said = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    by = ("gender",) if people_known else ()
    wishes = Wishes(by=by, corruptions=people_known, resamples=30)
    with TemporaryDirectory() as folder:
        bundle = bundle_at(Path(folder), temperature=temperature)
    asked = examination(bundle, split, said, wishes)
    found = examine_faces(asked, {"options": {"model": "face_vgg"}})
    figures = {"bundle": "tiny_emotion", "data": split.name, **found}
    return ScoredFaces(split, said, figures, asked)
