"""The command ``trainer`` with the toy for emotion, for tests that need processes of their own."""

from __future__ import annotations

from trainer import registry
from trainer.__main__ import main

registry.EXPERIMENTS["emotion"] = {"toy": "tests.toy_experiment:ToyExperiment"}

if __name__ == "__main__":
    main()
