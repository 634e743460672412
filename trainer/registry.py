"""Which class runs which task, imported when asked for: one task needs no other's libraries."""

from __future__ import annotations

from importlib import import_module

from edge_app.errors import ConfigError
from trainer.experiment import Experiment

EXPERIMENTS = {
    "emotion": "trainer.experiments.emotion:EmotionExperiment",
    "sleep": "trainer.experiments.sleep:SleepExperiment",
    "frailty": "trainer.experiments.frailty:FrailtyExperiment",
}
"""Task name to ``module:class``. A new modality adds one line here."""


def experiment_class(task: str) -> type[Experiment]:
    """Return the class that tells the story of ``task``.

    Args:
        task: ``emotion``, ``sleep`` or ``frailty``.

    Returns:
        The class, its module imported.

    Raises:
        ConfigError: no such task.
    """
    if task not in EXPERIMENTS:
        raise ConfigError(
            "no such task",
            source=f"task {task}",
            expected=sorted(EXPERIMENTS),
            got=task,
            next_step="Name one of these, or add the experiment to trainer/registry.py",
        )
    module, _, name = EXPERIMENTS[task].partition(":")
    found: type[Experiment] = getattr(import_module(module), name)
    return found
