"""A run of the tiny face experiment, trained in seconds."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tests.face_experiment import FaceExperiment
from tests.toy_experiment import ToyOptions
from trainer.fit import fit
from trainer.provenance import Provenance
from trainer.recipe import FitOptions, Recipe
from trainer.run_dir import RunDir

FACES = {"faces": "tests.face_experiment:FaceExperiment"}
WHENCE = Provenance("faces", "trainer fit faces.yaml", "abc123", "2 cores", "torch 2", "2026-01-01")


def trained_run(folder: Path) -> RunDir:
    """Train for a few passes into ``folder``; the registry must know ``FACES`` as emotion."""
    options = FitOptions(passes=4, batch=64, learning_rate=0.02, ema_decay=0.9)
    recipe = Recipe("faces", "emotion", None, 3, options, FaceExperiment(ToyOptions()))
    run = RunDir(folder)
    run.create(recipe.to_yaml(), WHENCE, resume=False)
    train, validation = recipe.experiment.load(folder)
    fit(recipe, train, validation, run, Console(quiet=True))
    return run
