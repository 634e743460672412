"""Which class runs which task, imported when asked for: one task needs no other's libraries."""

from __future__ import annotations

from importlib import import_module

from edge_app.errors import ConfigError
from trainer.experiment import Experiment

EXPERIMENTS = {
    "emotion": {"face_crop": "trainer.experiments.emotion:EmotionExperiment"},
    "sleep": {
        "stream": "trainer.experiments.sleep_stream:SleepStreamExperiment",
        "seq_sleep_net": "trainer.experiments.seq_sleep_net:SeqSleepNetExperiment",
    },
    "frailty": {
        "gait_parameters": "trainer.experiments.frailty_register:FrailtyRegisterExperiment",
        "windows": "trainer.experiments.frailty_windows:FrailtyWindowsExperiment",
    },
}
"""Task to its methods to ``module:class``; the first method is the one meant where a recipe names
none. A new modality adds one line here."""


def experiment_class(task: str, method: str | None = None) -> type[Experiment]:
    """Return the class that tells the story of ``task``.

    Args:
        task: ``emotion``, ``sleep`` or ``frailty``.
        method: how it is learnt; None: the task's first.

    Returns:
        The class, its module imported.

    Raises:
        ConfigError: no such task or method.
    """
    if task not in EXPERIMENTS:
        raise ConfigError(
            "no such task",
            source=f"task {task}",
            expected=sorted(EXPERIMENTS),
            got=task,
            next_step="Name one of these, or add the experiment to trainer/registry.py",
        )
    methods = EXPERIMENTS[task]
    chosen = next(iter(methods)) if method is None else method
    if chosen not in methods:
        raise ConfigError(
            f"no such method of {task}",
            source=f"method {chosen}",
            expected=sorted(methods),
            got=chosen,
            next_step="Name one of these, or leave `method` out of the recipe",
        )
    module, _, name = methods[chosen].partition(":")
    found: type[Experiment] = getattr(import_module(module), name)
    return found
